package storagetest

import (
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

// numbers returns the texts from first to last.
func numbers(first, last int) []string {
	var all []string
	for i := first; i <= last; i++ {
		all = append(all, strconv.Itoa(i))
	}
	return all
}

func checkFill(t *historyTest) {
	const events = storage.FillEvents + 10
	for _, opts := range []storage.AppendOptions{keep(1), aged(short)} {
		ch := t.channel(unique("room"))
		positions := t.fill(ch, events, opts)
		t.clock.until(t, 2*short, "trimmed", func() bool { return len(t.read(ch, storage.ReadOptions{}).Events) <= 1 })
		for _, missed := range []int{0, 1, 2, storage.FillEvents - 1, storage.FillEvents} {
			// In real time a slow store takes longer than it has to keep them.
			page, err := t.store.Read(t.ctx, ch, storage.ReadOptions{From: positions[events-missed], Fill: true})
			if !t.clock.exact() && err != nil {
				require.ErrorIs(t, err, storage.ErrGap)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, numbers(events-missed+1, events), texts(page), "a fill of %d events", missed)
			require.NoError(t, follow(positions[events-missed], page.Events))
		}
		page := t.read(ch, storage.ReadOptions{Backward: true})
		require.LessOrEqual(t, len(page.Events), 1, "what is kept for fills is not history")
		t.requireGap(ch, storage.ReadOptions{From: positions[events-3]})
	}

	ch := t.channel("wider")
	t.fill(ch, 5, keep(1))
	t.append(ch, "6", keep(10))
	t.requireKept(ch, "5", "6")
	if t.clock.exact() {
		ch := t.channel("aged")
		positions := t.fill(ch, 5, keep(1))
		t.clock.advance(storage.FillAge / 2)
		t.requirePage(ch, storage.ReadOptions{From: positions[0], Fill: true}, numbers(1, 5))
	}
}

func checkFillEnds(t *historyTest) {
	ch := t.channel("nothing kept")
	positions := t.fill(ch, 3, keep(0))
	t.requireGap(ch, storage.ReadOptions{From: positions[1], Fill: true})
	t.requirePage(ch, storage.ReadOptions{From: positions[3], Fill: true}, nil)
}

func checkReadBytes(t *historyTest) {
	ch := t.channel("room")
	sizes := []int{10, 20, 0, 30, 5, 1000, 1}
	start := t.latest(ch)
	for _, n := range sizes {
		t.append(ch, strings.Repeat("x", n), keep(100))
	}
	for _, tc := range []struct {
		bytes, limit int
		backward     bool
		want         []int
		more         bool
	}{
		{bytes: 0, want: sizes},
		{bytes: 1, want: sizes[:1], more: true},
		{bytes: 10, want: sizes[:1], more: true},
		{bytes: 29, want: sizes[:1], more: true},
		{bytes: 30, want: sizes[:3], more: true},
		{bytes: 64, want: sizes[:4], more: true},
		{bytes: 65, want: sizes[:5], more: true},
		{bytes: 1066, want: sizes},
		{bytes: 30, limit: 2, want: sizes[:2], more: true},
		{bytes: -1, want: sizes},
		{bytes: 1, backward: true, want: []int{1}, more: true},
		{bytes: 500, backward: true, want: []int{1}, more: true},
		{bytes: 1001, backward: true, want: []int{1, 1000}, more: true},
	} {
		for _, from := range []storage.Position{{}, start} {
			if tc.backward {
				from = storage.Position{}
			}
			page := t.read(ch, storage.ReadOptions{From: from, MaxBytes: tc.bytes, MaxEvents: tc.limit, Backward: tc.backward})
			var got []int
			for _, ev := range page.Events {
				got = append(got, len(ev.Data))
			}
			require.Equal(t, tc.want, got, "sizes of the events of a page with %+v", tc)
			require.Equal(t, tc.more, page.More, "Page.More with %+v", tc)
		}
	}
}

func checkReadInclusive(t *historyTest) {
	ch := t.channel("room")
	positions := t.fill(ch, 4, keep(3))
	for i, want := range [][]string{4: {"4", "3", "2"}, 3: {"3", "2"}, 2: {"2"}, 1: nil, 0: nil} {
		t.requirePage(ch, storage.ReadOptions{From: positions[i], Backward: true, Inclusive: true}, want)
	}
	t.requirePage(ch, storage.ReadOptions{Backward: true, Inclusive: true, MaxEvents: 2}, []string{"4", "3", "2"})
	t.requirePage(ch, storage.ReadOptions{From: positions[2], Inclusive: true}, []string{"3", "4"})
}
