// Package sqlite keeps history and presence in a file that outlives the process, and
// the machine's bad days: an append returns when its event is on the disk. It needs
// nothing but Go. It is not for brokers on several machines: they cannot share a file,
// and a file on a network drive is not safe.
//
//	store, err := sqlite.Open("carillon.db")
//	if err != nil {
//		return err
//	}
//	defer store.Close() // after the broker
//	b, err := broker.New(broker.WithHistory(store), broker.WithPresence(store))
//
// Store.AppendTx writes a row of the application's and publishes its event in one
// transaction. Events can be edited, retracted and appended to, and WithSearch has them
// found by their words. Store.Backup copies the file while it is in use.
//
// # How it works
//
// One goroutine writes. It commits what all publishers have waiting in one transaction, so
// that they share one sync of the disk; what waits is bounded in number and bytes, and who
// finds no room is told so with a *QueueFullError. Reads have connections of their own and
// never wait for a writer. SQLite runs in WAL mode with synchronous=FULL: what was
// acknowledged outlives a power cut, if the disk keeps what it has synced.
//
// An error says what has become of an append. If it wraps storage.ErrOutcomeUnknown, the
// event may be in the file or not, and a retry with the same idempotency key finds out;
// after any other error it is not, unless other documentation says so. A disk without
// room (ErrFull) is an error to publishers, and takes nothing away that is there.
//
// # Epochs
//
// Each Open begins an epoch, which all who have the file open use from then on, and the
// file remembers where each channel's epoch before has ended. A position up to there
// continues. One after that is a gap: it was given out by a file that had more, before
// an older copy took its place. So never put a copy into the place of a file that is
// open: a Store notices another file at its path within about a second, and fails with
// ErrReplaced until it is opened anew.
//
// # What leaves the file
//
// Reads never return what the retention does not keep. From the file it goes in the
// background, some rows with each transaction: a channel that grows has up to 64 events,
// or an eighth, more than it keeps, and channels that are quiet are looked at in turn, 256
// a second. Idempotency keys go when their time is over. A channel that keeps neither is
// forgotten after a while (WithForgetAfter), which begins an epoch for it.
//
// Age counts from when an event was appended, and never falls within a channel. If the clock
// was ahead for a while, what came then and until that time has come goes late: that is safer
// than to believe the clock which is behind, as one is before it has been set.
//
// The file does not shrink by that: its pages are used again. It is not auto_vacuum,
// neither full nor incremental, since a file whose retention is what it is stays at one
// size, while moving its pages about costs writes, fragments it, and takes room for the map
// of the pages. If much was deleted for good, run VACUUM through Store.DB at a quiet time:
// it rewrites the file, needs as much room again, and publishers wait for it, or fail with
// ErrLocked if it takes longer than WithBusyTimeout allows.
//
// What is removed is overwritten where that costs nothing: text of large events stays in
// pages that are free until they are used again, or not with WithErasing. An epoch, which
// each opening and each forgetting of channels begins, takes some 60 bytes for good, so that
// positions which are old go on.
//
// # The file
//
// Open makes the file with the mode 0600. Beside it SQLite keeps its log and the
// index of that, with the names of the file and "-wal" and "-shm", and the same mode: they
// belong to it, and must be moved and copied with it, or not at all. Of a file that is
// there already the mode stays.
//
// All tables have names that begin with "carillon_"; schema.go says what is in them. The
// application ID of a file that Open has made is 0x43617269 ("Cari"). The user_version is
// left to the application, whose own tables may stand beside the store's: the version of
// the schema is in carillon_store, and Open brings older files up to date in one
// transaction. A file that is damaged, foreign, newer, locked, read-only or full is refused
// with a *FileError, and left as it is.
//
// Several Stores may have one file open, in one process or in several on a machine. What
// one appends the others notice within a second, or at once if it is of the same Store,
// DB included. Other programs, the sqlite3 shell among them, may read the file at any
// time, and write to tables of their own; a transaction of theirs that writes delays
// publishers. They must use SQLite's own locks, which programs on the host and in a
// container with the file mounted do. A second SQLite library within the same process
// (database/sql with another driver) may lose its locks when either closes the file, so
// use Store.DB there.
//
// # Limits
//
//	appends that wait for the writer             16 384 and 64 MiB      WithQueue
//	wait for another transaction                 5 s                    WithBusyTimeout
//	reads at a time                              4                      WithReaders
//	memory of a position without events          1 hour                 WithForgetAfter
//	departures that are remembered               100 000                WithLastSeenLimit
//	end of a lease that is remembered            24 hours               fixed
//	events and keys removed in one transaction   512                    fixed
//	notifications that wait for a watcher        1 024, then one for all  fixed
//	events of a channel, ever                    2^38-1 (2.7e11)        fixed
//	channels at a time                           2^25-1 (33 million)    fixed
//	an event                                     1 GB, of SQLite        fixed
//
// # Transactions of the program's own
//
// Store.DB is the same file, for the program's own tables, and Store.AppendTx appends
// events within a transaction of it, so that a row and its event are both there or
// neither:
//
//	prepared, err := app.Prepare(ctx, "room", "message", data)
//	// …
//	err = store.InTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
//		if _, err := tx.ExecContext(ctx, `INSERT INTO message VALUES (?, ?)`, prepared.Event.ID, data); err != nil {
//			return err
//		}
//		_, err := store.AppendTx(ctx, tx, prepared)
//		return err
//	})
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
// used without database/sql. Backup, hooks and FTS5 are in both. Its VFS does not tell a
// full disk from one that fails, so there is a small one over it that does.
package sqlite
