package sqlite

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/storagetest"
	"github.com/carillon-rt/carillon/storage/storagetest/linearizability"
)

// open returns a store in a file of its own, which is closed with the test.
func open(t testing.TB, opts ...Option) *Store {
	t.Helper()
	return openFile(t, filepath.Join(t.TempDir(), "carillon.db"), opts...)
}

// openFile opens the store in a file; it is closed with the test. Closing one that has
// had its power cut fails.
func openFile(t testing.TB, path string, opts ...Option) *Store {
	t.Helper()
	st, err := Open(path, opts...)
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			require.ErrorIs(t, err, errPowerCut)
		}
	})
	return st
}

// clock is one that only a test moves: what has expired does not depend on how busy the
// machine is.
type clock struct{ ahead atomic.Int64 }

// clockStart is where every clock begins.
var clockStart = time.Now()

func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

func (c *clock) now() time.Time { return clockStart.Add(time.Duration(c.ahead.Load())) }

// onClock has a store go by a clock.
func onClock(c *clock) Option {
	return func(cfg *config) error {
		cfg.now = c.now
		return nil
	}
}

// TestStore runs the whole suite, with a clock that is moved, so that it can be said what
// has not expired.
func TestStore(t *testing.T) {
	var c clock
	disks := make(map[*Store]*disk)
	opened := func(tb testing.TB, path string) *Store {
		d := newDisk(tb)
		st := openFile(tb, path, onDisk(d), onClock(&c))
		disks[st] = d
		return st
	}
	storagetest.Run(t, func(t *testing.T) storagetest.Store { return opened(t, filepath.Join(t.TempDir(), "carillon.db")) },
		storagetest.WithAdvance(c.advance),
		storagetest.WithRestart(func(tb testing.TB, store storagetest.Store) storagetest.Store {
			st := store.(*Store)
			require.NoError(tb, st.Close())
			return opened(tb, st.path)
		}),
		storagetest.WithCrash(func(tb testing.TB, store storagetest.Store) storagetest.Store {
			st := store.(*Store)
			disks[st].cut()
			_ = st.Close()
			return opened(tb, st.path)
		}),
		storagetest.WithRestore(func(tb testing.TB, store storagetest.Store, meanwhile func()) storagetest.Store {
			st := store.(*Store)
			copied := filepath.Join(tb.TempDir(), "copy.db")
			require.NoError(tb, st.Backup(tb.Context(), copied))
			meanwhile()
			require.NoError(tb, st.Close())
			require.NoError(tb, os.Rename(copied, st.path))
			return opened(tb, st.path)
		}),
		storagetest.WithStall(func(tb testing.TB, store storagetest.Store) (release func()) {
			tx := begin(tb, store.(*Store))
			return func() { require.NoError(tb, tx.Rollback()) }
		}))
}

// A store that forgets channels at once has to keep the same promises.
func TestStoreThatForgetsAtOnce(t *testing.T) {
	var c clock
	storagetest.RunHistory(t, func(t *testing.T) storage.History { return open(t, onClock(&c), WithForgetAfter(0)) }, storagetest.WithAdvance(c.advance))
}

func TestLinearizable(t *testing.T) {
	linearizability.History(t, open(t))
	linearizability.Presence(t, open(t))
}
