// Package ratelimit limits how often something may happen with token buckets:
// connections per IP, client events per session, publishes and their bytes per
// app, or whatever else a [Rule] says, kept in memory or behind the [Limiter]
// seam. It does not delay or queue what is too much, limit how many things exist
// at once, or stop a flood before it reaches the process. The shortest use:
//
//	rules, err := ratelimit.New(nil, ratelimit.ConnectionsPerIP(10, 20))
//	err = rules.Check(ctx, ratelimit.Request{Action: ratelimit.Connect, IP: "192.0.2.1"})
//
// A [Limit] is the size and the rate of one bucket, a [Rule] says what takes from which
// buckets, and [Rules] are those of a broker. How a channel behaves is a
// broker.ChannelRule, and what sizes and counts an app allows are its pusher.Limits.
package ratelimit

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

const (
	// MaxRate is the highest Rate of a Limit: a token per nanosecond.
	MaxRate = 1e9
	// MaxFill is the longest time that an empty bucket may take to be full again,
	// which is Burst divided by Rate.
	MaxFill = 10 * 365 * 24 * time.Hour
	// Never is the RetryAfter of what cannot succeed however long one waits,
	// because it costs more than the bucket holds.
	Never time.Duration = math.MaxInt64
)

// Limit is the size of a token bucket and how fast it fills. In any span of time
// at most Burst tokens, and Rate more for each second of it, are handed out.
type Limit struct {
	// Rate is in tokens per second, above 0 and at most MaxRate; below 1 it is
	// one token every so many seconds. The time between two tokens is rounded up
	// to whole nanoseconds, so a rate above 10 million is kept to within 1 % only
	// if it divides a billion.
	Rate float64
	// Burst is the number of tokens in a full bucket, at least 1. It has to fill
	// within MaxFill.
	Burst int
}

// check returns the field that is wrong and what is wrong with it, or nothing.
func (l Limit) check() (field, problem string) {
	switch {
	case math.IsNaN(l.Rate) || l.Rate <= 0 || l.Rate > MaxRate:
		return "Limit.Rate", fmt.Sprintf("is %g tokens per second: it has to be above 0 and at most %g", l.Rate, float64(MaxRate))
	case l.Burst < 1:
		return "Limit.Burst", fmt.Sprintf("is %d: it has to be at least 1", l.Burst)
	}
	if _, ok := l.interval(); !ok {
		return "Limit.Burst", fmt.Sprintf("is %d: at %g tokens per second it does not fill within %v", l.Burst, l.Rate, MaxFill)
	}
	return "", ""
}

// interval is the time in which one token comes, in nanoseconds; ok says that the
// limit is valid, and then Burst intervals are at most MaxFill.
func (l Limit) interval() (ns int64, ok bool) {
	if !(l.Rate > 0 && l.Rate <= MaxRate) || l.Burst < 1 {
		return 0, false
	}
	each := math.Ceil(1e9 / l.Rate)
	if each*float64(l.Burst) > float64(MaxFill) {
		return 0, false
	}
	return int64(each), true
}

// Decision is the answer to a Take.
type Decision struct {
	// OK says that the tokens were taken. If not, none were.
	OK bool
	// Remaining is the number of whole tokens that are left.
	Remaining int
	// RetryAfter is how long it takes until the same Take would succeed if nobody
	// else takes anything: 0 if OK, Never if the cost is above the burst.
	RetryAfter time.Duration
}

// Bucket is one token bucket of 8 bytes. The zero value is full. It is safe for
// concurrent use and must not be copied once used.
type Bucket struct {
	// filled is when the bucket will be full again, in nanoseconds since start
	// (the theoretical arrival time of GCRA); 0 is a bucket that always was.
	filled atomic.Int64
}

// Take takes cost tokens out of the bucket, all or none. A cost of 0 or less is
// free and always OK. An invalid limit is never OK, and neither is a cost above
// the burst: RetryAfter is Never then.
//
// now is best time.Now(): its monotonic reading keeps the bucket right when the
// wall clock is set. An earlier now than before is as good as the latest. The
// limit may differ from call to call; what was taken under the previous limit
// first has to come back at the previous rate.
func (b *Bucket) Take(now time.Time, limit Limit, cost int) Decision {
	at := sinceStart(now)
	for {
		old := b.filled.Load()
		filled, d := take(old, at, limit, cost)
		if filled == old || b.filled.CompareAndSwap(old, filled) {
			return d
		}
	}
}

// take takes cost tokens, at the time now, out of a bucket that is full at the
// time filled, and returns when it will then be full.
func take(filled, now int64, limit Limit, cost int) (int64, Decision) {
	each, ok := limit.interval()
	if !ok {
		return filled, Decision{RetryAfter: Never}
	}
	capacity := each * int64(limit.Burst)
	var missing int64
	if filled != 0 {
		missing = max(filled-now, 0)
	}
	left := max(capacity-missing, 0)
	switch {
	case cost <= 0:
		return filled, Decision{OK: true, Remaining: int(left / each)}
	case cost > limit.Burst:
		return filled, Decision{Remaining: int(left / each), RetryAfter: Never}
	}
	price := each * int64(cost)
	if wait := missing + price - capacity; wait > 0 {
		return filled, Decision{Remaining: int(left / each), RetryAfter: time.Duration(wait)}
	}
	filled = now + missing + price
	if filled == 0 {
		filled = 1
	}
	return filled, Decision{OK: true, Remaining: int((left - price) / each)}
}

// start is never written again: durations since then are monotonic.
var start = time.Now()

// horizon keeps times so far from overflow that MaxFill can be added.
const horizon = int64(1) << 61

func sinceStart(now time.Time) int64 {
	return min(max(int64(now.Sub(start)), -horizon), horizon)
}
