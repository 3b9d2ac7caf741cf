package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

const (
	// maxPastTries is how often a read is tried again whose answer is older than the
	// channel's cursor, and pastRetry how long after the first try.
	maxPastTries = 8
	pastRetry    = 10 * time.Millisecond
	// maxAheadTries is how often one is tried again whose answer is older than the
	// position to go on from, which may be anybody's invention.
	maxAheadTries = 2
)

// readPast reads what r asks for. Errors are the store's, or wrap storage.ErrGap.
func (c *channel) readPast(r *pastRead) error {
	r.done = make(chan struct{})
	c.mu.Lock()
	if c.past == nil {
		c.past = new(pastReader)
	}
	p := c.past
	c.mu.Unlock()
	p.mu.Lock()
	p.waiting = append(p.waiting, r)
	start := !p.running
	p.running = true
	p.mu.Unlock()
	if start {
		c.node.background(func() { c.servePast(p) })
	}
	select {
	case <-r.done:
		return r.err
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
}

// servePast reads for those who wait until none is left.
func (c *channel) servePast(p *pastReader) {
	for {
		p.mu.Lock()
		batch := slices.DeleteFunc(p.waiting, func(r *pastRead) bool { return r.ctx.Err() != nil })
		p.waiting = nil
		p.running = len(batch) > 0
		p.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		again := c.serve(batch)
		if len(again) == 0 {
			continue
		}
		time.Sleep(pastRetry << (again[0].tries - 1))
		p.mu.Lock()
		p.waiting = append(again, p.waiting...)
		p.mu.Unlock()
	}
}

// serve reads for a batch, and returns those whose answer was too old.
func (c *channel) serve(batch []*pastRead) (again []*pastRead) {
	var latest, after []*pastRead
	for _, r := range batch {
		if r.after == nil {
			latest = append(latest, r)
		} else {
			after = append(after, r)
		}
	}
	again = c.serveLatest(latest)
	slices.SortFunc(after, func(r, q *pastRead) int { return r.after.Compare(*q.after) })
	for len(after) > 0 {
		var old []*pastRead
		after, old = c.serveAfter(after)
		again = append(again, old...)
	}
	return again
}

// tooOld decides about a read whose answer goes as far as latest.
func (c *channel) tooOld(r *pastRead, latest Position, again []*pastRead) (bool, []*pastRead) {
	if !r.reach.After(latest) {
		return false, again
	}
	if r.tries++; r.tries > maxPastTries {
		r.fail(fmt.Errorf("history of channel %q is behind: it ends at %v, what was handed out at %v", c.id.Name, latest, r.reach))
		return true, again
	}
	return true, append(again, r)
}

// serveLatest reads the latest events once for all.
func (c *channel) serveLatest(reads []*pastRead) (again []*pastRead) {
	if len(reads) == 0 {
		return nil
	}
	o := storage.ReadOptions{Backward: true, MaxEvents: 1, MaxBytes: 1} // 0 would set no bound
	for _, r := range reads {
		o.MaxEvents, o.MaxBytes = max(o.MaxEvents, r.limit), max(o.MaxBytes, r.bytes)
	}
	page, err := c.node.readHistory(c.id, o)
	slices.Reverse(page.Events)
	p := &past{events: page.Events}
	for _, r := range reads {
		if err != nil {
			r.fail(err)
			continue
		}
		var old bool
		if old, again = c.tooOld(r, page.Latest, again); !old {
			r.answer(p, r.fit(page.Events))
		}
	}
	return again
}

// fit returns where the latest events begin that are within the read's bounds: one at
// least, if there is any.
func (r *pastRead) fit(events []Event) int {
	from, bytes := len(events), 0
	for from > 0 && len(events)-from < r.limit {
		if bytes += len(events[from-1].Data); bytes > r.bytes && from < len(events) {
			break
		}
		from--
	}
	return from
}

// serveAfter reads from the first position on, for it and for all further ones that
// the page has. It returns those that are left, and those whose answer was too old.
func (c *channel) serveAfter(reads []*pastRead) (left, again []*pastRead) {
	first := reads[0]
	o := storage.ReadOptions{From: *first.after, MaxEvents: 1, MaxBytes: 1}
	for _, r := range reads {
		o.MaxEvents, o.MaxBytes = max(o.MaxEvents, r.limit), max(o.MaxBytes, r.bytes)
	}
	page, err := c.node.readHistory(c.id, o)
	p := &past{events: page.Events}
	for _, r := range reads {
		// Only the store knows whether other positions are the channel's.
		from, found := 0, *r.after == *first.after
		if !found && err == nil && !page.More {
			from, found = slices.BinarySearchFunc(page.Events, *r.after, func(ev Event, p Position) int { return ev.Position.Compare(p) })
			from++
		}
		var old bool
		switch {
		case !found:
			left = append(left, r)
		case err != nil:
			again = c.notAfter(r, err, again)
		case page.More:
			r.seen = *r.after
			r.fail(r.tooMuch(c.id))
		default:
			if old, again = c.tooOld(r, page.Latest, again); !old {
				if bytes := dataBytes(page.Events[from:]); len(page.Events)-from > r.limit || bytes > r.bytes {
					r.seen = *r.after
					r.fail(r.tooMuch(c.id))
				} else {
					r.answer(p, from)
				}
			}
		}
	}
	return left, again
}

// notAfter decides about a read that the store could not continue from its position.
func (c *channel) notAfter(r *pastRead, err error, again []*pastRead) []*pastRead {
	var gap *storage.GapError
	if !errors.As(err, &gap) {
		r.fail(err)
		return again
	}
	old, again := c.tooOld(r, gap.Latest, again)
	switch ahead := r.after.After(gap.Latest); {
	case old:
	case ahead && r.tries < maxAheadTries:
		r.tries++
		return append(again, r)
	default:
		if !ahead {
			r.seen = *r.after
		}
		r.fail(err)
	}
	return again
}

// tooMuch is the gap of a subscription that has missed more events than it has room
// for.
func (r *pastRead) tooMuch(ch storage.ChannelID) error {
	return fmt.Errorf("%w: channel %q: more was missed than there is room for, which is %d events or %d bytes",
		storage.ErrGap, ch.Name, r.limit, r.bytes)
}

func dataBytes(events []Event) (n int) {
	for i := range events {
		n += len(events[i].Data)
	}
	return n
}
