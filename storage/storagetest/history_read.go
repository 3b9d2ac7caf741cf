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
		page := t.read(ch, storage.ReadOptions{Backward: backward, Limit: 10})
		require.Empty(t, page.Events)
		require.False(t, page.More, "Page.More")
		require.True(t, page.Latest.IsZero(), "Page.Latest")

		gap := t.requireGap(ch, storage.ReadOptions{From: storage.Position{Epoch: "e", Offset: 1}, Backward: backward})
		require.True(t, gap.Oldest.IsZero(), "GapError.Oldest")
		require.True(t, gap.Latest.IsZero(), "GapError.Latest")
	}
	require.True(t, t.latest(ch).IsZero(), "Latest")
	require.NoError(t, t.store.Delete(t.ctx, ch), "Delete of a channel that does not exist")
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
	last := t.fill(ch, len(want), keep(100))
	for limit := range len(want) + 2 {
		page := t.read(ch, storage.ReadOptions{Backward: backward, Limit: limit})
		n := limit
		if limit == 0 || limit > len(want) {
			n = len(want)
		}
		require.Equal(t, want[:n], texts(page), "limit %d", limit)
		require.Equal(t, n < len(want), page.More, "Page.More with limit %d", limit)
		require.Equal(t, last, page.Latest, "Page.Latest")
		for _, ev := range page.Events {
			require.Equal(t, string(ev.Data), strconv.FormatUint(ev.Position.Offset, 10), "an event carries its position")
			require.Equal(t, last.Epoch, ev.Position.Epoch)
		}
	}
}

func checkReadFrom(t *historyTest) {
	ch := t.channel("room")
	all := []string{"1", "2", "3", "4", "5", "6"}
	last := t.fill(ch, len(all), keep(100))
	for offset := range len(all) + 1 {
		from := at(last, uint64(offset))
		newer, older := all[offset:], all[:max(offset-1, 0)]
		older = slices.Clone(older)
		slices.Reverse(older)
		for _, limit := range []int{0, 1, 2, 5, 6} {
			t.requirePage(ch, storage.ReadOptions{From: from, Limit: limit}, newer)
			t.requirePage(ch, storage.ReadOptions{From: from, Limit: limit, Backward: true}, older)
		}
	}
}

// requirePage requires that a read returns the events with this data, as far as
// its limit allows.
func (t *historyTest) requirePage(ch storage.ChannelID, opts storage.ReadOptions, all []string) {
	t.Helper()
	want := all
	if opts.Limit > 0 && opts.Limit < len(all) {
		want = all[:opts.Limit]
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
		opts := storage.ReadOptions{Backward: backward, Limit: 4}
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
		page = t.read(ch, storage.ReadOptions{Backward: backward, Limit: limit})
		require.Len(t, page.Events, limit)
		require.True(t, page.More, "Page.More")
	}
}

func checkReadFromLatest(t *historyTest) {
	for _, opts := range []storage.AppendOptions{keep(100), keep(1), keep(0)} {
		ch := t.channel(unique("room"))
		last := t.fill(ch, 3, opts)
		page := t.read(ch, storage.ReadOptions{From: last})
		require.Empty(t, page.Events, "nothing is newer than the latest event")
		require.False(t, page.More)
		require.Equal(t, last, page.Latest)
	}
}

func checkGapTrimmed(t *historyTest) {
	ch := t.channel("room")
	last := t.fill(ch, 6, keep(3))
	t.requirePage(ch, storage.ReadOptions{From: at(last, 3)}, []string{"4", "5", "6"})
	for _, offset := range []uint64{2, 1, 0} {
		for _, limit := range []int{0, 1} {
			gap := t.requireGap(ch, storage.ReadOptions{From: at(last, offset), Limit: limit})
			require.Equal(t, at(last, 4), gap.Oldest, "GapError.Oldest")
			require.Equal(t, last, gap.Latest, "GapError.Latest")
		}
	}
}

func checkGapEpoch(t *historyTest) {
	ch := t.channel("room")
	last := t.fill(ch, 3, keep(100))
	for _, from := range []storage.Position{
		{Epoch: last.Epoch + "x", Offset: 1},
		{Epoch: last.Epoch + "x", Offset: 3},
		{Epoch: last.Epoch + "x"},
		{Epoch: "an epoch\x00'; --", Offset: 2},
		{Offset: 2},
	} {
		for _, backward := range []bool{false, true} {
			gap := t.requireGap(ch, storage.ReadOptions{From: from, Backward: backward})
			require.Equal(t, last, gap.Latest, "GapError.Latest")
		}
	}
}

func checkGapFuture(t *historyTest) {
	ch := t.channel("room")
	last := t.fill(ch, 3, keep(100))
	for _, offset := range []uint64{4, 5, math.MaxInt64, math.MaxInt64 + 1, math.MaxUint64} {
		for _, backward := range []bool{false, true} {
			gap := t.requireGap(ch, storage.ReadOptions{From: at(last, offset), Backward: backward})
			require.Equal(t, last, gap.Latest, "GapError.Latest")
		}
	}
}

func checkBackwardTrimmed(t *historyTest) {
	ch := t.channel("room")
	last := t.fill(ch, 6, keep(3))
	for offset, want := range [][]string{6: {"5", "4"}, 5: {"4"}, 4: nil, 3: nil, 1: nil, 0: nil} {
		t.requirePage(ch, storage.ReadOptions{From: at(last, uint64(offset)), Backward: true}, want)
	}
	t.requirePage(ch, storage.ReadOptions{From: last, Backward: true, Limit: 2}, []string{"5", "4"})
}

func checkDelete(t *historyTest) {
	ch := t.channel("room")
	last := t.fill(ch, 3, keep(100))
	require.NoError(t, t.store.Delete(t.ctx, ch))
	require.NoError(t, t.store.Delete(t.ctx, ch), "Delete of what is deleted")

	require.Empty(t, t.read(ch, storage.ReadOptions{}).Events)
	latest := t.latest(ch)
	require.Zero(t, latest.Offset, "Latest of a deleted channel")
	require.NotEqual(t, last.Epoch, latest.Epoch, "Latest of a deleted channel")
	t.requireGap(ch, storage.ReadOptions{From: last})

	first := t.append(ch, "again", keep(100)).Position
	require.NotEqual(t, last.Epoch, first.Epoch, "an append after Delete starts a new epoch")
	require.Equal(t, uint64(1), first.Offset)
	t.requireKept(ch, "again")
	t.requireGap(ch, storage.ReadOptions{From: last})
	t.requireGap(ch, storage.ReadOptions{From: at(last, 1)})
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
