package cursor

import "github.com/carillon-rt/carillon/storage"

// Read is a read of the store that is to close a hole. It judges only what was known
// before it began.
type Read struct {
	// From is the position after which to read.
	From  storage.Position
	heard storage.Position
}

// Read begins a read from where the cursor stands.
func (c *Cursor) Read() Read { return Read{From: c.last, heard: c.heard} }

// Link makes the events of a page say which position is before theirs: in what was
// read without a gap nothing lies between.
func (r Read) Link(events []storage.Event) {
	prev := r.From
	for i := range events {
		events[i].Prev, prev = prev, events[i].Position
	}
}

// Stale reports whether a store's latest position is older than what was known when
// the read began: such an answer decides nothing, and is to be asked for again.
func (r Read) Stale(latest storage.Position) bool { return r.heard.After(latest) }

// Reached moves the cursor to the end of a page that was read without a gap and whose
// events have all arrived: nothing lies between the last of them and the latest
// position. Parked events up to there are handed out before.
func (c *Cursor) Reached(latest storage.Position) *storage.Event {
	if len(c.parked) > 0 && !c.parked[0].Position.After(latest) {
		ev := c.unpark()
		if ev.Position.After(c.last) {
			c.move(ev.Position)
			return ev
		}
		return c.Reached(latest)
	}
	if latest.After(c.last) {
		c.move(latest)
	}
	return nil
}

// Gap takes in that a read could not be continued from where it began, and that the
// store's latest position was this. It reports whether that is a gap, which the owner
// then tells before it hands out anything else: what Next returns, if events are here
// already. An answer that is stale, or that events have overtaken meanwhile, decides
// nothing.
func (c *Cursor) Gap(r Read, latest storage.Position) bool {
	if r.Stale(latest) || r.From != c.last {
		return false
	}
	if len(c.parked) == 0 {
		c.move(latest)
		return true
	}
	// Whatever it says is before it, the first that is here is the next from now on.
	first := *c.parked[0]
	first.Prev = c.last
	c.parked[0] = &first
	return true
}
