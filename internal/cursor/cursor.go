// Package cursor puts the events of one channel into the order of their positions,
// from whatever source and in whatever order they arrive: publishers whose appends
// return in any order, what was read from the store, and other processes.
//
// It only decides: it takes no lock, starts no timer and reads no store. Its owner
// hands out the events that it returns, and reads the store when it asks for that:
//
//	if c.Arrive(ev) == cursor.Next {
//		handOut(ev)
//		for ev := c.Next(); ev != nil; ev = c.Next() {
//			handOut(ev)
//		}
//	}
//	c.Release()
package cursor

import (
	"slices"

	"github.com/carillon-rt/carillon/storage"
)

// The bounds of what is parked: beyond them an event is dropped and its position
// kept, since the store has the event.
const (
	MaxParked      = 1024
	MaxParkedBytes = 1 << 20
)

// Cursor is how far a channel's events have been handed out. It is not safe for
// concurrent use: the owner's lock guards it.
type Cursor struct {
	// last is the position of the last event that was handed out, or where the
	// channel stood when it was opened.
	last storage.Position
	// lost says that where the channel stands is not known: the next event comes
	// behind a gap.
	lost bool
	// heard is the highest position that is known to exist.
	heard storage.Position
	// parked are events further on than the next, by position.
	parked      []*storage.Event
	parkedBytes int
	waiters     waiters
}

// New returns the cursor of a channel whose latest event is at a position. An older
// answer of the store is harmless. The zero Position says that it is not known.
func New(latest storage.Position) Cursor {
	return Cursor{last: latest, heard: latest, lost: latest.IsZero()}
}

// Verdict says what is to be done with an event that has arrived.
type Verdict int

const (
	// Passed: it was handed out before, or lies in a gap that was told.
	Passed Verdict = iota
	// Next: it is to be handed out now, and then what Cursor.Next returns.
	Next
	// NextAfterGap: a gap is to be told first.
	NextAfterGap
	// Parked: events are missing before it.
	Parked
)

// Last returns how far the channel's events have been handed out; the zero Position
// where that is not known.
func (c *Cursor) Last() storage.Position { return c.last }

// Heard returns the highest position that is known to exist.
func (c *Cursor) Heard() storage.Position { return c.heard }

// Arrive takes in an event with a position. On Next the cursor has moved to it.
func (c *Cursor) Arrive(ev *storage.Event) Verdict {
	if c.lost {
		c.lost = false
		c.move(ev.Position)
		return NextAfterGap
	}
	if !ev.Position.After(c.last) {
		return Passed
	}
	if ev.Follows(c.last) {
		c.move(ev.Position)
		return Next
	}
	c.hear(ev.Position)
	c.park(ev)
	return Parked
}

func (c *Cursor) move(to storage.Position) {
	c.last = to
	c.hear(to)
}

// Hear takes in that an event exists at a position, without the event: an append
// that was a duplicate, or a channel's latest position. The verdict is Parked where
// the event is still to come, and NextAfterGap where a gap is to be told in its
// place.
func (c *Cursor) Hear(p storage.Position) Verdict {
	if c.lost {
		c.lost = false
		c.move(p)
		return NextAfterGap
	}
	c.hear(p)
	if p.After(c.last) {
		return Parked
	}
	return Passed
}

func (c *Cursor) hear(p storage.Position) {
	if p.After(c.heard) {
		c.heard = p
	}
}

// park keeps an event until those before it have arrived.
func (c *Cursor) park(ev *storage.Event) {
	i, found := slices.BinarySearchFunc(c.parked, ev.Position, func(e *storage.Event, p storage.Position) int {
		return e.Position.Compare(p)
	})
	if found || len(c.parked) >= MaxParked || c.parkedBytes+len(ev.Data) > MaxParkedBytes && len(c.parked) > 0 {
		return
	}
	c.parked = slices.Insert(c.parked, i, ev)
	c.parkedBytes += len(ev.Data)
}

// unpark takes the first of the parked events.
func (c *Cursor) unpark() *storage.Event {
	ev := c.parked[0]
	c.parked[0] = nil
	c.parkedBytes -= len(ev.Data)
	if c.parked = c.parked[1:]; len(c.parked) == 0 {
		c.parked = nil
	}
	return ev
}

// Next returns the parked event that is to be handed out now, and moves to it; nil
// if there is none.
func (c *Cursor) Next() *storage.Event {
	for len(c.parked) > 0 {
		if c.parked[0].Position.After(c.last) {
			if !c.parked[0].Follows(c.last) {
				return nil
			}
			ev := c.unpark()
			c.move(ev.Position)
			return ev
		}
		c.unpark()
	}
	return nil
}

// Settled reports whether nothing is parked, nobody waits, and no event is known of that
// has not been handed out: then there is no more to do.
func (c *Cursor) Settled() bool {
	return len(c.parked) == 0 && len(c.waiters) == 0 && c.heard == c.last
}

// Behind reports whether events are known to exist that have not been handed out.
func (c *Cursor) Behind() bool { return !c.lost && c.heard.After(c.last) }
