package cursor

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/carillon-rt/carillon/storage"
)

// world is a channel's history as a store has it, and what a cursor's owner has
// handed out of it.
type world struct {
	t      *rapid.T
	cursor Cursor
	// log has every event of the channel; those before kept cannot be read any more.
	log  []*storage.Event
	kept int
	// known is the highest position that the cursor was told of.
	known storage.Position
	// told is what subscribers have seen: an event, or nil for a gap.
	told    []*storage.Event
	waiting map[*Waiter]storage.Position
}

// latest is where the store stands when it knows of the first n events.
func (w *world) latest(n int) storage.Position {
	if n == 0 {
		return at("A", 0)
	}
	return w.log[n-1].Position
}

func (w *world) handOut(verdict Verdict, ev *storage.Event, p storage.Position) {
	if p.After(w.known) {
		w.known = p
	}
	if verdict == NextAfterGap {
		w.told = append(w.told, nil)
	}
	if verdict == Next || verdict == NextAfterGap {
		if ev != nil {
			w.told = append(w.told, ev)
		}
		w.follow()
	}
}

func (w *world) follow() {
	for ev := w.cursor.Next(); ev != nil; ev = w.cursor.Next() {
		w.told = append(w.told, ev)
	}
	w.cursor.Release()
}

// read does what the owner does of a read that sees the first n events of the log.
func (w *world) read(r Read, n, limit int) {
	latest := w.latest(n)
	first := 0
	for first < n && !w.log[first].Position.After(r.From) {
		first++
	}
	if first < w.kept || r.From.After(latest) {
		if w.cursor.Gap(r, latest) {
			w.told = append(w.told, nil)
			w.follow()
		}
		return
	}
	page := make([]storage.Event, 0, limit)
	for _, ev := range w.log[first:min(first+limit, n)] {
		page = append(page, *ev)
	}
	r.Link(page)
	for i := range page {
		w.handOut(w.cursor.Arrive(&page[i]), &page[i], page[i].Position)
	}
	if first+limit >= n && !r.Stale(latest) {
		for ev := w.cursor.Reached(latest); ev != nil; ev = w.cursor.Reached(latest) {
			w.told = append(w.told, ev)
		}
		w.follow()
	}
}

// check holds that what was told is the log from where the channel was opened: in
// order, nothing twice, and nothing left out without a gap.
func (w *world) check(opened int) {
	next := opened
	gap := false
	for _, ev := range w.told {
		if ev == nil {
			gap = true
			continue
		}
		i := next
		for i < len(w.log) && w.log[i].ID != ev.ID {
			i++
		}
		require.Less(w.t, i, len(w.log), "%s was told out of order", ev.ID)
		require.True(w.t, i == next || gap, "%s was told before what stands between it and the one before", ev.ID)
		next, gap = i+1, false
	}
	for waiter, p := range w.waiting {
		select {
		case <-waiter.Passed():
			require.False(w.t, p.After(w.cursor.Last()), "released before it was passed")
			delete(w.waiting, waiter)
		default:
			require.True(w.t, p.After(w.cursor.Last()), "kept waiting although it was passed")
		}
	}
}

func TestEveryScheduleIsToldInOrderOnceAndWithItsGaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: t, waiting: map[*Waiter]storage.Position{}}
		epoch, holes := byte('A'), rapid.Bool().Draw(t, "holes")
		large := rapid.Bool().Draw(t, "large") // only one of them is parked
		last, offset := at("A", 0), uint64(0)
		appendOne := func() {
			step := uint64(1)
			if holes {
				step = rapid.Uint64Range(1, 3).Draw(t, "step")
			}
			offset += step
			ev := event(at(string(epoch), offset))
			if holes || last.Epoch != ev.Position.Epoch {
				ev.Prev = last
			}
			if large {
				ev.Data = half
			}
			w.log, last = append(w.log, ev), ev.Position
		}
		for range rapid.IntRange(0, 5).Draw(t, "before") {
			appendOne()
		}
		opened := rapid.IntRange(0, len(w.log)).Draw(t, "opened")
		if rapid.Bool().Draw(t, "unknown") {
			w.cursor, opened = New(storage.Position{}), 0
		} else {
			w.cursor = New(w.latest(opened))
		}
		var reads []Read
		pick := func() *storage.Event { return w.log[rapid.IntRange(0, len(w.log)-1).Draw(t, "event")] }
		t.Repeat(map[string]func(*rapid.T){
			"append": func(*rapid.T) { appendOne() },
			"new epoch": func(*rapid.T) {
				if epoch < 'Z' {
					epoch, offset = epoch+1, 0
				}
			},
			"expire": func(t *rapid.T) { w.kept = max(w.kept, rapid.IntRange(0, len(w.log)).Draw(t, "kept")) },
			"arrive": func(t *rapid.T) {
				if len(w.log) > 0 {
					ev := *pick()
					w.handOut(w.cursor.Arrive(&ev), &ev, ev.Position)
				}
			},
			"hear": func(t *rapid.T) {
				if len(w.log) > 0 {
					p := pick().Position
					w.handOut(w.cursor.Hear(p), nil, p)
				}
			},
			"wait": func(t *rapid.T) {
				if len(w.log) > 0 {
					p := pick().Position
					if waiter := w.cursor.Wait(p); waiter != nil {
						w.waiting[waiter] = p
					}
				}
			},
			"begin to read": func(*rapid.T) {
				if w.cursor.Behind() {
					reads = append(reads, w.cursor.Read())
				}
			},
			"end a read": func(t *rapid.T) {
				if len(reads) > 0 {
					r := reads[0]
					reads = reads[1:]
					w.read(r, rapid.IntRange(0, len(w.log)).Draw(t, "seen"), rapid.IntRange(1, 4).Draw(t, "limit"))
				}
			},
			"": func(*rapid.T) { w.check(opened) },
		})
		for n := 0; w.cursor.Behind(); n++ {
			require.LessOrEqual(t, n, 2*len(w.log), "reads do not come to an end")
			w.read(w.cursor.Read(), len(w.log), 4)
		}
		w.check(opened)
		require.False(t, w.known.After(w.cursor.Last()), "what is known to exist is forgotten")
	})
}

// half is more than half of what may be parked.
var half = make([]byte, MaxParkedBytes/2+1)
