package storagetest

import (
	"strconv"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

// floored are the options of an append whose caller knows of a position.
func floored(floor storage.Position) storage.AppendOptions {
	opts := keep(100)
	opts.Floor = floor
	return opts
}

func checkFloorReached(t *historyTest) {
	ch := t.channel("room")
	start := t.latest(ch)
	floor := start
	for i := range 5 {
		out := t.append(ch, strconv.Itoa(i), floored(floor))
		require.Equal(t, start.Epoch, out.Position.Epoch, "a floor that the store has reached changes nothing")
		if i%2 == 0 {
			floor = out.Position
		}
	}
	older := start
	older.Epoch.Number--
	older.Offset = 100
	require.Equal(t, start.Epoch, t.append(ch, "5", floored(older)).Position.Epoch, "a floor of an older epoch changes nothing")
	page := t.read(ch, storage.ReadOptions{From: start})
	require.Equal(t, numbers(0, 5), texts(page))
	require.NoError(t, follow(start, page.Events))
}

func checkFloor(t *historyTest) {
	for _, events := range []int{0, 3} {
		ch := t.channel(unique("room"))
		positions := t.fill(ch, events, keep(100))
		end := last(positions)
		// What the caller knows of and the store does not: the store was restored.
		lost := []storage.Position{ahead(end, 1), ahead(end, 1000)}
		first := t.append(ch, "4", floored(lost[1])).Position
		require.True(t, first.After(lost[1]), "%v after the floor %v", first, lost[1])
		require.NotEqual(t, end.Epoch, first.Epoch, "a new epoch")
		second := t.append(ch, "5", keep(100)).Position
		require.Equal(t, first.Epoch, second.Epoch, "an append without a floor goes on in the new epoch")
		require.True(t, second.After(first))
		require.Equal(t, second, t.latest(ch))

		all := append(numbers(1, events), "4", "5")
		for i, from := range positions {
			page := t.read(ch, storage.ReadOptions{From: from})
			require.Equal(t, all[i:], texts(page), "a position from before the end of its epoch continues")
			require.NoError(t, followPage(from, page.Events))
		}
		t.requirePage(ch, storage.ReadOptions{From: at(first, 0)}, []string{"4", "5"})
		t.requirePage(ch, storage.ReadOptions{From: first}, []string{"5"})
		for _, from := range lost {
			gap := t.requireGap(ch, storage.ReadOptions{From: from})
			require.Equal(t, second, gap.Latest, "GapError.Latest")
		}
		if events > 0 {
			t.requirePage(ch, storage.ReadOptions{From: first, Backward: true}, []string{"3", "2", "1"})
			t.requirePage(ch, storage.ReadOptions{From: at(first, 0), Backward: true, MaxEvents: 1}, []string{"3", "2", "1"})
		}
	}
}

func checkFloorEpoch(t *historyTest) {
	ch := t.channel("room")
	end := last(t.fill(ch, 3, keep(100)))
	floor := storage.Position{Epoch: storage.NewEpoch(end.Epoch)}
	floor.Epoch.Number += 1 << 20
	first := t.append(ch, "4", floored(floor)).Position
	require.True(t, first.After(floor), "%v after the floor %v", first, floor)
	require.NotEqual(t, floor.Epoch, first.Epoch, "the epoch of a floor is not the store's")
	t.requirePage(ch, storage.ReadOptions{From: end}, []string{"4"})
	t.requireGap(ch, storage.ReadOptions{From: floor})

	opts := floored(floor)
	opts.IdempotencyKey = "k"
	used := t.append(ch, "5", opts).Position
	opts.Floor = ahead(used, 100)
	require.Equal(t, storage.Appended{Position: used, Duplicate: true}, t.append(ch, "5", opts), "a retry whose floor is not reached")
	require.Equal(t, used, t.latest(ch), "a retry starts no epoch")
}

func checkManyEpochs(t *historyTest) {
	const epochs = 5
	ch := t.channel("room")
	start := t.latest(ch)
	positions := []storage.Position{start}
	for i := range epochs {
		positions = append(positions, t.append(ch, strconv.Itoa(2*i), floored(ahead(last(positions), 5))).Position)
		positions = append(positions, t.append(ch, strconv.Itoa(2*i+1), keep(100)).Position)
	}
	all := numbers(0, 2*epochs-1)
	for i, from := range positions {
		page := t.read(ch, storage.ReadOptions{From: from})
		require.Len(t, page.Events, len(all)-i)
		require.Equal(t, all[i:], append([]string{}, texts(page)...))
		require.NoError(t, followPage(from, page.Events))
		t.requireGap(ch, storage.ReadOptions{From: ahead(from, 3)})
	}
	t.append(ch, "trims", keep(2))
	t.requireGap(ch, storage.ReadOptions{From: positions[2*epochs-2]})
	t.requirePage(ch, storage.ReadOptions{From: positions[2*epochs-1]}, []string{"9", "trims"})
}
