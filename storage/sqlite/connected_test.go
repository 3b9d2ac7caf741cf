package sqlite

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/ext/fts5"
	"github.com/stretchr/testify/require"
)

// TestWithConnected keeps a table of the caller's own that needs an extension, which
// the store's own connections lack.
func TestWithConnected(t *testing.T) {
	path := filepath.Join(t.TempDir(), "carillon.db")
	for range 2 {
		st, err := Open(path, WithConnected(fts5.Register))
		require.NoError(t, err)
		_, err = st.DB().ExecContext(t.Context(), `
			CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(text);
			INSERT INTO words VALUES ('the bells of noon')`)
		require.NoError(t, err)
		var found string
		require.NoError(t, st.DB().QueryRowContext(t.Context(), `SELECT text FROM words WHERE words MATCH 'bells'`).Scan(&found))
		require.NoError(t, st.Close())
	}

	broken := errors.New("broken")
	st := openFile(t, path, WithConnected(func(*sqlite3.Conn) error { return broken }))
	require.ErrorIs(t, st.DB().PingContext(t.Context()), broken)
	_, err := Open(path, WithConnected(nil))
	var option *OptionError
	require.ErrorAs(t, err, &option)
}
