package storagetest

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

// restartChecks are those of a store that can be ended and opened again.
func restartChecks(h hooks) []check[*historyTest] {
	var checks []check[*historyTest]
	add := func(name string, run func(*historyTest)) { checks = append(checks, check[*historyTest]{name, run}) }
	if h.restart != nil {
		add("RestartGoesOn", func(t *historyTest) { t.checkReopen(h.restart) })
	}
	if h.crash != nil {
		add("CrashGoesOn", func(t *historyTest) { t.checkReopen(h.crash) })
		add("CrashKeepsWhatWasAcknowledged", func(t *historyTest) { t.checkCrash(h.crash) })
	}
	if h.restore != nil {
		add("RestoreIsTold", func(t *historyTest) { t.checkRestore(h.restore) })
	}
	return checks
}

// reopen replaces the store by what a hook has made of it.
func (t *historyTest) reopen(hook func(testing.TB, Store) Store) {
	t.Helper()
	store, ok := hook(t.TB, t.store).(storage.History)
	require.True(t, ok, "what was opened again is a storage.History")
	t.store = store
}

// checkReopen has a store end and be opened several times, while nothing is under
// way: nothing is lost, and who knows a position goes on from it.
func (t *historyTest) checkReopen(hook func(testing.TB, Store) Store) {
	const rounds, each = 3, 4
	room, trimmed, empty, deleted := t.channel("room"), t.channel("trimmed"), t.channel("empty"), t.channel("deleted")
	positions := []storage.Position{t.latest(room)}
	first := t.latest(empty)
	keyPositions := map[string]storage.Position{}
	gone := t.fill(deleted, 2, keep(100))
	require.NoError(t, t.store.Delete(t.ctx, deleted))
	total := 0
	for round := range rounds {
		for range each {
			opts := keyed(strconv.Itoa(total))
			out := t.append(room, strconv.Itoa(total), opts)
			require.False(t, out.Duplicate)
			require.True(t, out.Position.After(last(positions)), "%v after %v", out.Position, last(positions))
			positions = append(positions, out.Position)
			keyPositions[opts.IdempotencyKey] = out.Position
			t.append(trimmed, strconv.Itoa(total), keep(2))
			total++
		}
		before := last(positions)
		t.reopen(hook)

		latest := t.latest(room)
		require.False(t, latest.Before(before), "Latest after a restart: %v, before %v", latest, before)
		require.Equal(t, latest, t.latest(room), "Latest does not change by itself")
		for i, from := range positions {
			page := t.read(room, storage.ReadOptions{From: from})
			require.Equal(t, numbers(i, total-1), texts(page), "a position from before a restart continues")
			require.NoError(t, followPage(from, page.Events))
			require.Equal(t, latest, page.Latest)
		}
		t.requirePage(room, storage.ReadOptions{From: latest}, nil)
		t.requireGap(room, storage.ReadOptions{From: ahead(before, 1)})
		t.requireKept(trimmed, numbers(total-2, total-1)...)
		require.Empty(t, t.read(deleted, storage.ReadOptions{}).Events)
		t.requireGap(deleted, storage.ReadOptions{From: gone[0]})
		for key, pos := range keyPositions {
			require.Equal(t, storage.Appended{Position: pos, Duplicate: true}, t.append(room, "again", keyed(key)), "a retry after restart %d", round+1)
		}
	}
	page := t.read(room, storage.ReadOptions{})
	require.NoError(t, follow(page.Events[0].Position, page.Events[1:]), "each event names the one before it, across epochs")

	// A gap would be needless here, but is no loss.
	require.False(t, t.latest(empty).Before(first))
	t.append(empty, "x", keep(100))
	if page, err := t.store.Read(t.ctx, empty, storage.ReadOptions{From: first}); err == nil {
		require.Equal(t, []string{"x"}, texts(page))
	} else {
		require.ErrorIs(t, err, storage.ErrGap)
	}
}

// checkCrash ends a store while publishers are at work.
func (t *historyTest) checkCrash(crash func(testing.TB, Store) Store) {
	const publishers = 8
	channels := []storage.ChannelID{t.channel("room"), t.channel("other")}
	starts := []storage.Position{t.latest(channels[0]), t.latest(channels[1])}
	store, all := t.store, keep(1<<20)
	type acknowledged struct {
		ch  storage.ChannelID
		pos storage.Position
	}
	var mu sync.Mutex
	acks := make(map[string]acknowledged)
	enough, stopped := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	var once sync.Once
	for i := range publishers {
		wg.Go(func() {
			ch := channels[i%len(channels)]
			for n := 0; ; n++ {
				text := fmt.Sprintf("%d/%d", i, n)
				out, err := store.Append(t.ctx, ch, event(ch, text), all)
				mu.Lock()
				if err == nil {
					acks[text] = acknowledged{ch, out.Position}
				}
				ready := len(acks) >= 20*publishers
				mu.Unlock()
				if ready {
					once.Do(func() { close(enough) })
				}
				select {
				case <-stopped:
					return
				default:
					if err != nil {
						time.Sleep(time.Millisecond)
					}
				}
			}
		})
	}
	<-enough
	t.reopen(crash)
	mu.Lock()
	// What an old handle acknowledges from now on counts for nothing.
	known := make(map[string]acknowledged, len(acks))
	for text, ack := range acks {
		known[text] = ack
	}
	mu.Unlock()
	close(stopped)
	wg.Wait()
	for i, ch := range channels {
		page := t.read(ch, storage.ReadOptions{From: starts[i]})
		require.NoError(t, followPage(starts[i], page.Events))
		seen := make(map[string]storage.Position)
		for _, ev := range page.Events {
			require.NotContains(t, seen, string(ev.Data), "an event that is there twice")
			seen[string(ev.Data)] = ev.Position
		}
		for text, ack := range known {
			if ack.ch == ch {
				require.Equal(t, ack.pos, seen[text], "event %s was acknowledged", text)
			}
		}
		next := t.append(ch, "next", all).Position
		require.True(t, next.After(page.Latest))
	}
}

// checkRestore puts an older copy in the place of what a store has.
func (t *historyTest) checkRestore(restore func(testing.TB, Store, func()) Store) {
	const kept, lost = 4, 5
	ch, quiet := t.channel("room"), t.channel("quiet")
	positions := t.fill(ch, kept, keep(100))
	still := t.fill(quiet, 2, keep(100))
	t.append(ch, "key", keyed("kept"))
	positions = append(positions, t.latest(ch))
	var gone []storage.Position
	t.reopen(func(tb testing.TB, store Store) Store {
		return restore(tb, store, func() {
			for i := range lost {
				gone = append(gone, t.append(ch, "lost", keyed("lost"+strconv.Itoa(i))).Position)
			}
		})
	})

	latest := t.latest(ch)
	require.True(t, latest.After(last(gone)), "Latest says that the epoch of the lost events is over: %v after %v", latest, last(gone))
	requireGone := func(events ...string) {
		all := append(append(numbers(1, kept), "key"), events...)
		for i, from := range positions {
			page := t.read(ch, storage.ReadOptions{From: from})
			require.Equal(t, all[i:], append([]string{}, texts(page)...), "a position up to the copy continues")
			require.NoError(t, followPage(from, page.Events))
		}
		for _, from := range gone {
			gap := t.requireGap(ch, storage.ReadOptions{From: from})
			require.True(t, gap.Latest.After(from), "GapError.Latest is after the lost position, so that nobody takes it for an old answer")
		}
	}
	requireGone()
	require.True(t, t.append(ch, "again", keyed("kept")).Duplicate, "a key from before the copy")
	require.False(t, t.append(ch, "next", keyed("lost0")).Duplicate, "a key that was lost")
	next := t.latest(ch)
	require.True(t, next.After(latest))
	requireGone("next")
	floor := storage.AppendOptions{Retention: storage.Retention{Events: 100}, Floor: last(gone)}
	require.Equal(t, next.Epoch, t.append(ch, "floor", floor).Position.Epoch, "the epoch after the restore is above the floor already")
	requireGone("next", "floor")

	for i, from := range still {
		t.requirePage(quiet, storage.ReadOptions{From: from}, numbers(i+1, 2))
	}
	require.True(t, t.append(quiet, "3", keep(100)).Position.After(last(still)))
	t.requirePage(quiet, storage.ReadOptions{From: last(still)}, []string{"3"})
}
