package storagetest

import (
	"errors"
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
		last := last(t.fill(ch, 3, keep(events)))
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
	require.True(t, second.Position.After(first))
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

func checkKeyRequest(t *historyTest) {
	ch := t.channel("room")
	opts := keyed("k")
	opts.RequestHash = [32]byte{0: 1, 31: 1}
	first := t.append(ch, "1", opts).Position
	last := t.append(ch, "2", keep(100)).Position

	for _, hash := range [][32]byte{{}, {0: 1}, {31: 1}, {0: 1, 31: 2}} {
		other := opts
		other.RequestHash = hash
		t.requireReused(ch, other, first)
	}
	require.Equal(t, last, t.latest(ch), "what is refused takes no offset")
	require.Equal(t, storage.Appended{Position: first, Duplicate: true}, t.append(ch, "1", opts), "the first request again")

	unkeyed := opts
	unkeyed.IdempotencyKey, unkeyed.RequestHash[0] = "", 2
	require.False(t, t.append(ch, "3", unkeyed).Duplicate, "without a key the hash means nothing")
	t.requireKept(ch, "1", "2", "3")

	// The hash outlives the event, as the key does.
	none, other := opts, opts
	none.Retention, other.Retention, other.RequestHash = storage.Retention{}, storage.Retention{}, [32]byte{}
	bare := t.channel("bare")
	first = t.append(bare, "1", none).Position
	t.requireReused(bare, other, first)

	windowed, again := keyed("w"), keyed("w")
	windowed.IdempotencyWindow, windowed.RequestHash[0], again.RequestHash[0] = short, 1, 2
	first = t.append(ch, "4", windowed).Position
	if t.clock.exact() {
		t.clock.advance(short * 3 / 5)
		t.requireReused(ch, again, first)
	}
	var second storage.Appended
	t.clock.until(t, short*3/5, "forgotten: the key of a request that was refused since", func() bool {
		out, err := t.store.Append(t.ctx, ch, event(ch, "5"), again)
		if err != nil {
			require.ErrorIs(t, err, storage.ErrKeyReused)
		}
		second = out
		return err == nil
	})
	require.True(t, second.Position.After(first), "the key counts anew")
	t.requireReused(ch, windowed, second.Position)
}

// requireReused requires that an append is refused because its key was used for
// another request, whose event is at first.
func (t *historyTest) requireReused(ch storage.ChannelID, opts storage.AppendOptions, first storage.Position) {
	t.Helper()
	out, err := t.store.Append(t.ctx, ch, event(ch, "other"), opts)
	require.ErrorIs(t, err, storage.ErrKeyReused, "Append with a used key and another hash returned %+v", out)
	require.Equal(t, storage.Appended{}, out)
	var reused *storage.KeyReusedError
	require.ErrorAs(t, err, &reused)
	require.Equal(t, storage.KeyReusedError{Channel: ch, Key: opts.IdempotencyKey, Position: first}, *reused)
}

// checkKeyRequestsConcurrent has several callers use one key for two requests: one
// of them gets it, and whoever asks for the other is refused.
func checkKeyRequestsConcurrent(t *historyTest) {
	const callers = 16
	ch := t.channel("room")
	var appended, duplicates, refused atomic.Int64
	require.NoError(t, together(callers, func(i int) error {
		opts := keyed("k")
		opts.RequestHash[0] = byte(i % 2)
		switch out, err := t.store.Append(t.ctx, ch, event(ch, strconv.Itoa(i%2)), opts); {
		case errors.Is(err, storage.ErrKeyReused):
			refused.Add(1)
		case err != nil:
			return err
		case out.Duplicate:
			duplicates.Add(1)
		default:
			appended.Add(1)
		}
		return nil
	}))
	require.Equal(t, int64(1), appended.Load(), "appends")
	require.Equal(t, int64(callers/2-1), duplicates.Load(), "retries of what was appended")
	require.Equal(t, int64(callers/2), refused.Load(), "uses of the key for something else")
	require.Len(t, t.read(ch, storage.ReadOptions{}).Events, 1)
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
