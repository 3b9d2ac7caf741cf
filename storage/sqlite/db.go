package sqlite

import (
	"database/sql"
	"errors"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"
)

// checkpointPages is how many pages of the WAL a commit leaves to a checkpoint, as is
// SQLite's default.
const checkpointPages = 1000

// DB returns the file as a database of database/sql, for tables of the caller's own
// beside the store's, and for transactions that AppendTx takes. Close closes it.
//
// A transaction that may write, which is any that is not begun with sql.TxOptions.ReadOnly,
// is alone in that from its beginning to its end. Until then the store's own writes wait,
// and so do other transactions. Who has waited for longer than WithBusyTimeout allows
// gets an error that wraps ErrLocked, or sqlite3.BUSY where database/sql returns it. So
// keep transactions short, and within one use its *sql.Tx only.
//
// Tables whose names begin with "carillon_" are the store's, and must not be written to.
func (st *Store) DB() *sql.DB { return st.db }

// openDB makes the database of DB. It opens no connection yet.
func (st *Store) openDB() (*sql.DB, error) { return driver.Open(st.dsn, st.connected) }

// connected prepares a connection of DB.
func (st *Store) connected(conn *sqlite3.Conn) error {
	err := st.setUp(conn)
	for _, f := range st.config.connected {
		if err == nil {
			err = f(conn)
		}
	}
	if err != nil {
		return err
	}
	t := &txConn{store: st, session: newSession(conn)}
	t.session.erases = st.config.erase
	conn.CommitHook(func() bool {
		st.dbCommits.Add(1)
		return true
	})
	conn.RollbackHook(t.forget)
	// It takes the place of the hook that checkpoints.
	conn.WALHook(func(conn *sqlite3.Conn, schema string, pages int) error {
		if t.committed() != nil {
			st.watchers.tellAnything()
		}
		if pages < checkpointPages {
			return nil
		}
		// The transaction is committed, whatever becomes of this: the next one tries again,
		// and who has to write to a file with no room left is told so.
		_, _, _ = conn.WALCheckpoint(schema, sqlite3.CHECKPOINT_PASSIVE)
		return nil
	})
	err = conn.Trace(sqlite3.TRACE_CLOSE, func(sqlite3.TraceEvent, any, any) error { return t.session.finalize() })
	return errors.Join(err, conn.CreateFunction(appendFunction, 1, sqlite3.DIRECTONLY, t.do))
}

// beginError says which error it stands for that a transaction could not begin.
func (st *Store) beginError(started time.Time, err error) error {
	if errors.Is(err, sqlite3.BUSY) {
		return &FileError{Path: st.path, Reason: &BusyError{Waited: time.Since(started)}, Err: err}
	}
	return st.fileError(err)
}
