package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

// keep are the options of an append to a channel that keeps n events.
func keep(n int) storage.AppendOptions {
	return storage.AppendOptions{Retention: storage.Retention{Events: n}}
}

func appendTo(t testing.TB, st *Store, ch storage.ChannelID, data string, opts storage.AppendOptions) storage.Position {
	t.Helper()
	out, err := st.Append(context.Background(), ch, &storage.Event{ID: data, Name: "message", Data: []byte(data)}, opts)
	require.NoError(t, err)
	return out.Position
}

// texts returns the data of all events of a channel.
func texts(t testing.TB, st *Store, ch storage.ChannelID) (all []string) {
	t.Helper()
	page, err := st.Read(context.Background(), ch, storage.ReadOptions{})
	require.NoError(t, err)
	for _, ev := range page.Events {
		all = append(all, string(ev.Data))
	}
	return all
}

// A backup that is made while others publish holds what was there at one moment: of
// each publisher the first so many, with all that was acknowledged before it began.
func TestBackupIsAPrefix(t *testing.T) {
	const publishers = 4
	st := open(t)
	ctx, stop := context.WithCancel(t.Context())
	counts := make([]int, publishers)
	var begun, all sync.WaitGroup
	begun.Add(publishers)
	for i := range publishers {
		all.Go(func() {
			ch := storage.ChannelID{App: "app", Name: strconv.Itoa(i)}
			for n := 0; ctx.Err() == nil; n++ {
				appendTo(t, st, ch, strconv.Itoa(n), keep(1<<20))
				if n == 20 {
					begun.Done()
				}
				counts[i]++
			}
		})
	}
	begun.Wait()
	path := filepath.Join(t.TempDir(), "copy.db")
	require.NoError(t, st.Backup(t.Context(), path))
	stop()
	all.Wait()

	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	restored := openFile(t, path)
	for i := range publishers {
		ch := storage.ChannelID{App: "app", Name: strconv.Itoa(i)}
		kept := texts(t, restored, ch)
		require.GreaterOrEqual(t, len(kept), 21, "what was acknowledged before")
		require.LessOrEqual(t, len(kept), counts[i])
		for n, text := range kept {
			require.Equal(t, strconv.Itoa(n), text)
		}
		latest, err := storage.LatestOf(t.Context(), restored, ch)
		require.NoError(t, err)
		was, err := storage.LatestOf(t.Context(), st, ch)
		require.NoError(t, err)
		require.NotEqual(t, was.Epoch, latest.Epoch, "a copy never goes on in the epoch that it has")
	}
}

func TestBackupReplacesNothing(t *testing.T) {
	st := open(t)
	path := filepath.Join(t.TempDir(), "copy.db")
	require.NoError(t, os.WriteFile(path, []byte("precious"), 0o600))
	require.ErrorIs(t, st.Backup(t.Context(), path), fs.ErrExist)
	require.Error(t, st.Backup(t.Context(), filepath.Join(path, "below")))
	done, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, st.Backup(done, path+"2"), context.Canceled)
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing is left behind")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "precious", string(text))
}

// A file system without hard links gets its copy all the same, and none that takes another
// file's place.
func TestBackupWithoutLinks(t *testing.T) {
	st := open(t, func(c *config) error {
		c.link = func(string, string) error { return &os.LinkError{Op: "link", Err: errors.ErrUnsupported} }
		return nil
	})
	appendTo(t, st, room, "a", keep(10))
	folder := t.TempDir()
	path := filepath.Join(folder, "copy.db")
	require.NoError(t, st.Backup(t.Context(), path))
	require.ErrorIs(t, st.Backup(t.Context(), path), fs.ErrExist)
	require.Equal(t, []string{"a"}, texts(t, openFile(t, path), room))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, copyFile(ctx, path, filepath.Join(folder, "other.db")), context.Canceled)
	require.NoFileExists(t, filepath.Join(folder, "other.db"))
}
