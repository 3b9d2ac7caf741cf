package storagetest

import (
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

func checkKey(t *historyTest) {
	for _, key := range []string{"k", "a b:c/%_*\n'\"", "世界", "K", strings.Repeat("x", 200)} {
		ch := t.channel(unique("room"))
		first := t.append(ch, "1", keyed(key))
		require.False(t, first.Duplicate)
		last := t.append(ch, "2", keep(100)).Position

		again := t.append(ch, "3", keyed(key))
		require.Equal(t, storage.Appended{Position: first.Position, Duplicate: true}, again, "a retry returns the first position")
		require.Equal(t, last, t.latest(ch), "a retry takes no offset")

		require.False(t, t.append(ch, "3", keyed(key+"2")).Duplicate, "another key")
		require.False(t, t.append(ch, "4", keep(100)).Duplicate, "no key")
		require.False(t, t.append(ch, "5", keep(100)).Duplicate, "no key again")
		t.requireKept(ch, "1", "2", "3", "4", "5")
	}
}

func checkKeysAll(t *historyTest) {
	const keys = 50
	ch := t.channel("room")
	first := make([]storage.Position, keys)
	for i := range first {
		out := t.append(ch, strconv.Itoa(i), keyed(strconv.Itoa(i)))
		require.False(t, out.Duplicate, "append %d of %d", i+1, keys)
		first[i] = out.Position
	}
	last := t.latest(ch)
	for i, pos := range first {
		again := t.append(ch, "again", keyed(strconv.Itoa(i)))
		require.Equal(t, storage.Appended{Position: pos, Duplicate: true}, again, "retry of append %d of %d", i+1, keys)
	}
	require.Equal(t, last, t.latest(ch), "retries take no offset")
}

func checkKeyPerChannel(t *historyTest) {
	room, other := t.channel("room"), t.channel("other")
	elsewhere := storage.ChannelID{App: unique("app"), Name: room.Name}
	for _, ch := range []storage.ChannelID{room, other, elsewhere} {
		require.False(t, t.append(ch, "1", keyed("k")).Duplicate, "first use on %v", ch)
		require.True(t, t.append(ch, "1", keyed("k")).Duplicate, "second use on %v", ch)
	}
}

func checkKeyOutlivesEvent(t *historyTest) {
	for _, events := range []int{0, 1} {
		ch := t.channel(unique("room"))
		opts := keep(events)
		opts.IdempotencyKey = "k"
		first := t.append(ch, "1", opts).Position
		last := t.fill(ch, 3, keep(events))
		again := t.append(ch, "1", opts)
		require.Equal(t, storage.Appended{Position: first, Duplicate: true}, again, "retry of an event that is no longer kept")
		require.Equal(t, last, t.latest(ch))
	}
}

func checkKeyWindow(t *historyTest) {
	ch := t.channel("room")
	opts := keyed("k")
	opts.IdempotencyWindow = short
	first := t.append(ch, "1", opts).Position
	if t.clock.exact() {
		t.clock.advance(short * 3 / 5)
		require.True(t, t.append(ch, "1", opts).Duplicate, "retry within the window")
	}
	var second storage.Appended
	t.clock.until(t, short*3/5, "forgotten: the key", func() bool {
		second = t.append(ch, "2", opts)
		return !second.Duplicate
	})
	require.Equal(t, at(first, 2), second.Position)
	t.requireKept(ch, "1", "2")
	require.Equal(t, storage.Appended{Position: second.Position, Duplicate: true}, t.append(ch, "2", keyed("k")), "the key counts anew")

	if t.clock.exact() {
		ch := t.channel("default")
		t.append(ch, "1", keyed("k"))
		t.clock.advance(storage.DefaultIdempotencyWindow - time.Second)
		require.True(t, t.append(ch, "1", keyed("k")).Duplicate, "retry within the default window")
		t.clock.advance(2 * time.Second)
		require.False(t, t.append(ch, "1", keyed("k")).Duplicate, "retry after the default window")
	}
}

func checkKeyConcurrent(t *historyTest) {
	const callers = 16
	ch := t.channel("room")
	outs := make([]storage.Appended, callers)
	var appended atomic.Int64
	require.NoError(t, together(callers, func(i int) error {
		var err error
		outs[i], err = t.store.Append(t.ctx, ch, event(ch, "x"), keyed("k"))
		if err == nil && !outs[i].Duplicate {
			appended.Add(1)
		}
		return err
	}))
	require.Equal(t, int64(1), appended.Load(), "appends that were no duplicates")
	for _, out := range outs {
		require.Equal(t, outs[0].Position, out.Position, "all get the first one's position")
	}
	t.requireKept(ch, "x")
}
