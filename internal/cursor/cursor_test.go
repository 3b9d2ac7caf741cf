package cursor

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/carillon-rt/carillon/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func at(epoch string, offset uint64) storage.Position {
	return storage.Position{Epoch: storage.Epoch{Number: uint64(epoch[0] - 'A' + 1)}, Offset: offset}
}

func event(p storage.Position, prev ...storage.Position) *storage.Event {
	ev := &storage.Event{ID: fmt.Sprintf("%c:%d", rune('A'+p.Epoch.Number-1), p.Offset), Position: p}
	if len(prev) > 0 {
		ev.Prev = prev[0]
	}
	return ev
}

// drain returns the IDs of what is to be handed out after a verdict of Next.
func drain(c *Cursor) (ids []string) {
	for ev := c.Next(); ev != nil; ev = c.Next() {
		ids = append(ids, ev.ID)
	}
	return ids
}

func TestEventsAreReleasedInTheOrderOfTheirPositions(t *testing.T) {
	c := New(at("A", 0))
	assert.Equal(t, Parked, c.Arrive(event(at("A", 3))))
	assert.Equal(t, Parked, c.Arrive(event(at("A", 2))))
	assert.Empty(t, drain(&c))
	assert.True(t, c.Behind())
	assert.Equal(t, Next, c.Arrive(event(at("A", 1))))
	assert.Equal(t, []string{"A:2", "A:3"}, drain(&c))
	assert.False(t, c.Behind())
	for offset := range uint64(4) {
		assert.Equal(t, Passed, c.Arrive(event(at("A", offset))), "offset %d again", offset)
	}
	assert.Equal(t, at("A", 3), c.Last())
}

func TestWhatFollowsThePositionBeforeItIsNext(t *testing.T) {
	for _, tc := range []struct {
		name string
		last storage.Position
		ev   *storage.Event
		want Verdict
	}{
		{"the next offset", at("A", 4), event(at("A", 5)), Next},
		{"the first offset of an epoch known to be empty", at("B", 0), event(at("B", 1)), Next},
		{"an offset further on", at("A", 4), event(at("A", 6)), Parked},
		{"a hole in the offsets that the store names", at("A", 4), event(at("A", 9), at("A", 4)), Next},
		{"a hole behind a hole", at("A", 4), event(at("A", 9), at("A", 7)), Parked},
		{"an epoch that goes on where the last one ended", at("A", 4), event(at("B", 1), at("A", 4)), Next},
		{"an epoch that does not say what was before", at("A", 4), event(at("B", 1)), Parked},
		{"a restored store that has lost what was handed out", at("A", 4), event(at("B", 1), at("A", 2)), Parked},
		{"an epoch in which the channel was opened behind the end of the one before", at("B", 0), event(at("B", 7), at("A", 4)), Next},
		{"the last one again", at("A", 4), event(at("A", 4), at("A", 3)), Passed},
		{"one of an epoch that is over", at("B", 1), event(at("A", 9), at("A", 8)), Passed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := New(tc.last)
			assert.Equal(t, tc.want, c.Arrive(tc.ev))
		})
	}
}

func TestAnUnknownStartIsAGapWithWhateverComesFirst(t *testing.T) {
	c := New(storage.Position{})
	assert.False(t, c.Behind(), "nothing can be read from an unknown position")
	assert.Equal(t, NextAfterGap, c.Arrive(event(at("A", 7))))
	assert.Equal(t, Next, c.Arrive(event(at("A", 8))))

	c = New(storage.Position{})
	assert.Equal(t, NextAfterGap, c.Hear(at("A", 7)))
	assert.Equal(t, Passed, c.Hear(at("A", 7)))
	assert.Equal(t, Next, c.Arrive(event(at("A", 8))))
}

func TestAPositionWithoutItsEventIsWaitedFor(t *testing.T) {
	c := New(at("A", 1))
	assert.Equal(t, Parked, c.Hear(at("A", 3)))
	w := c.Wait(at("A", 3))
	require.NotNil(t, w)
	assert.True(t, c.Behind())
	assert.Nil(t, c.Wait(at("A", 1)), "it has been passed")

	r := c.Read()
	assert.Equal(t, at("A", 1), r.From)
	assert.Equal(t, Next, c.Arrive(event(at("A", 2))))
	c.Release()
	assert.Empty(t, w.Passed(), "released before its event")
	assert.Equal(t, Next, c.Arrive(event(at("A", 3))))
	c.Release()
	<-w.Passed()
	assert.Equal(t, Passed, c.Hear(at("A", 3)))
}

func TestWaitersAreReleasedInOrderAndForgotten(t *testing.T) {
	c := New(at("A", 0))
	var ws []*Waiter
	for _, offset := range []uint64{5, 2, 4, 1, 3} {
		ws = append(ws, c.Wait(at("A", offset)))
	}
	c.Forget(ws[2])
	c.Forget(ws[2])
	for offset := range uint64(3) {
		c.Arrive(event(at("A", offset+1)))
	}
	c.Release()
	<-ws[1].Passed()
	<-ws[3].Passed()
	<-ws[4].Passed()
	assert.Len(t, c.waiters, 1)
	c.ReleaseAll()
	<-ws[0].Passed()
	c.Forget(ws[0])
	select {
	case <-ws[2].Passed():
		t.Error("a waiter that was forgotten is told")
	default:
	}
}

func TestAStaleReadDecidesNothing(t *testing.T) {
	c := New(at("A", 1))
	c.Hear(at("A", 5))
	r := c.Read()
	assert.True(t, r.Stale(at("A", 4)))
	assert.False(t, r.Stale(at("A", 5)))
	assert.False(t, r.Stale(at("B", 0)))
	c.Hear(at("A", 9))
	assert.False(t, r.Stale(at("A", 5)), "judged by what arrived after it began")
}

func TestAPageSaysWhatIsNext(t *testing.T) {
	c := New(at("A", 1))
	c.Arrive(event(at("B", 4)))
	r := c.Read()
	page := []storage.Event{*event(at("A", 3)), *event(at("B", 2))}
	r.Link(page)
	assert.Equal(t, Next, c.Arrive(&page[0]))
	assert.Equal(t, Next, c.Arrive(&page[1]))
	assert.Empty(t, drain(&c))

	ev := c.Reached(at("B", 6))
	require.NotNil(t, ev, "what has arrived is handed out, although the page does not have it")
	assert.Equal(t, "B:4", ev.ID)
	assert.Nil(t, c.Reached(at("B", 6)))
	assert.Equal(t, at("B", 6), c.Last())
	assert.Nil(t, c.Reached(at("B", 5)), "never back")
	assert.Equal(t, at("B", 6), c.Last())
}

func TestAGapEndsAtWhatIsHere(t *testing.T) {
	c := New(at("A", 1))
	c.Arrive(event(at("B", 4), at("B", 2)))
	c.Arrive(event(at("B", 7), at("B", 4)))
	w := c.Wait(at("A", 3))
	assert.False(t, c.Gap(c.Read(), at("B", 6)), "the store's answer is stale")
	assert.True(t, c.Gap(c.Read(), at("B", 9)))
	c.Release()
	assert.Empty(t, w.Passed(), "released before anything was handed out")
	assert.Equal(t, []string{"B:4", "B:7"}, drain(&c))
	c.Release()
	<-w.Passed()
	assert.Equal(t, at("B", 7), c.Last())

	c.Hear(at("C", 1))
	r := c.Read()
	assert.Equal(t, Next, c.Arrive(event(at("B", 8))))
	assert.False(t, c.Gap(r, at("C", 2)), "an event has come meanwhile")
	assert.True(t, c.Gap(c.Read(), at("C", 2)))
	assert.Equal(t, at("C", 2), c.Last())
	assert.False(t, c.Behind())
}

func TestWhatOverflowsIsRememberedByItsPosition(t *testing.T) {
	for name, tc := range map[string]struct{ size, parked int }{
		"number":             {0, MaxParked},
		"bytes":              {MaxParkedBytes/4 + 1, 3},
		"one is always kept": {MaxParkedBytes + 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c := New(at("A", 0))
			data := make([]byte, tc.size)
			for offset := uint64(2); offset < MaxParked+10; offset++ {
				ev := event(at("A", offset))
				ev.Data = data
				assert.Equal(t, Parked, c.Arrive(ev))
			}
			assert.Len(t, c.parked, tc.parked)
			assert.Equal(t, Next, c.Arrive(event(at("A", 1))))
			assert.Len(t, drain(&c), tc.parked)
			assert.Zero(t, c.parkedBytes)
			assert.True(t, c.Behind(), "the rest is forgotten")
		})
	}
}
