package broker

import (
	"errors"
	"fmt"
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
