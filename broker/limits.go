package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/carillon-rt/carillon/ratelimit"
)

// ErrChannelLimit refuses a subscription of a session that has as many channels as
// it may have.
var ErrChannelLimit = errors.New("channel limit is reached")

// SessionLimits bound what one session may use. 0 sets no bound.
type SessionLimits struct {
	// Channels bounds the channels that the session is subscribed to,
	// AuthorizedChannels those of one that has signed in, or has subscribed to a
	// channel that needs authorization, from that subscription on.
	Channels, AuthorizedChannels int
	// SubscribesPerSecond bounds its subscriptions. As many as it may have channels
	// may come at once, as they do when a client reconnects.
	SubscribesPerSecond int
	// PastBytesPerSecond bounds what the session gets for subscribing: past events,
	// cached ones included, and lists of members. As much as PastBytesPerChannel for
	// each channel that it may have may come at once; with no bound of channels,
	// that of 1000. Beyond that, a subscription that would go on from a position begins
	// with a gap, and others are refused.
	PastBytesPerSecond int
	// ClientEventsPerSecond bounds the events that the session may send to others.
	ClientEventsPerSecond int
}

// PastBytesPerChannel is how many bytes a session may get for each subscription
// before SessionLimits.PastBytesPerSecond counts.
const PastBytesPerChannel = 16 << 10

// usualChannels stands for the channels of a session that may have any number.
const usualChannels = 1000

// usage is what a session may use, and has used up of it.
type usage struct {
	limits                         SessionLimits
	subscribes, past, clientEvents ratelimit.Bucket
}

// channels is how many channels the session may have, 0 if any number. authorized
// says that it has shown who it is.
func (l *SessionLimits) channels(authorized bool) int {
	if authorized {
		return l.AuthorizedChannels
	}
	return l.Channels
}

// maySubscribe asks the session's own rates. authorized says that it has shown who it
// is, or is about to.
func (u *usage) maySubscribe(kind Kind, authorized bool, rewind int) error {
	if rate := u.limits.SubscribesPerSecond; rate > 0 {
		limit := ratelimit.Limit{Rate: float64(rate), Burst: max(u.mayHave(authorized), rate)}
		if err := take(&u.subscribes, ratelimit.Subscribe, "subscriptions per second", limit); err != nil {
			return err
		}
	}
	if rewind > 0 || kind.Cache() || kind.Base() == Presence {
		return u.mayGetPast(authorized)
	}
	return nil
}

// mayGetPast asks whether the session may get any more of the past.
func (u *usage) mayGetPast(authorized bool) error {
	rate := u.limits.PastBytesPerSecond
	if rate <= 0 {
		return nil
	}
	limit := ratelimit.Limit{Rate: float64(rate), Burst: min(max(u.mayHave(authorized)*PastBytesPerChannel, rate), maxPast(rate))}
	return take(&u.past, ratelimit.Subscribe, "bytes of past events per second", limit)
}

// mayHave is how many channels the session may have, or what stands for any number.
func (u *usage) mayHave(authorized bool) int {
	if channels := u.limits.channels(authorized); channels > 0 {
		return channels
	}
	return usualChannels
}

// hasRoom says whether a session with so many channels may have one more.
func (u *usage) hasRoom(channels int, authorized bool) error {
	limit := u.limits.channels(authorized)
	if limit == 0 || channels < limit {
		return nil
	}
	return fmt.Errorf("%w: the connection has %d channels, the limit is %d", ErrChannelLimit, channels, limit)
}

// gotPast counts what the session gets for a subscription, also beyond the limit:
// then it subscribes to nothing with a past until that has come back.
func (u *usage) gotPast(bytes int) {
	if rate := u.limits.PastBytesPerSecond; rate > 0 {
		most := maxPast(rate)
		u.past.Take(time.Now(), ratelimit.Limit{Rate: float64(rate), Burst: most}, min(bytes, most))
	}
}

// maySend asks for one more event of the client's.
func (u *usage) maySend() error {
	rate := u.limits.ClientEventsPerSecond
	if rate <= 0 {
		return nil
	}
	return take(&u.clientEvents, ratelimit.ClientEvent, "client events per second", ratelimit.Limit{Rate: float64(rate), Burst: rate})
}

// maxPast is how many bytes a bucket of this rate can count.
func maxPast(rate int) int {
	return min(int(ratelimit.MaxFill.Seconds())/2*rate, 1<<40)
}

func take(b *ratelimit.Bucket, action ratelimit.Action, rule string, limit ratelimit.Limit) error {
	d := b.Take(time.Now(), limit, 1)
	if d.OK {
		return nil
	}
	return &ratelimit.LimitError{Rule: rule, Action: action, Limit: limit, Cost: 1, RetryAfter: d.RetryAfter}
}

// rateLimits are those that the program has set, for anybody.
type rateLimits struct {
	rules  *ratelimit.Rules // nil if there are none
	faults *faults
}

// limited asks for one act.
func (l *rateLimits) limited(ctx context.Context, req ratelimit.Request) error {
	if l.rules == nil {
		return nil
	}
	if err := l.check(ctx, req); err != nil {
		return l.faults.refusal(err)
	}
	return nil
}

// allLimited asks for several acts, all or none of which are done.
func (l *rateLimits) allLimited(ctx context.Context, reqs []ratelimit.Request) error {
	if err := l.checkAll(ctx, reqs); err != nil {
		return l.faults.refusal(err)
	}
	return nil
}

func (l *rateLimits) check(ctx context.Context, req ratelimit.Request) (err error) {
	defer l.faults.caught("rate limit", &err)
	return l.rules.Check(ctx, req)
}

func (l *rateLimits) checkAll(ctx context.Context, reqs []ratelimit.Request) (err error) {
	defer l.faults.caught("rate limit", &err)
	return l.rules.CheckAll(ctx, reqs)
}

// quotas counts the sessions of each app.
type quotas struct {
	mu   sync.Mutex
	apps map[string]int // guarded by mu
}

func (q *quotas) take(app string, max int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if max > 0 && q.apps[app] >= max {
		return fmt.Errorf("%w: app %q has %d connections, the limit is %d", ErrQuota, app, q.apps[app], max)
	}
	if q.apps == nil {
		q.apps = make(map[string]int)
	}
	q.apps[app]++
	return nil
}

func (q *quotas) give(app string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.apps[app]--; q.apps[app] <= 0 {
		delete(q.apps, app)
	}
}

// of is how many sessions the app has.
func (q *quotas) of(app string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.apps[app]
}

// eventBound is what events have to fit into: see Broker.BoundEvents.
type eventBound struct {
	free  int
	check func(Event) error
}
