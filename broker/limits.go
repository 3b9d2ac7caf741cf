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
	// that of 1000.
	PastBytesPerSecond int
	// ClientEventsPerSecond bounds the events that the session may send to others.
	ClientEventsPerSecond int
}

// PastBytesPerChannel is how many bytes a session may get for each subscription
// before SessionLimits.PastBytesPerSecond counts.
const PastBytesPerChannel = 16 << 10

// usualChannels stands for the channels of a session that may have any number.
const usualChannels = 1000

// usage is what a session has used up of its limits.
type usage struct {
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

// maySubscribe asks the session's own rates.
func (s *Session) maySubscribe(now time.Time, kind Kind, rewind int) error {
	channels := s.limits.channels(s.authorized.Load() || kind.NeedsAuthorization())
	if channels == 0 {
		channels = usualChannels
	}
	if rate := s.limits.SubscribesPerSecond; rate > 0 {
		limit := ratelimit.Limit{Rate: float64(rate), Burst: max(channels, rate)}
		if err := take(&s.usage.subscribes, now, "subscriptions per second", limit); err != nil {
			return err
		}
	}
	if rate := s.limits.PastBytesPerSecond; rate > 0 && (rewind > 0 || kind.Cache() || kind.Base() == Presence) {
		limit := ratelimit.Limit{Rate: float64(rate), Burst: min(max(channels*PastBytesPerChannel, rate), maxPast(rate))}
		return take(&s.usage.past, now, "bytes of past events per second", limit)
	}
	return nil
}

// gotPast counts what the session gets for a subscription, also beyond the limit:
// then it subscribes to nothing with a past until that has come back.
func (s *Session) gotPast(bytes int) {
	if rate := s.limits.PastBytesPerSecond; rate > 0 {
		most := maxPast(rate)
		s.usage.past.Take(time.Now(), ratelimit.Limit{Rate: float64(rate), Burst: most}, min(bytes, most))
	}
}

// maxPast is how many bytes a bucket of this rate can count.
func maxPast(rate int) int {
	return min(int(ratelimit.MaxFill.Seconds())/2*rate, 1<<40)
}

func take(b *ratelimit.Bucket, now time.Time, rule string, limit ratelimit.Limit) error {
	d := b.Take(now, limit, 1)
	if d.OK {
		return nil
	}
	return &ratelimit.LimitError{Rule: rule, Action: ratelimit.Subscribe, Limit: limit, Cost: 1, RetryAfter: d.RetryAfter}
}

// hasRoom says whether the session may have one more channel. The caller holds
// s.op.
func (s *Session) hasRoom(kind Kind) error {
	limit := s.limits.channels(s.authorized.Load() || kind.NeedsAuthorization())
	if limit == 0 || len(s.subs) < limit {
		return nil
	}
	s.broker.stats.refused.Add(1)
	return fmt.Errorf("%w: the connection has %d channels, the limit is %d", ErrChannelLimit, len(s.subs), limit)
}

// limited asks the broker's rate limits.
func (b *Broker) limited(ctx context.Context, req ratelimit.Request) error {
	if b.rateLimits == nil {
		return nil
	}
	if err := b.checkLimits(ctx, req); err != nil {
		return b.refusal(err)
	}
	return nil
}

func (b *Broker) checkLimits(ctx context.Context, req ratelimit.Request) (err error) {
	defer b.caught("rate limit", &err)
	return b.rateLimits.Check(ctx, req)
}

// allLimited asks the rate limits about several events at once.
func (b *Broker) allLimited(ctx context.Context, events []prepared) error {
	if b.rateLimits == nil {
		return nil
	}
	limits := make([]ratelimit.Request, len(events))
	for i := range events {
		limits[i] = events[i].limit()
	}
	if err := b.checkAllLimits(ctx, limits); err != nil {
		return b.refusal(err)
	}
	return nil
}

func (b *Broker) checkAllLimits(ctx context.Context, reqs []ratelimit.Request) (err error) {
	defer b.caught("rate limit", &err)
	return b.rateLimits.CheckAll(ctx, reqs)
}

func (s *Session) takeClientEvent() error {
	rate := s.limits.ClientEventsPerSecond
	if rate <= 0 {
		return nil
	}
	limit := ratelimit.Limit{Rate: float64(rate), Burst: rate}
	d := s.usage.clientEvents.Take(time.Now(), limit, 1)
	if d.OK {
		return nil
	}
	return &ratelimit.LimitError{Rule: "client events per second", Action: ratelimit.ClientEvent, Limit: limit, Cost: 1, RetryAfter: d.RetryAfter}
}

func (s *Session) subscribeLimit(req *SubscribeRequest) ratelimit.Request {
	limit := ratelimit.Request{Action: ratelimit.Subscribe, App: s.app, IP: s.ip, Session: s.id, Channel: req.Channel}
	if user := s.User(); user != nil {
		limit.User = user.ID
	}
	return limit
}

// limit is what rate limits are asked about.
func (p *prepared) limit() ratelimit.Request {
	return ratelimit.Request{Action: ratelimit.Publish, App: p.channel.id.App, Channel: p.channel.id.Name, Event: p.name, Size: len(p.data)}
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
