package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

// TestAnyPath opens, writes and copies files whose names mean something in URIs, or that
// are reached by a link.
func TestAnyPath(t *testing.T) {
	for _, name := range []string{"a b.db", "a?b=c.db", "a#b.db", "a%20b.db", "a+b.db", "a&vfs=x.db", "ünï.db", "link.db"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, name)
			if name == "link.db" {
				real := filepath.Join(dir, "real.db")
				require.NoError(t, os.WriteFile(real, nil, 0o600))
				require.NoError(t, os.Symlink(real, path))
			}
			for _, id := range []string{"a", "b"} {
				st, err := Open(path)
				require.NoError(t, err)
				_, err = st.Append(t.Context(), room, prepared(id).Event, prepared(id).Options)
				require.NoError(t, err)
				require.NoError(t, publishPair(t.Context(), st, id+"2"))
				require.NoError(t, st.Backup(t.Context(), filepath.Join(dir, id+" copy?.db")))
				companions, err := filepath.Glob(filepath.Join(dir, "*-*"))
				require.NoError(t, err)
				require.Len(t, companions, 2)
				for _, file := range append(companions, path) {
					info, err := os.Stat(file)
					require.NoError(t, err)
					assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), file)
				}
				require.NoError(t, st.Close())
			}
			st := openFile(t, filepath.Join(dir, "b copy?.db"))
			page, err := st.Read(t.Context(), room, storage.ReadOptions{})
			require.NoError(t, err)
			assert.Len(t, page.Events, 4)
		})
	}
}

// What is refused is left as it was, with nothing beside it.
func TestNothingIsLeftBesideWhatIsRefused(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"text":   func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("text ", 1000)), 0o600) },
		"short":  func(path string) error { return os.WriteFile(path, []byte("text"), 0o600) },
		"folder": func(path string) error { return os.Mkdir(path, 0o700) },
		"link":   func(path string) error { return os.Symlink("nowhere", path) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "carillon.db")
			require.NoError(t, put(path))
			_, err := Open(path)
			require.Error(t, err)
			there, err := os.ReadDir(dir)
			require.NoError(t, err)
			assert.Len(t, there, 1)
		})
	}
}

func TestManyMakeOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "carillon.db")
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			st, err := Open(path)
			if assert.NoError(t, err) {
				assert.NoError(t, st.Close())
			}
		})
	}
	all.Wait()
}

func TestErrorsOfTheSystemHaveTheirReasons(t *testing.T) {
	for errno, reason := range map[syscall.Errno]error{
		syscall.EROFS: ErrReadOnly, syscall.EACCES: ErrReadOnly, syscall.ENOSPC: ErrFull, syscall.EDQUOT: ErrFull,
	} {
		t.Run(fmt.Sprint(errno), func(t *testing.T) {
			require.ErrorIs(t, fileError("carillon.db", &os.PathError{Op: "open", Path: "carillon.db-shm", Err: errno}), reason)
		})
	}
}
