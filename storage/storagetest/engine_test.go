package storagetest

import (
	"testing"

	"github.com/carillon-rt/carillon/storage"
)

func TestEngine(t *testing.T) {
	for name, holes := range map[string]bool{"Contiguous": false, "Holes": true} {
		t.Run(name, func(t *testing.T) {
			RunHistory(t, func(*testing.T) storage.History { return NewEngine(holes) }, WithSynctest(), withEngine())
		})
	}
}

// withEngine restarts, crashes and restores an Engine.
func withEngine() Option {
	restart := func(_ testing.TB, store Store) Store {
		store.(*Engine).Restart()
		return store
	}
	return func(c *config) {
		WithRestart(restart)(c)
		WithCrash(restart)(c)
		WithRestore(func(_ testing.TB, store Store, meanwhile func()) Store {
			e := store.(*Engine)
			before := e.Copy()
			meanwhile()
			e.Restore(before)
			return e
		})(c)
	}
}

// An engine whose bad days are worse than it says.
func TestBrokenRestartIsCaught(t *testing.T) {
	restart := func(_ testing.TB, store Store) Store { return NewEngine(store.(*Engine).holes) }
	for name, h := range map[string]hooks{
		"RestartGoesOn": {restart: restart},
		"CrashGoesOn":   {crash: restart},
		"CrashKeepsWhatWasAcknowledged": {crash: func(_ testing.TB, store Store) Store {
			e := store.(*Engine)
			e.mu.Lock()
			defer e.mu.Unlock()
			for id, ch := range e.data.channels {
				// More than there are publishers, who have heard of all but their last.
				lost := min(20, len(ch.given))
				ch.given, ch.events = ch.given[:len(ch.given)-lost], ch.events[:len(ch.events)-lost]
				e.data.channels[id] = ch
			}
			e.open(storage.Epoch{})
			return e
		}},
		// No epoch begins, as if nobody had noticed.
		"RestoreIsTold": {restore: func(_ testing.TB, store Store, meanwhile func()) Store {
			e := store.(*Engine)
			before := e.Copy()
			meanwhile()
			e.data = before.data
			return e
		}},
	} {
		t.Run(name, func(t *testing.T) {
			requireCaught(t, restartChecks(h), name, func(tb testing.TB, c clock) *historyTest {
				return newHistoryTest(tb, NewEngine(false), c)
			})
		})
	}
}
