package storagetest

import (
	"bytes"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

func checkPositions(t *historyTest) {
	ch := t.channel("room")
	before := t.latest(ch)
	require.Zero(t, before.Offset, "Latest of a channel without events")
	for n := uint64(1); n <= 10; n++ {
		out := t.append(ch, "x", keep(3))
		require.False(t, out.Duplicate, "an append without a key is no duplicate")
		require.True(t, out.Position.After(before), "%v after %v", out.Position, before)
		require.Equal(t, before.Epoch, out.Position.Epoch, "the epoch stays")
		if t.caps.ContiguousOffsets {
			require.Equal(t, n, out.Position.Offset, "offsets start at 1 and rise by 1")
		}
		require.Equal(t, out.Position, t.latest(ch), "Latest")
		page := t.read(ch, storage.ReadOptions{From: before})
		require.Len(t, page.Events, 1)
		require.NoError(t, follow(before, page.Events))
		require.Equal(t, out.Position, page.Events[0].Position)
		if t.caps.ContiguousOffsets {
			require.Zero(t, page.Events[0].Prev, "Prev is not needed where offsets are contiguous")
		}
		before = out.Position
	}
}

func checkFields(t *historyTest) {
	ch := t.channel("room")
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	taken := time.Date(2031, 2, 3, 4, 5, 6, 789_123_000, time.UTC)
	events := []storage.Event{
		{ID: "1", Name: "message", Channel: ch.Name, Data: []byte("plain"), Time: taken},
		{ID: "2", Name: "client-typing", Channel: ch.Name, Data: []byte(`{"a":[1, 2]}`), JSON: true,
			UserID: "user/1", SocketID: "123.456", Exclude: "123.457", Time: taken.Add(time.Microsecond)},
		{ID: "3", Name: "naïve 'quotes' \"and\" \\ 世界", Channel: ch.Name, Data: []byte("a\x00b\r\n \u2028 世界"),
			UserID: "ÀÉ", SocketID: "0.0", Time: taken.In(time.FixedZone("", 3600))},
		{ID: "4", Name: "bytes", Channel: ch.Name, Data: every, Time: taken},
		{ID: "5", Name: "empty", Channel: ch.Name, Data: []byte{}, Time: taken},
		{ID: "6", Name: "nil", Channel: ch.Name, Time: taken},
	}
	start := t.latest(ch)
	for i := range events {
		given := events[i]
		// The store gives the position, whatever the event says.
		given.Position, given.Prev = ahead(start, 7), ahead(start, 3)
		out, err := t.store.Append(t.ctx, ch, &given, keep(100))
		require.NoError(t, err)
		events[i].Position = out.Position
	}
	require.NoError(t, follow(start, t.read(ch, storage.ReadOptions{}).Events))
	for _, backward := range []bool{false, true} {
		got := t.read(ch, storage.ReadOptions{Backward: backward}).Events
		require.Len(t, got, len(events))
		for i, want := range events {
			if backward {
				i = len(got) - 1 - i
			}
			requireSameEvent(t, want, got[i])
		}
	}
}

// requireSameEvent compares events as far as a store has to keep them: times to
// the microsecond and without their zone, empty data like none, and the position
// before as follow checks it.
func requireSameEvent(t require.TestingT, want, got storage.Event) {
	require.WithinDuration(t, want.Time, got.Time, time.Microsecond-1, "Time of event %s", want.ID)
	require.True(t, bytes.Equal(want.Data, got.Data), "Data of event %s: want %.80q, got %.80q", want.ID, want.Data, got.Data)
	want.Time, got.Time = time.Time{}, time.Time{}
	want.Data, got.Data = nil, nil
	want.Prev, got.Prev = storage.Position{}, storage.Position{}
	require.Equal(t, want, got, "event %s", want.ID)
}

func checkBigPayload(t *historyTest) {
	ch := t.channel("room")
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	ev := event(ch, "")
	ev.Data = big
	_, err := t.store.Append(t.ctx, ch, ev, keep(2))
	require.NoError(t, err)
	got := t.read(ch, storage.ReadOptions{}).Events
	require.Len(t, got, 1)
	require.True(t, bytes.Equal(big, got[0].Data), "1 MiB of data: got %d bytes", len(got[0].Data))
}

func checkOwnCopy(t *historyTest) {
	ch := t.channel("room")
	ev := event(ch, "first")
	before := *ev
	out, err := t.store.Append(t.ctx, ch, ev, keep(10))
	require.NoError(t, err)
	require.Equal(t, before, *ev, "Append changes nothing of the event it is given")
	ev.ID, ev.Name, ev.Data, ev.UserID = "changed", "changed", []byte("changed"), "changed"
	ev.Position.Offset = 99

	page := t.read(ch, storage.ReadOptions{})
	require.Len(t, page.Events, 1)
	require.Equal(t, before.ID, page.Events[0].ID, "a change of the event after its append changes nothing in the store")
	require.Equal(t, "first", string(page.Events[0].Data))
	require.Equal(t, out.Position, page.Events[0].Position)

	page.Events[0].ID, page.Events[0].Data = "changed", nil
	again := t.read(ch, storage.ReadOptions{})
	require.Equal(t, before.ID, again.Events[0].ID, "a change of a page changes nothing in the store")
	require.Equal(t, "first", string(again.Events[0].Data))
}

func checkZeroEvents(t *historyTest) {
	ch := t.channel("room")
	first := t.append(ch, "1", keep(0)).Position
	second := t.append(ch, "2", keep(0)).Position
	require.True(t, second.After(first), "an append that keeps nothing still takes a position")
	require.Empty(t, t.read(ch, storage.ReadOptions{}).Events)
	require.Equal(t, second, t.latest(ch))
	t.requireGap(ch, storage.ReadOptions{From: first})

	t.append(ch, "3", keep(5))
	t.requireKept(ch, "3")
	t.append(ch, "4", keep(0))
	require.Empty(t, t.read(ch, storage.ReadOptions{}).Events, "retention of 0 removes what was kept")
}

func checkRetentionCount(t *historyTest) {
	ch := t.channel("room")
	for _, want := range [][]string{{"1"}, {"1", "2"}, {"1", "2", "3"}, {"2", "3", "4"}, {"3", "4", "5"}} {
		t.append(ch, want[len(want)-1], keep(3))
		t.requireKept(ch, want...)
	}
}

func checkSmallerRetention(t *historyTest) {
	ch := t.channel("room")
	t.fill(ch, 8, keep(8))
	t.append(ch, "9", keep(2))
	t.requireKept(ch, "8", "9")
	t.append(ch, "10", keep(1))
	t.requireKept(ch, "10")
}

func checkLargerRetention(t *historyTest) {
	ch := t.channel("room")
	t.fill(ch, 5, keep(2))
	t.append(ch, "6", keep(10))
	t.requireKept(ch, "4", "5", "6")
	t.append(ch, "7", keep(10))
	t.requireKept(ch, "4", "5", "6", "7")
}

func checkNegative(t *historyTest) {
	ch := t.channel("room")
	t.fill(ch, 3, storage.AppendOptions{Retention: storage.Retention{Events: 3, Age: -time.Second}})
	require.Equal(t, []string{"1", "2", "3"}, texts(t.read(ch, storage.ReadOptions{MaxEvents: -1})), "a negative age or limit sets no bound")

	first := t.append(ch, "4", storage.AppendOptions{Retention: storage.Retention{Events: -1}, IdempotencyKey: "k", IdempotencyWindow: -1})
	require.Empty(t, t.read(ch, storage.ReadOptions{}).Events, "a negative count keeps nothing")
	again := t.append(ch, "4", keyed("k"))
	require.Equal(t, storage.Appended{Position: first.Position, Duplicate: true}, again, "a negative window is the default one")
}

// aged are the options of an append to a channel that keeps events for age.
func aged(age time.Duration) storage.AppendOptions {
	return storage.AppendOptions{Retention: storage.Retention{Events: 100, Age: age}}
}

func checkRetentionAge(t *historyTest) {
	ch := t.channel("room")
	start := t.latest(ch)
	first := t.append(ch, "1", aged(short)).Position
	if t.clock.exact() {
		t.clock.advance(short * 4 / 5)
		second := t.append(ch, "2", aged(short)).Position
		t.requireKept(ch, "1", "2")
		t.clock.advance(short * 2 / 5)
		t.requireKept(ch, "2")
		require.Equal(t, []string{"2"}, texts(t.read(ch, storage.ReadOptions{Backward: true})))
		gap := t.requireGap(ch, storage.ReadOptions{From: start})
		require.Equal(t, second, gap.Oldest, "GapError.Oldest")
		require.Equal(t, []string{"2"}, texts(t.read(ch, storage.ReadOptions{From: first})), "an event is not missing to those who have it")
	} else {
		t.append(ch, "2", aged(short))
	}
	t.clock.until(t, short, "expired", func() bool {
		return len(t.read(ch, storage.ReadOptions{}).Events) == 0
	})
	require.Empty(t, t.read(ch, storage.ReadOptions{Backward: true}).Events)
	gap := t.requireGap(ch, storage.ReadOptions{From: first})
	require.True(t, gap.Oldest.IsZero(), "GapError.Oldest is zero when nothing is kept")
}

func checkSmallerAge(t *historyTest) {
	ch := t.channel("room")
	t.append(ch, "1", aged(time.Hour))
	t.append(ch, "2", aged(time.Hour))
	t.clock.until(t, 2*short, "removed by a smaller age", func() bool {
		t.append(ch, "3", aged(short))
		got := texts(t.read(ch, storage.ReadOptions{}))
		return len(got) == 0 || got[0] == "3"
	})
	t.append(ch, "4", aged(time.Hour))
	require.NotContains(t, texts(t.read(ch, storage.ReadOptions{})), "2", "a larger age brings nothing back")
}

func checkExpiredChannel(t *historyTest) {
	ch := t.channel("room")
	last := last(t.fill(ch, 3, aged(short)))
	t.clock.until(t, 2*short, "expired", func() bool {
		return len(t.read(ch, storage.ReadOptions{}).Events) == 0
	})
	latest := t.latest(ch)
	if latest != last {
		require.True(t, latest.After(last), "Latest of a channel whose events have expired, or which is forgotten: %v after %v", latest, last)
		require.Zero(t, latest.Offset, "Latest of a channel that is forgotten")
	}
	next := t.append(ch, "4", aged(time.Hour)).Position
	require.True(t, next.After(latest), "%v after %v", next, latest)
	if next.Epoch == last.Epoch {
		t.requirePage(ch, storage.ReadOptions{From: last}, []string{"4"})
	}
	t.requireKept(ch, "4")
}
