package broker

import (
	"context"
	"slices"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

// readPast reads what q asks for. Errors are the store's, or wrap storage.ErrGap.
func (c *channel) readPast(q *pastQuery) error {
	q.done = make(chan struct{})
	c.mu.Lock()
	if c.past == nil {
		c.past = new(pastReader)
	}
	p := c.past
	c.mu.Unlock()
	c.enqueue(p, q)
	select {
	case <-q.done:
		return q.err
	case <-q.ctx.Done():
		return context.Cause(q.ctx)
	}
}

// enqueue has queries take part in the next read.
func (c *channel) enqueue(p *pastReader, queries ...*pastQuery) {
	p.mu.Lock()
	p.waiting = append(p.waiting, queries...)
	start := !p.running
	p.running = true
	p.mu.Unlock()
	if start {
		c.node.background(func() { c.readForAll(p) })
	}
}

// readForAll reads for those who wait until none is left.
func (c *channel) readForAll(p *pastReader) {
	for going := true; going; {
		time.Sleep(time.Until(p.begun.Add(pastWindow)))
		p.mu.Lock()
		batch := slices.DeleteFunc(p.waiting, func(q *pastQuery) bool { return q.ctx.Err() != nil })
		p.waiting = nil
		p.mu.Unlock()
		p.begun = time.Now()
		if again := c.readBatch(batch); len(again) > 0 {
			// Not by this reader: others need not wait for what may be anybody's invention.
			c.node.background(func() {
				time.Sleep(pastRetry << (again[0].tries - 1))
				c.enqueue(p, again...)
			})
		}
		p.mu.Lock()
		going = len(p.waiting) > 0
		p.running = going
		p.mu.Unlock()
	}
}

// readBatch reads for a batch, and returns those that are to be read for again.
func (c *channel) readBatch(batch []*pastQuery) (again []*pastQuery) {
	var latest, after []*pastQuery
	for _, q := range batch {
		if q.after == nil {
			latest = append(latest, q)
		} else {
			after = append(after, q)
		}
	}
	again = c.readLatest(latest, again)
	slices.SortFunc(after, func(q, o *pastQuery) int { return q.after.Compare(*o.after) })
	for len(after) > 0 {
		after, again = c.readAfterFirst(after, again)
	}
	return again
}

// readLatest reads the latest events once for all.
func (c *channel) readLatest(queries, again []*pastQuery) []*pastQuery {
	if len(queries) == 0 {
		return again
	}
	o := storage.ReadOptions{Backward: true, Current: true}
	found, page, err := c.readFor(queries, o)
	slices.Reverse(found.events)
	// Who has not seen an event has no use for its retraction.
	found.events = slices.DeleteFunc(found.events, func(ev Event) bool { return ev.Retracted })
	found.end, found.more = page.Latest, page.More
	link(Position{}, found.events)
	for _, q := range queries {
		if q.settle(c.id, found, q.fit(found.events), &page, err) {
			again = append(again, q)
		}
	}
	return again
}

// readAfterFirst reads from the first position on, for it and for all further ones that
// the page has. It returns the queries that are left.
func (c *channel) readAfterFirst(queries, again []*pastQuery) (left, _ []*pastQuery) {
	first := *queries[0].after
	found, page, err := c.readFor(queries, storage.ReadOptions{From: first})
	link(first, found.events)
	for _, q := range queries {
		// Only the store knows whether other positions are the channel's.
		from, ok := 0, *q.after == first
		if !ok && err == nil && !page.More {
			from, ok = slices.BinarySearchFunc(found.events, *q.after, func(ev Event, p Position) int { return ev.Position.Compare(p) })
			from++
		}
		switch {
		case !ok:
			left = append(left, q)
		case q.settle(c.id, found, from, &page, err):
			again = append(again, q)
		}
	}
	return left, again
}

// readFor reads as much as the most demanding of the queries asks for.
func (c *channel) readFor(queries []*pastQuery, o storage.ReadOptions) (*pastEvents, storage.Page, error) {
	o.MaxEvents, o.MaxBytes = 1, 1 // 0 would set no bound
	for _, q := range queries {
		o.MaxEvents, o.MaxBytes = max(o.MaxEvents, q.limit), max(o.MaxBytes, q.bytes)
	}
	page, err := c.node.readHistory(c.id, o)
	return &pastEvents{events: page.Events}, page, err
}
