// Package sqlite keeps history in a file that outlives the process, and the machine's
// bad days: an append returns when its event is on the disk. It needs nothing but Go.
// It is not for brokers on several machines: they cannot share a file.
//
//	store, err := sqlite.Open("carillon.db")
//	if err != nil {
//		return err
//	}
//	defer store.Close()
//	b, err := broker.New(broker.WithHistory(store))
//
// Events can be edited, retracted and appended to; WithSearch has them found by their
// words as well.
//
// # The driver
//
// The driver is github.com/ncruces/go-sqlite3, which is SQLite translated to Go. The
// command internal/drivers measured it beside modernc.org/sqlite, the other driver
// without cgo, in seven interleaved rounds on a machine with 2 cores: with 64 rows a
// transaction it wrote 1.2 times as many rows, from 64 publishers through one writer 1.07
// times as many, and it read the last 50 events of a channel 1.9 times as often. What
// decided is that its VFS is Go, so that tests can record, break and cut what reaches
// the disk (the other's is read-only); that its locks are of the open file, so that
// another library which opens and closes the file cannot lose them; and that it can be
// used without database/sql. Backup, hooks and FTS5 are in both.
package sqlite
