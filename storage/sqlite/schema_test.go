package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

// execFile runs SQL on a file that no store has open.
func execFile(t testing.TB, path string, texts ...string) {
	t.Helper()
	conn, err := sqlite3.Open(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	for _, text := range texts {
		require.NoError(t, conn.Exec(text), text)
	}
}

// fileOfVersion is a file of an older version, with the event "a" in the room.
func fileOfVersion(t testing.TB, version int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "carillon.db")
	execFile(t, path, `PRAGMA journal_mode = WAL`)
	execFile(t, path, migrations[:version]...)
	execFile(t, path,
		fmt.Sprintf(`INSERT INTO carillon_store (one, version, opened, forgot, revision) VALUES (1, %d, 1, 1, 0)`, version),
		`INSERT INTO carillon_epoch VALUES (1, 1000, 7, 0)`,
		`INSERT INTO carillon_channel (id, app, name, last, gone, deleted, hidden, keep_events, keep_age, epoch, start, since, used)
			VALUES (1, 'app', 'room', 0, 0, 0, 0, 100, 0, 1, 0, 1, 0)`,
		`INSERT INTO carillon_event (id, appended, event, name, data, flags, time) VALUES (1 << 38 | 1, 0, 'a', 'message', CAST('text' AS BLOB), 0, 0)`)
	return path
}

// A file of any version is brought up to date, and loses nothing.
func TestMigrations(t *testing.T) {
	for version := 1; version <= schemaVersion; version++ {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			path := fileOfVersion(t, version)
			st := openFile(t, path)
			require.Equal(t, []string{"text"}, texts(t, st, room))
			page, err := st.Read(t.Context(), room, storage.ReadOptions{From: storage.Position{Epoch: storage.Epoch{Number: 1000, Random: 7}}})
			require.NoError(t, err, "a position of before")
			require.Len(t, page.Events, 1)
			_, err = st.Amend(t.Context(), room, *editOf("a", 0, storage.Edit, "b").Amendment)
			require.NoError(t, err)
			require.Equal(t, []string{"b/1"}, currentOf(t, st))
			_, err = st.Join(t.Context(), room, storage.Connection{Node: "n", ID: "1"}, storage.Member{UserID: "ann"}, storage.JoinOptions{})
			require.NoError(t, err)
			var v int
			require.NoError(t, st.DB().QueryRow(`SELECT version FROM carillon_store`).Scan(&v))
			require.Equal(t, schemaVersion, v)
		})
	}
}

// A migration that fails leaves the file as it was.
func TestMigrationsAreTransactional(t *testing.T) {
	path := fileOfVersion(t, 1)
	// In the way of what a later version makes.
	execFile(t, path, `CREATE TABLE carillon_seen (x)`)
	_, err := Open(path)
	require.ErrorContains(t, err, "carillon_seen")
	execFile(t, path, `DROP TABLE carillon_seen`)
	require.Equal(t, []string{"text"}, texts(t, openFile(t, path), room))
}

func TestFilesThatCannotBeUsed(t *testing.T) {
	for name, tc := range map[string]struct {
		make func(t *testing.T, path string)
		opts []Option
		want error
	}{
		"no database": {make: func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("not a database\n", 1000)), 0o600))
		}, want: ErrForeign},
		"tables of others":       {make: func(t *testing.T, path string) { execFile(t, path, `CREATE TABLE note (text)`) }, want: ErrForeign},
		"of another application": {make: func(t *testing.T, path string) { execFile(t, path, `PRAGMA application_id = 7`) }, want: ErrForeign},
		"newer": {make: func(t *testing.T, path string) {
			require.NoError(t, openFile(t, path).Close())
			execFile(t, path, `UPDATE carillon_store SET version = 99`)
		}, want: ErrNewer},
		"version that there is not": {make: func(t *testing.T, path string) {
			require.NoError(t, openFile(t, path).Close())
			execFile(t, path, `UPDATE carillon_store SET version = 0`)
		}, want: ErrCorrupt},
		"damaged schema": {make: func(t *testing.T, path string) { damage(t, path, 100, 4096) }, want: ErrCorrupt},
		"cut short": {make: func(t *testing.T, path string) {
			require.NoError(t, openFile(t, path).Close())
			require.NoError(t, os.Truncate(path, 5000))
		}, want: ErrCorrupt},
		"no store row": {make: func(t *testing.T, path string) {
			require.NoError(t, openFile(t, path).Close())
			execFile(t, path, `DELETE FROM carillon_store`)
		}, want: ErrCorrupt},
		"locked": {make: func(t *testing.T, path string) {
			tx, err := openFile(t, path).DB().BeginTx(t.Context(), nil)
			require.NoError(t, err)
			t.Cleanup(func() { _ = tx.Rollback() })
		}, opts: []Option{WithBusyTimeout(0)}, want: ErrLocked},
		"a folder":          {make: func(t *testing.T, path string) { require.NoError(t, os.Mkdir(path, 0o700)) }, want: sqlite3.CANTOPEN},
		"in no folder":      {make: func(t *testing.T, path string) { require.NoError(t, os.Remove(filepath.Dir(path))) }, want: fs.ErrNotExist},
		"a full disk":       {opts: []Option{fullDisk(t)}, want: ErrFull},
		"a disk that fails": {opts: []Option{brokenDisk(t)}, want: sqlite3.IOERR},
		"read-only":         {opts: []Option{readOnlyDisk(t)}, want: ErrReadOnly},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "carillon.db")
			var before []byte
			if tc.make != nil {
				tc.make(t, path)
				before, _ = os.ReadFile(path)
			}
			st, err := Open(path, tc.opts...)
			require.Nil(t, st)
			require.ErrorIs(t, err, tc.want)
			require.ErrorContains(t, err, path)
			if errors.Is(tc.want, sqlite3.IOERR) || errors.Is(tc.want, sqlite3.CANTOPEN) || tc.want == fs.ErrNotExist {
				return // what only the system has a word for
			}
			var file *FileError
			require.ErrorAs(t, err, &file)
			require.Equal(t, path, file.Path)
			if tc.want == ErrForeign || tc.want == ErrNewer {
				after, err := os.ReadFile(path)
				require.NoError(t, err)
				require.True(t, bytes.Equal(before, after), "what is another's is left as it is")
			}
		})
	}
}

func damage(t testing.TB, path string, from, to int) {
	t.Helper()
	require.NoError(t, openFile(t, path).Close())
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteAt(bytes.Repeat([]byte{0x5a}, to-from), int64(from))
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	for name, opt := range map[string]Option{
		"WithQueue": WithQueue(0, 1), "WithReaders": WithReaders(0), "WithBusyTimeout": WithBusyTimeout(-1),
		"WithForgetAfter": WithForgetAfter(-1), "WithLastSeenLimit": WithLastSeenLimit(-1), "WithLogger": WithLogger(nil),
	} {
		_, err := Open(filepath.Join(t.TempDir(), "carillon.db"), opt)
		var wrong *OptionError
		require.ErrorAs(t, err, &wrong, name)
		require.Equal(t, name, wrong.Option)
	}
	_, err := Open("")
	require.ErrorContains(t, err, "path is empty")
}

// The file may be one of the application's, if it says so.
func TestOtherTables(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	execFile(t, path, `CREATE TABLE note (text)`, `PRAGMA application_id = 7`, `PRAGMA user_version = 12`)
	st := openFile(t, path, WithOtherTables())
	appendTo(t, st, room, "1", keep(1))
	require.NoError(t, st.Close())
	st = openFile(t, path)
	require.Equal(t, []string{"1"}, texts(t, st, room), "a store's file from then on")
	for pragma, want := range map[string]int{"application_id": 7, "user_version": 12} {
		var n int
		require.NoError(t, st.DB().QueryRow(`PRAGMA `+pragma).Scan(&n))
		require.Equal(t, want, n, "%s is the application's", pragma)
	}
}

// Nobody but the owner reads the files, whatever the umask; the mode of a file that is
// there already stays.
func TestPermissions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a?b%20#c.db")
	st := openFile(t, path)
	appendTo(t, st, room, "1", keep(1))
	mode := func(suffix string) fs.FileMode {
		info, err := os.Stat(path + suffix)
		require.NoError(t, err)
		return info.Mode().Perm()
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		require.Equal(t, fs.FileMode(0o600), mode(suffix), suffix)
	}
	require.NoError(t, st.Close())
	require.NoError(t, os.Chmod(path, 0o640))
	appendTo(t, openFile(t, path), room, "2", keep(1))
	for _, suffix := range []string{"", "-wal", "-shm"} {
		require.Equal(t, fs.FileMode(0o640), mode(suffix), suffix)
	}
}
