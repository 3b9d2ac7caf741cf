package sqlite

import (
	"database/sql"
	"errors"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"
)

// checkpointPages is how many pages of the WAL a commit leaves to a checkpoint, as is
// SQLite's default.
const checkpointPages = 1000

// DB returns the file as a database of database/sql, for tables of the caller's own
// beside the store's. What is committed through it is noticed at once. A transaction
// that writes holds up the store's own writes until it ends, and they fail with
// ErrLocked if that takes longer than WithBusyTimeout allows. Close closes it.
//
// Tables whose names begin with "carillon_" are the store's, and must not be written to.
func (st *Store) DB() *sql.DB { return st.db }

// openDB makes the database of DB. It opens no connection yet.
func (st *Store) openDB() (*sql.DB, error) {
	return driver.Open(st.dsn, func(conn *sqlite3.Conn) error {
		err := errors.Join(conn.BusyTimeout(st.config.busy), conn.Exec(connectionPragmas))
		// The hook takes the place of the one that checkpoints.
		conn.WALHook(func(conn *sqlite3.Conn, schema string, pages int) error {
			st.queue.wakeUp()
			if pages < checkpointPages {
				return nil
			}
			_, _, err := conn.WALCheckpoint(schema, sqlite3.CHECKPOINT_PASSIVE)
			if errors.Is(err, sqlite3.BUSY) {
				return nil // another one is at it
			}
			return err
		})
		for _, f := range st.config.connected {
			if err == nil {
				err = f(conn)
			}
		}
		return err
	})
}
