package memory

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

// kept counts what the store holds of all channels.
func kept(s *Store) (channels, events, keys int) {
	s.histories.Range(func(_ storage.ChannelID, h *history) bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		channels++
		events += len(h.events.buf)
		keys += len(h.keys.young) + len(h.keys.old)
		return true
	})
	return channels, events, keys
}

func room(i int) storage.ChannelID {
	return storage.ChannelID{App: "app", Name: strconv.Itoa(i)}
}

// pump appends n events to one channel, which sweeps the others.
func pump(t *testing.T, s *Store, n int) {
	for range n {
		_, err := s.Append(t.Context(), storage.ChannelID{App: "app", Name: "pump"}, &storage.Event{}, storage.AppendOptions{})
		require.NoError(t, err)
	}
}

func TestAppendsGiveBackWhatHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rooms = 500
		s := New()
		for i := range rooms {
			_, err := s.Append(t.Context(), room(i), &storage.Event{}, storage.AppendOptions{
				Retention:      storage.Retention{Events: 3, Age: time.Minute},
				IdempotencyKey: "k",
			})
			require.NoError(t, err)
		}
		channels, events, keys := kept(s)
		assert.Equal(t, []int{rooms, 3 * rooms, rooms}, []int{channels, events, keys})

		time.Sleep(storage.DefaultIdempotencyWindow)
		pump(t, s, rooms)
		channels, events, keys = kept(s)
		assert.Equal(t, []int{rooms + 1, 0, 0}, []int{channels, events, keys}, "only positions are left")

		time.Sleep(DefaultForgetAfter)
		pump(t, s, rooms)
		channels, _, _ = kept(s)
		assert.Equal(t, 1, channels, "only the channel in use is left")
		for i := range s.sweeps {
			assert.LessOrEqual(t, len(s.sweeps[i].visits), 1)
		}
	})
}

func TestPositionIsRememberedUntilForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(WithForgetAfter(time.Minute))
		opts := storage.AppendOptions{Retention: storage.Retention{Events: 1, Age: time.Second}}
		appendTo := func() storage.Position {
			out, err := s.Append(t.Context(), room(1), &storage.Event{}, opts)
			require.NoError(t, err)
			return out.Position
		}
		first := appendTo()
		time.Sleep(time.Minute)
		pump(t, s, 2*sweepShards)
		second := appendTo()
		assert.Equal(t, storage.Position{Epoch: first.Epoch, Offset: 2}, second)

		time.Sleep(time.Minute + storage.FillAge)
		pump(t, s, 2*sweepShards)
		latest, err := storage.LatestOf(t.Context(), s, room(1))
		require.NoError(t, err)
		assert.True(t, latest.After(second), "%v after %v", latest, second)
		assert.Zero(t, latest.Offset)
		third := appendTo()
		assert.Equal(t, storage.Position{Epoch: latest.Epoch, Offset: 1}, third)
	})
}

func TestDeleteLeavesAPositionUntilForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rooms = 100
		s := New()
		for i := range rooms {
			_, err := s.Append(t.Context(), room(i), &storage.Event{}, storage.AppendOptions{
				Retention: storage.Retention{Events: 1}, IdempotencyKey: "k"})
			require.NoError(t, err)
			require.NoError(t, s.Delete(t.Context(), room(i)))
		}
		channels, events, keys := kept(s)
		assert.Equal(t, []int{rooms, 0, 0}, []int{channels, events, keys})
		time.Sleep(DefaultForgetAfter)
		pump(t, s, rooms)
		channels, _, _ = kept(s)
		assert.Equal(t, 1, channels)
	})
}

// However many channels are forgotten, those that were never known keep their
// position for as long as a channel is remembered.
func TestForgettingChangesTheEpochRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(WithForgetAfter(time.Hour))
		epochs := make(map[storage.Epoch]bool)
		for i := range 10 * 60 {
			_, err := s.Append(t.Context(), room(i), &storage.Event{}, storage.AppendOptions{})
			require.NoError(t, err)
			time.Sleep(time.Minute)
			pump(t, s, 2*sweepShards)
			epochs[*s.epoch.Load()] = true
		}
		channels, _, _ := kept(s)
		assert.LessOrEqual(t, channels, 63)
		assert.LessOrEqual(t, len(epochs), 1+10)
	})
}

func TestKeysAreHeldForTwoWindowsAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perWindow, windows = 50, 20
		s := New()
		for i := range perWindow * windows {
			_, err := s.Append(t.Context(), room(1), &storage.Event{}, storage.AppendOptions{
				IdempotencyKey: strconv.Itoa(i), IdempotencyWindow: perWindow * time.Second})
			require.NoError(t, err)
			_, _, keys := kept(s)
			require.LessOrEqual(t, keys, 2*perWindow+1)
			time.Sleep(time.Second)
		}
	})
}

// Every append finds channels to take away, among them those that others append
// to or delete at the same time.
func TestSweepsWhileInUse(t *testing.T) {
	const workers, each, rooms = 8, 500, 20
	s := New(WithForgetAfter(0))
	var mu sync.Mutex
	given := make(map[string]bool)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				ch := room((w + i) % rooms)
				if i%50 == 0 {
					assert.NoError(t, s.Delete(context.Background(), ch))
				}
				out, err := s.Append(context.Background(), ch, &storage.Event{}, storage.AppendOptions{
					Retention: storage.Retention{Events: 2, Age: time.Microsecond}})
				assert.NoError(t, err)
				pos := fmt.Sprint(ch, out.Position)
				mu.Lock()
				assert.False(t, given[pos], "position %s was given twice", pos)
				given[pos] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	s.histories.Range(func(_ storage.ChannelID, h *history) bool {
		assert.GreaterOrEqual(t, h.index, 0, "a channel with an age is planned for a visit")
		return true
	})
}

func TestEmptyChannelsHoldNoRoster(t *testing.T) {
	s := New()
	conn := storage.Connection{Node: "node", ID: "1"}
	for i := range 10 {
		_, err := s.Join(t.Context(), room(i), conn, storage.Member{UserID: "ann"}, storage.JoinOptions{})
		require.NoError(t, err)
		_, err = s.Leave(t.Context(), room(i), conn)
		require.NoError(t, err)
	}
	assert.Zero(t, s.rosters.Size())
	assert.Equal(t, 1, s.nodes.Size())
}
