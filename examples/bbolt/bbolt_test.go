package bbolt

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"go.uber.org/goleak"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// later is how far the clocks of the tests' stores are ahead.
var later atomic.Int64

func open(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path)
	require.NoError(t, err)
	s.db.NoSync = true // no test ends the machine
	s.db.MaxBatchDelay = 0
	s.now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// reopen closes a store, under whatever is at work, and opens its file.
func reopen(t testing.TB, store storagetest.Store) storagetest.Store {
	s := store.(*Store)
	path := s.db.Path()
	require.NoError(t, s.Close())
	return open(t, path)
}

// restore ends a store and opens a copy that was made before meanwhile.
func restore(t testing.TB, store storagetest.Store, meanwhile func()) storagetest.Store {
	s := store.(*Store)
	path, backup := s.db.Path(), filepath.Join(t.TempDir(), "backup")
	require.NoError(t, s.db.View(func(tx *bolt.Tx) error { return tx.CopyFile(backup, 0o600) }))
	meanwhile()
	require.NoError(t, s.Close())
	require.NoError(t, os.Rename(backup, path))
	return open(t, path)
}

func TestHistory(t *testing.T) {
	storagetest.RunHistory(t, func(t *testing.T) storage.History {
		return open(t, filepath.Join(t.TempDir(), "events.bolt"))
	},
		storagetest.WithAdvance(func(d time.Duration) { later.Add(int64(d)) }),
		storagetest.WithRestart(reopen), storagetest.WithCrash(reopen), storagetest.WithRestore(restore))
}

func BenchmarkHistory(b *testing.B) {
	s, err := Open(filepath.Join(b.TempDir(), "events.bolt"))
	require.NoError(b, err)
	b.Cleanup(func() { _ = s.Close() })
	storagetest.BenchmarkHistory(b, s)
}

func TestFileIsOfOneProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.bolt")
	open(t, path)
	_, err := Open(path)
	require.ErrorIs(t, err, bolterrors.ErrTimeout)
	require.ErrorContains(t, err, path)
}
