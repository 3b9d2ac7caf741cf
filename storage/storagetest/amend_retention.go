package storagetest

import (
	"slices"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

// checkAmendRetention edits more often than the channel keeps events.
func checkAmendRetention(t amendTest) {
	ch := t.channel("room")
	opts := keep(3)
	for _, id := range []string{"a", "b", "c"} {
		t.publish(ch, id, id, opts)
	}
	before := t.latest(ch)
	for i := range uint64(20) {
		t.amend(ch, amendment(ch, storage.Edit, "a", i, strconv.Itoa(int(i)), opts))
	}
	require.Equal(t, []string{"19/20", "b/0", "c/0"}, t.current(ch))
	page := t.read(ch, storage.ReadOptions{From: before})
	require.Len(t, page.Events, 20, "as many amendments are kept, for those who resume")
	require.NoError(t, follow(before, page.Events))
	t.publish(ch, "d", "d", opts)
	require.Equal(t, []string{"b/0", "c/0", "d/0"}, t.current(ch))
	t.requireNoTarget(ch, "a")
	t.amend(ch, amendment(ch, storage.Edit, "d", 0, "D", keep(1)))
	require.Equal(t, []string{"D/1"}, t.current(ch), "the retention of an amendment counts")
	t.requireNoTarget(ch, "c")
}

// checkAmendBound amends so often that not all amendments are kept.
func checkAmendBound(t amendTest) {
	const events, more = 4, 3 * storage.FillEvents
	ch := t.channel("room")
	opts := keep(events)
	start := t.latest(ch)
	for i := range events {
		t.publish(ch, strconv.Itoa(i), strconv.Itoa(i), opts)
	}
	positions := []storage.Position{t.latest(ch)}
	for i := range uint64(more) {
		positions = append(positions, t.amend(ch, amendment(ch, storage.Extend, "1", i, "x", opts)).Position)
	}
	want := []string{"0/0", "1" + strings.Repeat("x", more) + "/" + strconv.Itoa(more), "2/0", "3/0"}
	check := func() {
		t.Helper()
		require.Equal(t, want, t.current(ch), "no amendment drives an event out")
		page := t.read(ch, storage.ReadOptions{From: start, Current: true})
		require.Equal(t, want, shown(page.Events), "a current read from before the events is no gap")
		require.Equal(t, t.latest(ch), page.Latest)
		for i := len(want) - 1; i >= 0; i-- {
			require.Equal(t, want[:i], shown(reversed(t.read(ch, storage.ReadOptions{From: page.Events[i].Position, Backward: true, Current: true}).Events)))
			require.Equal(t, want[i+1:], shown(t.read(ch, storage.ReadOptions{From: page.Events[i].Position, Current: true}).Events))
		}
	}
	check()
	t.requireGap(ch, storage.ReadOptions{From: positions[0]})
	from := positions[more-storage.FillEvents]
	page := t.read(ch, storage.ReadOptions{From: from})
	require.Len(t, page.Events, storage.FillEvents)
	require.NoError(t, follow(from, page.Events))

	t.amend(ch, amendment(ch, storage.Edit, "0", 0, "zero", opts))
	want[0] = "zero/1"
	check()
	t.amend(ch, amendment(ch, storage.Retract, "1", more, "", opts))
	want[1] = "-/" + strconv.Itoa(more+1)
	check()
	t.publish(ch, "4", "4", opts)
	want = append(want[1:], "4/0")
	require.Equal(t, want, t.current(ch))
	t.requireGap(ch, storage.ReadOptions{From: start, Current: true})
	t.requireNoTarget(ch, "0")
	for i := 5; i < 9; i++ {
		t.publish(ch, strconv.Itoa(i), strconv.Itoa(i), opts)
	}
	require.Equal(t, []string{"5/0", "6/0", "7/0", "8/0"}, t.current(ch))
}

func reversed(events []storage.Event) []storage.Event {
	events = slices.Clone(events)
	slices.Reverse(events)
	return events
}

func checkAmendAge(t amendTest) {
	ch := t.channel("room")
	opts := keep(10)
	opts.Retention.Age = short
	t.publish(ch, "a", "one", opts)
	if t.clock.exact() {
		t.clock.advance(short * 3 / 5)
		t.amend(ch, amendment(ch, storage.Edit, "a", 0, "two", opts))
		require.Equal(t, []string{"two/1"}, t.current(ch))
	}
	t.clock.until(t.TB, short*3/5, "expired: the event", func() bool { return len(t.current(ch)) == 0 })
	_, err := t.amender.Amend(t.ctx, ch, amendment(ch, storage.Edit, "a", 1, "three", opts))
	require.ErrorIs(t, err, storage.ErrNoTarget, "an amendment does not make its target younger")
	t.publish(ch, "b", "four", opts)
	require.Equal(t, []string{"four/0"}, t.current(ch))
}
