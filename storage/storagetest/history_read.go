package storagetest

import (
	"math"
	"slices"
	"strconv"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

func checkUnknownChannel(t *historyTest) {
	ch := t.channel("nobody-was-here")
	for _, backward := range []bool{false, true} {
		page := t.read(ch, storage.ReadOptions{Backward: backward, MaxEvents: 10})
		require.Empty(t, page.Events)
		require.False(t, page.More, "Page.More")
		require.Equal(t, t.latest(ch), page.Latest, "Page.Latest")
		t.requirePage(ch, storage.ReadOptions{From: page.Latest, Backward: backward}, nil)

		for _, from := range []storage.Position{at(elsewhere(page.Latest), 1), elsewhere(page.Latest), ahead(page.Latest, 1)} {
			gap := t.requireGap(ch, storage.ReadOptions{From: from, Backward: backward})
			require.True(t, gap.Oldest.IsZero(), "GapError.Oldest")
			require.Equal(t, page.Latest, gap.Latest, "GapError.Latest")
		}
	}
	require.Zero(t, t.latest(ch).Offset, "Latest")
	require.NoError(t, t.store.Delete(t.ctx, ch), "Delete of a channel that does not exist")
}

// elsewhere returns a position whose epoch no store has.
func elsewhere(p storage.Position) storage.Position {
	p.Epoch.Random++
	return p
}

func checkFirstPosition(t *historyTest) {
	ch := t.channel("room")
	start := t.latest(ch)
	require.Equal(t, start, t.latest(ch), "Latest does not change by itself")
	first := t.append(ch, "1", keep(10)).Position
	t.append(ch, "2", keep(10))
	require.Equal(t, start.Epoch, first.Epoch, "the first event is of the epoch that Latest named before")
	t.requirePage(ch, storage.ReadOptions{From: start}, []string{"1", "2"})
	require.NoError(t, follow(start, t.read(ch, storage.ReadOptions{}).Events))
}

func checkLatestOfMany(t *historyTest) {
	var channels []storage.ChannelID
	var want []storage.Position
	for i := range 20 {
		ch := t.channel("room" + strconv.Itoa(i))
		channels, want = append(channels, ch), append(want, last(t.fill(ch, i%3, keep(1))))
	}
	channels, want = append(channels, channels[4]), append(want, want[4])
	got, err := t.store.Latest(t.ctx, channels)
	require.NoError(t, err)
	require.Equal(t, want, got, "positions in the order of the channels asked for, one of them twice")
	got, err = t.store.Latest(t.ctx, nil)
	require.NoError(t, err)
	require.Empty(t, got)
}

func checkReadForward(t *historyTest) {
	t.checkRead(false, []string{"1", "2", "3", "4", "5"})
}

func checkReadBackward(t *historyTest) {
	t.checkRead(true, []string{"5", "4", "3", "2", "1"})
}

// checkRead reads from an end of the channel, where it must find want.
func (t *historyTest) checkRead(backward bool, want []string) {
	ch := t.channel("room")
	positions := t.fill(ch, len(want), keep(100))
	for limit := range len(want) + 2 {
		page := t.read(ch, storage.ReadOptions{Backward: backward, MaxEvents: limit})
		n := limit
		if limit == 0 || limit > len(want) {
			n = len(want)
		}
		require.Equal(t, want[:n], texts(page), "limit %d", limit)
		require.Equal(t, n < len(want), page.More, "Page.More with limit %d", limit)
		require.Equal(t, last(positions), page.Latest, "Page.Latest")
		for _, ev := range page.Events {
			i, err := strconv.Atoi(string(ev.Data))
			require.NoError(t, err)
			require.Equal(t, positions[i], ev.Position, "an event carries its position")
		}
	}
}

func checkReadFrom(t *historyTest) {
	ch := t.channel("room")
	all := []string{"1", "2", "3", "4", "5", "6"}
	for i, from := range t.fill(ch, len(all), keep(100)) {
		newer, older := all[i:], all[:max(i-1, 0)]
		older = slices.Clone(older)
		slices.Reverse(older)
		for _, limit := range []int{0, 1, 2, 5, 6} {
			t.requirePage(ch, storage.ReadOptions{From: from, MaxEvents: limit}, newer)
			t.requirePage(ch, storage.ReadOptions{From: from, MaxEvents: limit, Backward: true}, older)
		}
	}
}

// requirePage requires that a read returns the events with this data, as far as
// its limit allows.
func (t *historyTest) requirePage(ch storage.ChannelID, opts storage.ReadOptions, all []string) {
	t.Helper()
	want := all
	if opts.MaxEvents > 0 && opts.MaxEvents < len(all) {
		want = all[:opts.MaxEvents]
	}
	page := t.read(ch, opts)
	require.Len(t, page.Events, len(want), "Read with %+v", opts)
	for i, data := range texts(page) {
		require.Equal(t, want[i], data, "event %d of Read with %+v", i, opts)
	}
	require.Equal(t, len(want) < len(all), page.More, "Page.More of Read with %+v", opts)
}

func checkReadPages(t *historyTest) {
	ch := t.channel("room")
	t.fill(ch, 10, keep(100))
	for _, backward := range []bool{false, true} {
		var all, sizes []string
		opts := storage.ReadOptions{Backward: backward, MaxEvents: 4}
		for more := true; more && len(sizes) < 10; {
			page := t.read(ch, opts)
			require.NotEmpty(t, page.Events, "a page after one with More")
			all = append(all, texts(page)...)
			sizes = append(sizes, strconv.Itoa(len(page.Events)))
			opts.From, more = page.Events[len(page.Events)-1].Position, page.More
		}
		if backward {
			slices.Reverse(all)
		}
		require.Equal(t, []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}, all)
		require.Equal(t, []string{"4", "4", "2"}, sizes, "sizes of the pages")
	}
}

// checkReadLong reads more events at once than engines return of themselves.
func checkReadLong(t *historyTest) {
	const callers, each, limit = 10, 110, 1001
	ch := t.channel("room")
	require.NoError(t, together(callers, func(int) error {
		for range each {
			if _, err := t.store.Append(t.ctx, ch, event(ch, "x"), keep(callers*each)); err != nil {
				return err
			}
		}
		return nil
	}))
	for _, backward := range []bool{false, true} {
		page := t.read(ch, storage.ReadOptions{Backward: backward})
		require.Len(t, page.Events, callers*each, "a page without a limit")
		require.False(t, page.More, "Page.More without a limit")
		page = t.read(ch, storage.ReadOptions{Backward: backward, MaxEvents: limit})
		require.Len(t, page.Events, limit)
		require.True(t, page.More, "Page.More")
	}
}

func checkReadFromLatest(t *historyTest) {
	for _, opts := range []storage.AppendOptions{keep(100), keep(1), keep(0)} {
		ch := t.channel(unique("room"))
		last := last(t.fill(ch, 3, opts))
		page := t.read(ch, storage.ReadOptions{From: last})
		require.Empty(t, page.Events, "nothing is newer than the latest event")
		require.False(t, page.More)
		require.Equal(t, last, page.Latest)
	}
}

func checkGapTrimmed(t *historyTest) {
	ch := t.channel("room")
	positions := t.fill(ch, 6, keep(3))
	t.requirePage(ch, storage.ReadOptions{From: positions[3]}, []string{"4", "5", "6"})
	for _, from := range positions[:3] {
		for _, limit := range []int{0, 1} {
			gap := t.requireGap(ch, storage.ReadOptions{From: from, MaxEvents: limit})
			require.Equal(t, positions[4], gap.Oldest, "GapError.Oldest")
			require.Equal(t, positions[6], gap.Latest, "GapError.Latest")
		}
	}
}

func checkGapEpoch(t *historyTest) {
	ch := t.channel("room")
	last := last(t.fill(ch, 3, keep(100)))
	number := last.Epoch.Number
	for _, from := range []storage.Position{
		elsewhere(last), at(elsewhere(last), 0), at(elsewhere(last), 1),
		{Epoch: storage.Epoch{Number: 1}, Offset: 1},
		{Epoch: storage.Epoch{Number: number - 1, Random: last.Epoch.Random}, Offset: 1},
		{Epoch: storage.Epoch{Number: number + 1, Random: last.Epoch.Random}},
		{Epoch: storage.Epoch{Number: math.MaxUint64, Random: math.MaxUint64}, Offset: math.MaxUint64},
	} {
		for _, backward := range []bool{false, true} {
			gap := t.requireGap(ch, storage.ReadOptions{From: from, Backward: backward})
			require.Equal(t, last, gap.Latest, "GapError.Latest")
		}
	}
}

func checkGapFuture(t *historyTest) {
	ch := t.channel("room")
	last := last(t.fill(ch, 3, keep(100)))
	for _, offset := range []uint64{last.Offset + 1, last.Offset + 2, math.MaxInt64, math.MaxInt64 + 1, math.MaxUint64} {
		for _, backward := range []bool{false, true} {
			gap := t.requireGap(ch, storage.ReadOptions{From: at(last, offset), Backward: backward})
			require.Equal(t, last, gap.Latest, "GapError.Latest")
		}
	}
}

func checkBackwardTrimmed(t *historyTest) {
	ch := t.channel("room")
	positions := t.fill(ch, 6, keep(3))
	for i, want := range [][]string{6: {"5", "4"}, 5: {"4"}, 4: nil, 3: nil, 1: nil, 0: nil} {
		t.requirePage(ch, storage.ReadOptions{From: positions[i], Backward: true}, want)
	}
	t.requirePage(ch, storage.ReadOptions{From: last(positions), Backward: true, MaxEvents: 2}, []string{"5", "4"})
}

func checkDelete(t *historyTest) {
	ch := t.channel("room")
	positions := t.fill(ch, 3, keep(100))
	require.NoError(t, t.store.Delete(t.ctx, ch))
	require.NoError(t, t.store.Delete(t.ctx, ch), "Delete of what is deleted")

	requireGone := func(events ...string) {
		t.requirePage(ch, storage.ReadOptions{}, events)
		for _, from := range positions[:3] {
			t.requireGap(ch, storage.ReadOptions{From: from})
			t.requireGap(ch, storage.ReadOptions{From: from, Fill: true})
		}
	}
	requireGone()
	require.False(t, t.latest(ch).Before(positions[3]), "Latest does not go back")

	next := t.append(ch, "again", keep(100)).Position
	require.True(t, next.After(positions[3]), "%v after %v", next, positions[3])
	requireGone("again")
}

func checkDeleteKeys(t *historyTest) {
	ch := t.channel("room")
	first := t.append(ch, "1", keyed("k"))
	require.NoError(t, t.store.Delete(t.ctx, ch))
	second := t.append(ch, "2", keyed("k"))
	require.False(t, second.Duplicate, "a key used before Delete")
	require.NotEqual(t, first.Position, second.Position)
	t.requireKept(ch, "2")
}
