package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/carillon-rt/carillon/storage"
)

// Errors of transactions of the caller.
var (
	// ErrTransaction says that a transaction cannot take events: it is not one of the
	// store's DB, or it may not write. Nothing was appended.
	ErrTransaction = errors.New("transaction is not one of Store.DB that may write")
	// ErrInTransaction says that a method that writes was called within InTx, whose
	// transaction it would wait for. Nothing was written: AppendTx takes what belongs to
	// the transaction, and what does not has to wait until it has ended.
	ErrInTransaction = errors.New("called within a transaction of the same store")
)

// AppendTx appends what was prepared within a transaction of DB, all of it or nothing:
// it goes out if and only if the transaction commits. Others on the file read it from
// then on; brokers that watch this Store are told at once, and those of other processes
// notice within a second. What is rolled back leaves no hole.
//
// The result has the outcome of each at its index. An idempotency key that was used
// before for the same request is no error: nothing is appended for it, which
// Appended.Duplicate says.
//
// Errors are those of Append, or wrap ErrTransaction. After an error nothing was
// appended, and the transaction is as it was before the call; what else is to become of
// it is up to the caller. An error of the disk may have ended all of it: then its Commit
// fails. No outcome is unknown but that of the commit.
//
// Until the transaction ends nobody else can write to the file: see DB.
func (st *Store) AppendTx(ctx context.Context, tx *sql.Tx, prepared ...storage.Prepared) ([]storage.Appended, error) {
	for i := range prepared {
		if p := &prepared[i]; p.Event == nil || p.Options.Retention.Events <= 0 {
			return nil, fmt.Errorf("sqlite: nothing was prepared that channel %v keeps", p.Channel)
		}
	}
	call := &txCall{store: st, prepared: prepared}
	_, err := tx.ExecContext(ctx, `SELECT `+appendFunction+`(?)`, sqlite3.Pointer(call))
	switch {
	case call.done: // the call may have been interrupted after that
		return call.results, nil
	case ctx.Err() != nil && errors.Is(errors.Join(call.err, err), sqlite3.INTERRUPT):
		return nil, ctx.Err()
	case call.err != nil:
		return nil, st.fileError(call.err)
	case err == nil || ctx.Err() == nil && !errors.Is(err, sql.ErrTxDone):
		// Other connections lack the function, and other drivers cannot pass the call.
		return nil, errors.Join(fmt.Errorf("sqlite: %s: %w", st.path, ErrTransaction), err)
	}
	return nil, err
}

// InTx calls f with a transaction of DB that may write, and commits it if f returns nil;
// after an error, or a panic, it is rolled back. The context that f gets tells the
// methods of the Store that they are called within it: those that write fail with
// ErrInTransaction then, at once. In a transaction that was begun otherwise they wait
// for it until they fail with ErrLocked. Amendments are prepared with it as well, or
// before.
func (st *Store) InTx(ctx context.Context, f func(ctx context.Context, tx *sql.Tx) error) error {
	if within(ctx, st) {
		return fmt.Errorf("sqlite: %s: %w", st.path, ErrInTransaction)
	}
	started := time.Now()
	tx, err := st.db.BeginTx(ctx, nil)
	if err != nil {
		return st.beginError(started, err)
	}
	defer func() { _ = tx.Rollback() }() // unless it has ended
	if err := f(context.WithValue(ctx, txKey{st}, true), tx); err != nil {
		return err
	}
	return st.fileError(tx.Commit())
}

// txKey is that of a context within a transaction of a store.
type txKey struct{ store *Store }

func within(ctx context.Context, st *Store) bool { return ctx.Value(txKey{st}) != nil }

// appendFunction is what AppendTx calls in SQL, since that leads to the connection of a
// transaction.
const appendFunction = "carillon_append"

// txCall is one call of AppendTx.
type txCall struct {
	store    *Store
	prepared []storage.Prepared
	results  []storage.Appended
	err      error
	done     bool
}

// txConn is a connection of DB.
type txConn struct {
	store   *Store
	session *session
	pending []pendingCommit // appended since the transaction began
}

// pendingCommit is an event of a transaction that has not ended.
type pendingCommit struct {
	row    int64 // its id in carillon_event
	commit storage.Commit
}

// do is appendFunction.
func (t *txConn) do(ctx sqlite3.Context, arg ...sqlite3.Value) {
	call, ok := arg[0].Pointer().(*txCall)
	if !ok || call.store != t.store || t.session.conn.TxnState("main") != sqlite3.TXN_WRITE {
		return // which leaves the call as it is
	}
	before := len(t.pending)
	if call.err = t.appendAll(call); call.err != nil {
		t.pending = t.pending[:min(before, len(t.pending))] // all is gone if SQLite has rolled back
		ctx.ResultError(call.err)
		return
	}
	call.done = true
}

// appendAll appends what a call has, or nothing.
func (t *txConn) appendAll(call *txCall) (err error) {
	s := t.session
	clear(s.epochs) // what was begun may have been rolled back since
	if _, err := s.indexed(); err != nil {
		return err
	}
	if err := s.use(`SAVEPOINT carillon_append`).exec(); err != nil {
		return err
	}
	defer func() {
		// What was begun is ended, also when the context of the call has.
		defer s.conn.SetInterrupt(s.conn.SetInterrupt(context.Background()))
		if err != nil {
			err = errors.Join(err, s.conn.Exec(`ROLLBACK TO carillon_append`))
		}
		err = errors.Join(err, s.use(`RELEASE carillon_append`).exec())
	}()
	now := t.store.config.now()
	call.results = make([]storage.Appended, len(call.prepared))
	for i := range call.prepared {
		if call.results[i], err = t.append(&call.prepared[i], now); err != nil {
			return err
		}
	}
	return nil
}

func (t *txConn) append(p *storage.Prepared, now time.Time) (storage.Appended, error) {
	c, err := t.session.channel(p.Channel)
	if err != nil {
		return storage.Appended{}, err
	}
	var out storage.Appended
	var refused error
	if p.Amendment != nil {
		var amended storage.Amended
		amended, refused, err = t.session.amend(&c, p.Amendment, now)
		out = amended.Appended
	} else {
		var result storage.AppendResult
		result, err = t.session.append(&c, p.Event, &p.Options, now)
		out, refused = result.Appended, result.Err
	}
	if err == nil {
		err = refused
	}
	if err != nil || out.Duplicate {
		return out, err
	}
	t.pending = append(t.pending, pendingCommit{row: c.eventID(c.last), commit: commitOf(p.Channel, p.Event, out)})
	return out, nil
}

// committed tells of what a transaction has appended. It looks for each event, which
// may have been rolled back to a savepoint of the caller's.
func (t *txConn) committed() error {
	if len(t.pending) == 0 {
		return nil
	}
	kept := &task{}
	for _, p := range t.pending {
		st := t.session.use(`SELECT event FROM carillon_event WHERE id = ?`)
		st.int(p.row)
		if st.next() && st.ColumnText(0) == p.commit.Event.ID {
			kept.commits = append(kept.commits, p.commit)
		}
		if err := st.done(); err != nil {
			t.forget()
			return err
		}
	}
	t.forget()
	t.store.watchers.tell([]*task{kept}, nil)
	return nil
}

func (t *txConn) forget() {
	clear(t.pending)
	t.pending = t.pending[:0]
}
