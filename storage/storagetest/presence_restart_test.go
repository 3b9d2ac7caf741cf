package storagetest

import (
	"testing"
	"time"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
)

// lasting says of a store that it is durable.
type lasting struct{ storage.Presence }

func (lasting) Capabilities() storage.Capabilities { return storage.Capabilities{Durable: true} }

func afresh(testing.TB, Store) Store {
	time.Sleep(time.Millisecond) // opening a store takes a moment, by which epochs differ
	return memory.New()
}

func TestPresenceRestart(t *testing.T) {
	keep := func(_ testing.TB, store Store) Store { return store }
	for name, tc := range map[string]struct {
		open func(*testing.T) storage.Presence
		hook func(testing.TB, Store) Store
	}{
		"Lasting":   {func(*testing.T) storage.Presence { return lasting{memory.New()} }, keep},
		"Forgetful": {func(*testing.T) storage.Presence { return struct{ storage.Presence }{memory.New()} }, afresh},
	} {
		t.Run(name, func(t *testing.T) {
			RunPresence(t, tc.open, WithSynctest(), WithRestart(tc.hook), WithCrash(tc.hook))
		})
	}
}

func TestBrokenPresenceRestartIsCaught(t *testing.T) {
	for name, h := range map[string]hooks{"RestartIsSeen": {restart: afresh}, "CrashIsSeen": {crash: afresh}} {
		t.Run(name, func(t *testing.T) {
			requireCaught(t, presenceRestartChecks(h), name, func(tb testing.TB, c clock) *presenceTest {
				return newPresenceTest(tb, lasting{memory.New()}, c)
			})
		})
	}
}
