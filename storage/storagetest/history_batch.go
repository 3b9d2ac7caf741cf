package storagetest

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

func checkBatch(t *historyTest) {
	require.Empty(t, t.store.AppendBatch(t.ctx, nil))
	room, other := t.channel("room"), t.channel("other")
	starts := []storage.Position{t.latest(room), t.latest(other)}
	var batch []storage.AppendRequest
	want := map[storage.ChannelID][]string{}
	for i := range 100 {
		ch, data := room, strconv.Itoa(i)
		if i%3 == 0 {
			ch = other
		}
		batch = append(batch, storage.AppendRequest{Channel: ch, Event: event(ch, data), Options: keep(100)})
		want[ch] = append(want[ch], data)
	}
	results := t.store.AppendBatch(t.ctx, batch)
	require.Len(t, results, len(batch))
	for i, r := range results {
		require.NoError(t, r.Err)
		require.False(t, r.Duplicate)
		require.Zero(t, batch[i].Event.Position, "AppendBatch changes nothing of the events it is given")
	}
	for i, ch := range []storage.ChannelID{room, other} {
		page := t.read(ch, storage.ReadOptions{From: starts[i]})
		require.Equal(t, want[ch], texts(page))
		require.NoError(t, follow(starts[i], page.Events))
		for _, ev := range page.Events {
			n, err := strconv.Atoi(string(ev.Data))
			require.NoError(t, err)
			require.Equal(t, results[n].Position, ev.Position, "the position of event %d", n)
		}
	}
}

func checkBatchOutcomes(t *historyTest) {
	room, other := t.channel("room"), t.channel("other")
	before := t.append(room, "1", keyed("used"))
	reused := keyed("used")
	reused.RequestHash[0] = 1
	results := t.store.AppendBatch(t.ctx, []storage.AppendRequest{
		{Channel: room, Event: event(room, "again"), Options: keyed("used")},
		{Channel: room, Event: event(room, "2"), Options: keyed("new")},
		{Channel: room, Event: event(room, "other request"), Options: reused},
		{Channel: room, Event: event(room, "again"), Options: keyed("new")},
		{Channel: other, Event: event(other, "3"), Options: keyed("used")},
		{Channel: room, Event: event(room, "4"), Options: keep(100)},
	})
	require.Len(t, results, 6)
	require.Equal(t, storage.AppendResult{Appended: storage.Appended{Position: before.Position, Duplicate: true}}, results[0])
	require.NoError(t, results[1].Err)
	require.ErrorIs(t, results[2].Err, storage.ErrKeyReused)
	require.Equal(t, storage.AppendResult{Appended: storage.Appended{Position: results[1].Position, Duplicate: true}}, results[3])
	require.NoError(t, results[4].Err)
	require.NoError(t, results[5].Err)
	t.requireKept(room, "1", "2", "4")
	t.requireKept(other, "3")
	require.Equal(t, results[5].Position, t.latest(room))

	batch := []storage.AppendRequest{{Channel: room, Event: event(room, "5"), Options: floored(ahead(t.latest(room), 10))}}
	results = t.store.AppendBatch(t.ctx, batch)
	require.NoError(t, results[0].Err)
	require.True(t, results[0].Position.After(batch[0].Options.Floor), "the floor of an event in a batch")
}

func checkConcurrentBatches(t *historyTest) {
	const callers, rounds, size = 8, 5, 10
	channels := []storage.ChannelID{t.channel("room"), t.channel("other")}
	starts := []storage.Position{t.latest(channels[0]), t.latest(channels[1])}
	all := keep(callers * rounds * size)
	require.NoError(t, together(callers, func(i int) error {
		for round := range rounds {
			batch := make([]storage.AppendRequest, size)
			for n := range batch {
				// Each caller begins with another channel.
				ch := channels[(i+n)%len(channels)]
				batch[n] = storage.AppendRequest{Channel: ch, Event: event(ch, fmt.Sprintf("%d/%02d", i, round*size+n)), Options: all}
			}
			var errs []error
			for _, r := range t.store.AppendBatch(t.ctx, batch) {
				errs = append(errs, r.Err)
			}
			if err := errors.Join(errs...); err != nil {
				return err
			}
		}
		return nil
	}))
	for i, ch := range channels {
		page := t.read(ch, storage.ReadOptions{From: starts[i]})
		require.Len(t, page.Events, callers*rounds*size/len(channels))
		require.NoError(t, follow(starts[i], page.Events))
		last := map[byte]string{}
		for _, data := range texts(page) {
			require.Greater(t, data, last[data[0]], "the events of one caller stand in its order")
			last[data[0]] = data
		}
	}
}
