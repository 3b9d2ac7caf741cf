package broker

import (
	"context"
	"slices"

	"github.com/carillon-rt/carillon/storage"
)

// maxFailed is how many appends of a channel that failed are remembered.
const maxFailed = 64

// failedAppends are the latest appends of a channel that failed. The store may
// have kept the events all the same, and who is subscribed must not miss what
// the history has.
type failedAppends []failedAppend

type failedAppend struct {
	id, key string
	exclude *Session
}

// appendFailed remembers an append that failed. The caller holds the channel's
// storing order.
func (c *channel) appendFailed(ev *Event, key string, exclude *Session) {
	if c.failed == nil {
		c.failed = new(failedAppends)
	}
	if len(*c.failed) == maxFailed {
		*c.failed = slices.Delete(*c.failed, 0, 1)
	}
	*c.failed = append(*c.failed, failedAppend{ev.ID, key, exclude})
}

// handOutFailed hands out what the store has kept although it said that it had
// failed, now that an append has succeeded: before that one's event, as the
// offsets have it. It reports whether the event of the append's idempotency key
// was among it. The caller holds the channel's storing order.
func (b *Broker) handOutFailed(ctx context.Context, c *channel, ev *Event, exclude *Session, opts storage.AppendOptions, done Published) (retried bool, err error) {
	failed := *c.failed
	isRetry := func(f failedAppend) bool { return done.Duplicate && f.key == opts.IdempotencyKey }
	if opts.Retention.Events <= 0 {
		// Nothing is kept that could be read, but the retry brings it again.
		if retried = slices.ContainsFunc(failed, isRetry); retried {
			*c.failed = slices.DeleteFunc(failed, isRetry)
			ev.Position = done.Position
			b.handOutFirst(c, ev, exclude)
		}
		return retried, nil
	}
	page, err := b.history.Read(ctx, c.id, storage.ReadOptions{Backward: true, Limit: len(failed) + 1})
	if err != nil {
		return false, b.storeFailed("history read", c.id, err)
	}
	c.failed = nil
	for i := len(page.Events) - 1; i >= 0; i-- {
		kept := &page.Events[i]
		if j := slices.IndexFunc(failed, func(f failedAppend) bool { return f.id == kept.ID }); j >= 0 {
			b.handOutFirst(c, kept, failed[j].exclude)
			retried = retried || isRetry(failed[j])
		}
	}
	return retried, nil
}

// handOutFirst hands out an event that others follow at once.
func (b *Broker) handOutFirst(c *channel, ev *Event, exclude *Session) {
	b.stats.published.Add(1)
	c.order.Lock()
	defer c.order.Unlock()
	c.fanOut(&delivery{event: ev, exclude: exclude, more: true})
}
