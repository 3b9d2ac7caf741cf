package storagetest

import (
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
)

// Time passes by itself here, as it does for stores outside of the process.
func TestRunInRealTime(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds of real time")
	}
	store := memory.New()
	Run(t, func(*testing.T) Store { return store })
}

func TestRunWithAdvance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		cfg := newConfig([]Option{WithAdvance(time.Sleep)})
		for _, check := range historyChecks() {
			check.run(newHistoryTest(t, store, cfg.clock))
		}
		for _, check := range presenceChecks() {
			check.run(newPresenceTest(t, store, cfg.clock))
		}
	})
}

func TestRunTestsWhatIsImplemented(t *testing.T) {
	Run(t, func(*testing.T) Store { return struct{ storage.History }{memory.New()} }, WithSynctest())
	Run(t, func(*testing.T) Store { return struct{ storage.Presence }{memory.New()} }, WithSynctest())
}

// recorder notes the failure of a check instead of failing the test.
type recorder struct {
	testing.TB
	failed atomic.Bool
}

func (r *recorder) Errorf(string, ...any) { r.failed.Store(true) }
func (r *recorder) Fatalf(string, ...any) { r.FailNow() }
func (r *recorder) FailNow()              { r.failed.Store(true); runtime.Goexit() }

// requireCaught requires that the named check fails, in a bubble where its time
// passes.
func requireCaught[F any](t *testing.T, checks []check[F], name string, fixture func(testing.TB, clock) F) {
	i := slices.IndexFunc(checks, func(c check[F]) bool { return c.name == name })
	require.GreaterOrEqual(t, i, 0, "no check is named %s", name)
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			checks[i].run(fixture(r, clock{advance: time.Sleep, tick: time.Millisecond}))
		}()
		<-done
		require.True(t, r.failed.Load(), "the broken store passed")
	})
}
