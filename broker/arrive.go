package broker

import (
	"context"
	"errors"
	"time"

	"github.com/carillon-rt/carillon/internal/cursor"
	"github.com/carillon-rt/carillon/storage"
)

// arrive gives an event its place in the order, by its position. The waiter, if not
// nil, is released when the event has been handed out. It reports whether the channel
// is still there.
func (c *channel) arrive(ev *Event, wait bool) (waiter *cursor.Waiter, there bool) {
	c.order.Lock()
	defer c.order.Unlock()
	if c.kept.closed {
		return nil, false
	}
	if c.take(ev) == cursor.Parked && wait {
		waiter = c.kept.Wait(ev.Position)
	}
	return waiter, true
}

// arrivePosition is arrive for a position whose event has yet to be read.
func (c *channel) arrivePosition(p Position, wait bool) (waiter *cursor.Waiter, there bool) {
	c.order.Lock()
	defer c.order.Unlock()
	if c.kept.closed {
		return nil, false
	}
	switch c.kept.Hear(p) {
	case cursor.NextAfterGap:
		c.handOutGap(c.unknownBefore(p), p)
		c.kept.Release()
	case cursor.Parked:
		c.planRead()
	}
	if wait {
		waiter = c.kept.Wait(p)
	}
	return waiter, true
}

// take hands out an event that is next, with those that follow it, or parks it. The
// caller holds c.order.
func (c *channel) take(ev *Event) cursor.Verdict {
	verdict := c.kept.Arrive(ev)
	switch verdict {
	case cursor.NextAfterGap:
		c.handOutGap(c.unknownBefore(ev.Position), Position{})
		fallthrough
	case cursor.Next:
		c.handOutEvent(ev)
		if !c.kept.Settled() {
			c.follow()
		}
	case cursor.Parked:
		c.planRead()
	}
	return verdict
}

// follow hands out the parked events that are next, and releases who waits. The
// caller holds c.order.
func (c *channel) follow() {
	for ev := c.kept.Next(); ev != nil; ev = c.kept.Next() {
		c.handOutEvent(ev)
	}
	c.kept.Release()
	if c.kept.Behind() {
		c.planRead()
	}
}

// planRead has the store read in a while if missing events do not arrive by then. The
// caller holds c.order.
func (c *channel) planRead() {
	if k := c.kept; k.timer == nil && !k.reading {
		c.readAfter(c.node.appendTime.wait())
	}
}

func (c *channel) readAfter(d time.Duration) {
	c.kept.planned = c.kept.Last()
	c.kept.timer = time.AfterFunc(d, c.readDue)
}

// readDue reads the store, unless the cursor moves by itself.
func (c *channel) readDue() {
	c.order.Lock()
	defer c.order.Unlock()
	k := c.kept
	k.timer = nil
	switch {
	case k.closed || k.reading:
	case k.Behind() && k.Last() != k.planned && k.retry == 0:
		c.planRead()
	case k.Behind() || k.doubted():
		c.read()
	default:
		k.retry = 0 // what a read could not decide came by itself
	}
}

// read begins to read what is missing. The caller holds c.order.
func (c *channel) read() {
	c.kept.reading, c.kept.urgent = true, false
	r := c.kept.Read()
	c.node.background(func() {
		page, err := c.node.readHistory(c.id,
			storage.ReadOptions{From: r.From, MaxEvents: orderPage, MaxBytes: orderPageBytes, Fill: true})
		c.order.Lock()
		defer c.order.Unlock()
		c.kept.reading = false
		if !c.kept.closed {
			c.readEnds(c.judge(r, page, err), page.More)
		}
	})
}

// judge uses what a read has returned, and reports whether that decided anything. The
// caller holds c.order.
func (c *channel) judge(r cursor.Read, page storage.Page, err error) bool {
	var gap *storage.GapError
	switch {
	case errors.As(err, &gap):
		if c.kept.Gap(r, gap.Latest) {
			at := c.kept.Last()
			if at == r.From {
				at = Position{} // what is parked comes next, wherever it stands
			}
			c.handOutGap(err, at)
			c.follow()
			return true
		}
		return false
	case err != nil:
		return false
	}
	r.Link(page.Events)
	for i := range page.Events {
		c.take(&page.Events[i])
	}
	if page.More {
		return true
	}
	stale := r.Stale(page.Latest)
	if !stale {
		for ev := c.kept.Reached(page.Latest); ev != nil; ev = c.kept.Reached(page.Latest) {
			c.handOutEvent(ev)
		}
		c.follow()
	}
	return !stale || len(page.Events) > 0
}

// readEnds plans the next read, if there is to be one. The caller holds c.order.
func (c *channel) readEnds(decided, more bool) {
	k := c.kept
	if decided {
		k.retry = 0
	} else {
		k.retry = min(max(2*k.retry, minOrderRetry), maxOrderRetry)
	}
	c.kept.stopTimer()
	switch {
	case decided && (more || k.urgent):
		c.read()
	case !decided:
		c.readAfter(k.retry)
	case k.Behind():
		c.planRead()
	case k.doubted():
		k.check = min(max(2*k.check, c.node.appendTime.wait()), maxOrderRetry)
		c.readAfter(k.check)
	}
}

// unknownBefore is the gap of a channel that was opened while its store could not say
// where it stands.
func (c *channel) unknownBefore(p Position) error {
	return &storage.GapError{Channel: c.id, Latest: p}
}

// doubtStore reads, now and for some time, whether the store has stored an event
// although its append failed: subscribers may not miss what the history has. The caller
// holds c.order.
func (c *channel) doubtStore() {
	k := c.kept
	k.doubt, k.check = time.Now().Add(orderDoubt), 0
	switch {
	case k.reading:
		k.urgent = true
	case k.retry == 0: // else the store fails to be read as well
		c.kept.stopTimer()
		c.read()
	}
}

// handOutGap tells those who can be told that events up to the next that is handed out
// are missing. at is where that one goes on from, if it is known. The caller holds
// c.order.
func (c *channel) handOutGap(gap error, at Position) {
	n := c.node
	n.stats.gaps.Add(1)
	n.background(func() {
		n.log.Warn("events of a channel are lost to its subscribers", "app", c.id.App, "channel", c.id.Name, "error", gap)
	})
	if n.observers.want(c.id.App, ObserveChannelGap) {
		n.observers.tell(context.Background(), c.id.App, ChannelGap{App: c.id.App, Channel: c.id.Name, Err: gap})
	}
	inform(context.Background(), &n.hooks, gapTold, ChannelChange{App: c.id.App, Channel: c.id.Name, Time: time.Now()})
	c.handOut(&delivery{gap: gap, notice: GapNotice{c.id.Name, at}})
}

// appendFailed notes that an append has failed.
func (c *channel) appendFailed(opts *storage.AppendOptions) {
	c.order.Lock()
	defer c.order.Unlock()
	switch {
	case opts.Retention.Events == 0:
		if c.failed == nil {
			c.failed = new(failedKeys)
		}
		c.failed.add(opts.IdempotencyKey)
	case !c.kept.closed:
		c.doubtStore()
	}
}

// takeFailed reports whether an append with this idempotency key has failed on the
// channel, which keeps no events, and forgets that.
func (c *channel) takeFailed(key string) bool {
	c.order.Lock()
	defer c.order.Unlock()
	return c.failed != nil && c.failed.take(key)
}

// forget removes a waiter that waits no longer.
func (c *channel) forget(w *cursor.Waiter) {
	c.order.Lock()
	defer c.order.Unlock()
	c.kept.Forget(w)
}
