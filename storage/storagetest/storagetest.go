// Package storagetest checks that a store keeps the promises of package storage.
// It is where the author of an adapter starts: write a test that opens the
// store, and implement until it passes.
//
//	func TestHistory(t *testing.T) {
//		storagetest.RunHistory(t, func(t *testing.T) storage.History {
//			store, err := myadapter.Open(t.TempDir())
//			require.NoError(t, err)
//			t.Cleanup(func() { store.Close() })
//			return store
//		})
//	}
//
// Every promise is a subtest of its own. A store is opened for each of them, but it
// need not be empty: each uses apps and nodes that nobody else has. But nothing else
// may use the store's presence at the same time, since each expired connection is
// returned once, to the first caller.
//
// What a store does as time passes is tested in one of three ways. By default
// real time passes, in fractions of a second: the suite waits until something
// has expired, and cannot say that something has not expired too early. With
// WithAdvance the store's clock is moved by the test, and with WithSynctest that
// of a store which lives in the test's process; both are exact and take no
// time.
//
// The subtests named Model compare the store with a simple model over random
// calls. The flags of pgregory.net/rapid, such as -rapid.checks, say how many.
//
// More is tested where a store promises more with its storage.Capabilities, or
// implements more, and where the author says how to restart it, to crash it and to
// restore an older copy, or to hold it up: WithRestart, WithCrash, WithRestore, WithStall.
// BenchmarkHistory and BenchmarkPresence measure what brokers do most.
//
// Faults and Engine are for tests of programs that use a store: Faults makes any store
// fail, hang or answer late where the test says so, and Engine is a store that can be
// restarted and restored, with holes in its offsets.
package storagetest

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

// Store is a store to be tested by Run: a storage.History, a storage.Presence, or
// both.
type Store any

// Run tests a store for whichever interfaces of package storage it implements,
// and fails if there is none. open is called for every subtest; what it
// registers with t.Cleanup runs after it.
//
// An interface that the store lacks by mistake is not tested. RunHistory and
// RunPresence take the interface, so that the compiler sees to it.
func Run(t *testing.T, open func(t *testing.T) Store, opts ...Option) {
	t.Helper()
	var history, presence bool
	t.Run("Implements", func(t *testing.T) {
		newConfig(opts).wrap(t, func(t *testing.T) {
			store := open(t)
			_, history = store.(storage.History)
			_, presence = store.(storage.Presence)
			if !history && !presence {
				t.Errorf("%T implements neither storage.History nor storage.Presence", store)
			}
		})
	})
	if history {
		t.Run("History", func(t *testing.T) {
			RunHistory(t, func(t *testing.T) storage.History { return open(t).(storage.History) }, opts...)
		})
	}
	if presence {
		t.Run("Presence", func(t *testing.T) {
			RunPresence(t, func(t *testing.T) storage.Presence { return open(t).(storage.Presence) }, opts...)
		})
	}
}

// RunHistory tests a storage.History, and what else the store implements of it:
// storage.Watch, storage.Amend and storage.Search. open is called for every subtest; what it registers
// with t.Cleanup runs after it.
func RunHistory(t *testing.T, open func(t *testing.T) storage.History, opts ...Option) {
	t.Helper()
	cfg := newConfig(opts)
	checks := slices.Concat(historyChecks(), restartChecks(cfg.hooks), stallChecks(cfg.hooks), amendChecks(), amendRestartChecks(cfg.hooks), searchChecks())
	for _, check := range checks {
		t.Run(check.name, func(t *testing.T) {
			cfg.wrap(t, func(t *testing.T) { check.run(newHistoryTest(t, open(t), cfg.clock)) })
		})
	}
}

// RunPresence tests a storage.Presence. open is called for every subtest; what
// it registers with t.Cleanup runs after it.
func RunPresence(t *testing.T, open func(t *testing.T) storage.Presence, opts ...Option) {
	t.Helper()
	cfg := newConfig(opts)
	for _, check := range append(presenceChecks(), presenceRestartChecks(cfg.hooks)...) {
		t.Run(check.name, func(t *testing.T) {
			cfg.wrap(t, func(t *testing.T) { check.run(newPresenceTest(t, open(t), cfg.clock)) })
		})
	}
}

// Option says how to test a store.
type Option func(*config)

type config struct {
	clock clock
	wrap  func(t *testing.T, f func(t *testing.T))
	hooks hooks
}

// hooks do to a store what its suite cannot.
type hooks struct {
	restart, crash func(testing.TB, Store) Store
	stall          func(testing.TB, Store) func()
	restore        func(testing.TB, Store, func()) Store
}

func newConfig(opts []Option) config {
	cfg := config{wrap: func(t *testing.T, f func(t *testing.T)) { f(t) }}
	for _, opt := range opts {
		opt(&cfg)
	}
	return cfg
}

// WithSynctest runs every subtest, open included, in a bubble of
// testing/synctest, where time stands still until the suite lets it pass. It is
// for stores that use the time package, reach nothing outside of the process,
// and have ended their goroutines once the cleanup is done.
func WithSynctest() Option {
	return func(c *config) { c.wrap, c.clock = synctest.Test, clock{advance: time.Sleep, tick: time.Millisecond} }
}

// WithAdvance lets time pass by calling advance, which moves the clock of every
// open store forward by d and returns when that is done. Without the call the
// clock must stand still, or run no faster than real time.
func WithAdvance(advance func(d time.Duration)) Option {
	return func(c *config) { c.clock = clock{advance: advance, tick: 10 * time.Second} }
}

// WithRestart tests what a store holds after it was closed and opened again. restart
// closes the store in order, opens what it has kept, and returns that.
func WithRestart(restart func(t testing.TB, store Store) Store) Option {
	return func(c *config) { c.hooks.restart = restart }
}

// WithCrash tests what a store keeps whose process is killed; its Capabilities then
// should say Durable. crash ends the store abruptly while it is in use, as far as that
// can be done, opens what it has kept, and returns that. Calls of the old store that
// are under way must end; those that come later must fail, or do nothing to what the
// new one keeps.
func WithCrash(crash func(t testing.TB, store Store) Store) Option {
	return func(c *config) { c.hooks.crash = crash }
}

// WithRestore tests what a store answers after it has lost events that it had
// acknowledged, as after a failover or from a backup. restore copies what the store
// keeps, calls meanwhile, ends the store, opens the copy in its place, and returns
// that.
func WithRestore(restore func(t testing.TB, store Store, meanwhile func()) Store) Option {
	return func(c *config) { c.hooks.restore = restore }
}

// WithStall tests a store that promises PromptAppends with its Capabilities. stall has
// appends wait, as for a disk or a server that does not answer, until release is called.
func WithStall(stall func(t testing.TB, store Store) (release func())) Option {
	return func(c *config) { c.hooks.stall = stall }
}

// check tests one promise; F is the fixture it needs.
type check[F any] struct {
	name string
	run  func(F)
}

// short is how long something is kept whose expiry is tested.
const short = 500 * time.Millisecond

// clock lets time pass for a store.
type clock struct {
	advance func(time.Duration) // nil if it passes by itself
	// tick is the models' unit of time. What is kept is kept for an odd number of
	// ticks and time passes by even ones, so that nothing is asked for at the
	// moment at which it expires.
	tick time.Duration
}

// exact reports whether time passes only when the suite says so.
func (c clock) exact() bool { return c.advance != nil }

// until lets d pass, after which ok must hold. Where time passes by itself it
// waits for longer, if need be, than a busy machine may take.
func (c clock) until(t testing.TB, d time.Duration, what string, ok func() bool) {
	t.Helper()
	if c.exact() {
		c.advance(d)
		if !ok() {
			t.Fatalf("after %v: not yet %s", d, what)
		}
		return
	}
	const patience, poll = 30 * time.Second, 20 * time.Millisecond
	for start := time.Now(); !ok(); time.Sleep(poll) {
		if waited := time.Since(start); waited > d+patience {
			t.Fatalf("after %v: not yet %s; it was due after %v", waited, what, d)
		}
	}
}

// unique returns a name that no other test and no earlier run has used.
func unique(prefix string) string { return prefix + "-" + strconv.FormatUint(rand.Uint64(), 36) }

// together calls f with 0 to n-1 at the same time, and returns the errors.
func together(n int, f func(i int) error) error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return errors.Join(errs...)
}
