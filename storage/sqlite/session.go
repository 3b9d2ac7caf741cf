package sqlite

import (
	"errors"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/carillon-rt/carillon/storage"
)

// session is a connection with the statements that were prepared on it. One goroutine
// uses it at a time.
type session struct {
	conn  *sqlite3.Conn
	stmts map[string]*statement
	// hasIndex says that the file is known to have an index of words.
	hasIndex bool
	// erases says that the connection overwrites all that is removed, always.
	erases bool
	// epochs are those that were looked up; an id never gets another epoch.
	epochs map[int64]storage.Epoch
}

func newSession(conn *sqlite3.Conn) *session {
	return &session{conn: conn, stmts: make(map[string]*statement), epochs: make(map[int64]storage.Epoch)}
}

// finalize gives the statements back.
func (s *session) finalize() error {
	var errs []error
	for _, st := range s.stmts {
		errs = append(errs, st.Close())
	}
	clear(s.stmts)
	return errors.Join(errs...)
}

// close closes the connection. What is left open in a transaction is rolled back.
func (s *session) close() error { return errors.Join(s.finalize(), s.conn.Close()) }

// use returns the statement of a text, to be bound from its first parameter on. The
// texts are constants, so that there are few.
func (s *session) use(text string) *statement {
	st := s.stmts[text]
	if st == nil {
		prepared, _, err := s.conn.PrepareFlags(text, sqlite3.PREPARE_PERSISTENT)
		if err != nil {
			return &statement{err: err}
		}
		st = &statement{Stmt: prepared}
		s.stmts[text] = st
	}
	if st.err != nil {
		st.holds = [rememberedBindings]binding{} // the last of them may not be so
	}
	st.bound, st.err = 0, nil
	return st
}

// statement is a prepared statement whose parameters are bound in their order. The
// first error is kept until exec or next returns it.
type statement struct {
	*sqlite3.Stmt
	bound int
	err   error
	// holds are what the first parameters are bound to, which stays so: binding costs
	// as much as writing does.
	holds [rememberedBindings]binding
}

const (
	rememberedBindings = 12
	// rememberedText is how long a text may be that is remembered.
	rememberedText = 64
)

// binding is what a parameter is known to be bound to.
type binding struct {
	null bool
	text string // if it is not empty
}

// bind goes on to the next parameter, and reports whether it has to be bound to that:
// the zero binding always has to.
func (st *statement) bind(to binding) bool {
	if st.bound++; st.err != nil {
		return false
	}
	if st.bound > rememberedBindings {
		return true
	}
	held := &st.holds[st.bound-1]
	if to == *held && to != (binding{}) {
		return false
	}
	*held = to
	return true
}

func (st *statement) int(v int64) {
	if st.bind(binding{}) {
		st.err = st.BindInt64(st.bound, v)
	}
}

func (st *statement) text(v string) {
	var to binding
	if len(v) <= rememberedText {
		to.text = v
	}
	if st.bind(to) {
		st.err = st.BindText(st.bound, v)
	}
}

// optional binds NULL for an empty text, which takes no room.
func (st *statement) optional(v string) {
	if v == "" {
		st.null()
	} else {
		st.text(v)
	}
}

// blob binds NULL for no bytes.
func (st *statement) blob(v []byte) {
	if len(v) == 0 {
		st.null()
	} else if st.bind(binding{}) {
		st.err = st.BindBlob(st.bound, v)
	}
}

func (st *statement) null() {
	if st.bind(binding{null: true}) {
		st.err = st.BindNull(st.bound)
	}
}

// exec runs the statement to its end.
func (st *statement) exec() error {
	if st.err != nil {
		return st.err
	}
	return st.Exec()
}

// next goes to the next row, and reports whether there is one. done must follow.
func (st *statement) next() bool { return st.err == nil && st.Step() }

// done ends a statement that was stepped through, wherever it stands, and returns the
// first error.
func (st *statement) done() error {
	if st.err != nil {
		return st.err
	}
	err := st.Err()
	if reset := st.Reset(); err == nil {
		err = reset
	}
	return err
}

// newEpoch starts an epoch that is newer than another, and than all of the file.
func (s *session) newEpoch(after storage.Epoch, now time.Time) (int64, storage.Epoch, error) {
	id, newest, err := s.newestEpoch()
	if err != nil {
		return 0, storage.Epoch{}, err
	}
	if newest.Compare(after) > 0 {
		after = newest
	}
	id, next := id+1, storage.NewEpoch(after)
	add := s.use(`INSERT INTO carillon_epoch VALUES (?, ?, ?, ?)`)
	add.int(id)
	add.int(int64(next.Number))
	add.int(int64(next.Random))
	add.int(now.UnixMilli())
	return id, next, add.exec()
}

// newestEpoch returns the newest epoch, and none of a file that has none yet.
func (s *session) newestEpoch() (id int64, epoch storage.Epoch, err error) {
	st := s.use(`SELECT id, number, random FROM carillon_epoch ORDER BY id DESC LIMIT 1`)
	if st.next() {
		id, epoch = st.ColumnInt64(0), storage.Epoch{Number: uint64(st.ColumnInt64(1)), Random: uint64(st.ColumnInt64(2))}
	}
	return id, epoch, st.done()
}

// epoch returns the epoch with an id.
func (s *session) epoch(id int64) (storage.Epoch, error) {
	if e, ok := s.epochs[id]; ok {
		return e, nil
	}
	st := s.use(`SELECT number, random FROM carillon_epoch WHERE id = ?`)
	st.int(id)
	if !st.next() {
		return storage.Epoch{}, errors.Join(ErrCorrupt, errors.New("an epoch is missing"), st.done())
	}
	e := storage.Epoch{Number: uint64(st.ColumnInt64(0)), Random: uint64(st.ColumnInt64(1))}
	if err := st.done(); err != nil {
		return storage.Epoch{}, err
	}
	s.epochs[id] = e
	return e, nil
}

// epochID returns the id of an epoch, and 0 if it is not one of the file's.
func (s *session) epochID(e storage.Epoch) (id int64, err error) {
	st := s.use(`SELECT id FROM carillon_epoch WHERE number = ? AND random = ?`)
	st.int(int64(e.Number))
	st.int(int64(e.Random))
	if st.next() {
		id = st.ColumnInt64(0)
	}
	return id, st.done()
}
