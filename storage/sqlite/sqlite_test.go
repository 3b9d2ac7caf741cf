package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage/storagetest"
)

// open returns a store in a file of its own, which is closed with the test.
func open(t testing.TB, opts ...Option) *Store {
	t.Helper()
	return openFile(t, filepath.Join(t.TempDir(), "carillon.db"), opts...)
}

func openFile(t testing.TB, path string, opts ...Option) *Store {
	t.Helper()
	st, err := Open(path, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	return st
}

func TestStore(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storagetest.Store { return open(t) })
}
