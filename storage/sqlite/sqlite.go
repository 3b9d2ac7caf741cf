package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ncruces/go-sqlite3"

	"github.com/carillon-rt/carillon/storage"
)

var (
	_ storage.History       = (*Store)(nil)
	_ storage.Watch         = (*Store)(nil)
	_ storage.Capable       = (*Store)(nil)
	_ storage.Presence      = (*Store)(nil)
	_ storage.WatchPresence = (*Store)(nil)
)

// Store keeps history and presence in a file. Make one with Open; all methods are safe
// for concurrent use.
type Store struct {
	path     string // absolute
	dsn      string
	config   config
	queue    *queue
	readers  *readers
	watchers watchers
	db       *sql.DB
	// dbCommits counts commits of db.
	dbCommits atomic.Int64
	taken     atomic.Int64 // tasks that the writer has taken
	appends   sync.Pool    // of *oneAppend
	info      fs.FileInfo  // of the file that was opened
	replaced  atomic.Bool  // another file is in its place

	closing sync.Once
	ended   chan struct{} // closed when the writer has ended
	closed  error         // what closing the file said; to be read when ended is closed
}

// Open opens the file at a path, or makes one that only its owner may read and write.
// It begins an epoch: see the package's documentation.
//
// If the file cannot be used, the error wraps one of ErrCorrupt, ErrForeign, ErrNewer,
// ErrReadOnly, ErrLocked and ErrFull, and is a *FileError. If an option makes no sense,
// it is an *OptionError.
func Open(path string, opts ...Option) (*Store, error) {
	st := &Store{config: defaults(), ended: make(chan struct{})}
	for _, opt := range opts {
		if err := opt(&st.config); err != nil {
			return nil, err
		}
	}
	var err error
	if path == "" {
		return nil, &OptionError{Option: "Open", Reason: "the path is empty"}
	}
	if st.path, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	registerSpace()
	// The WAL gets the mode of the file. SQLite takes a plus for a plus.
	query := strings.ReplaceAll(url.Values{"vfs": {st.config.vfs}, "modeof": {st.path}}.Encode(), "+", "%20")
	st.dsn = (&url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(st.path), RawQuery: query}).String()
	st.queue = newQueue(st.config.queueEvents, st.config.queueBytes)
	st.readers = newReaders(st, st.config.readers)
	st.appends.New = st.newAppend
	if st.db, err = st.openDB(); err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	w := &writer{store: st, channels: make(map[storage.ChannelID]*channel), keeper: newKeeper(st.config.now())}
	if err := st.prepare(w); err != nil {
		return nil, errors.Join(st.fileError(err), st.db.Close())
	}
	go func() {
		defer close(st.ended)
		w.run()
	}()
	return st, nil
}

// prepare makes the file, and opens it for the writer.
func (st *Store) prepare(w *writer) error {
	if err := st.createFile(); err != nil {
		return err
	}
	if err := w.open(); err != nil {
		return err
	}
	conn := w.session.conn
	_, err := schemaOf(conn, st.config.otherTables)
	if err == nil {
		err = st.createIndex()
	}
	if err == nil {
		err = conn.Exec(`PRAGMA journal_mode = WAL`)
	}
	if err == nil {
		err = prepareFile(conn, &st.config)
	}
	if err == nil {
		st.info, err = os.Stat(st.path)
	}
	if err == nil {
		err = w.refresh() // so that it sees what changes from now on
	}
	if err != nil {
		return errors.Join(err, w.session.close())
	}
	return nil
}

// sameFile sees to it that nothing is written to a file that is no longer there.
func (st *Store) sameFile() error {
	if info, err := os.Stat(st.path); errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(info, st.info) {
		st.replaced.Store(true)
		return &FileError{Path: st.path, Reason: ErrReplaced}
	}
	return nil
}

// createFile makes the file, if there is none, for its owner only: SQLite would let others
// read it. One that has a WAL already is read by way of that, and so gets its index first.
func (st *Store) createFile() error {
	f, err := os.OpenFile(st.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		return f.Close()
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if f, err = os.Open(st.path); err != nil {
		return err
	}
	const size = 20
	header := make([]byte, size)
	n, _ := io.ReadFull(f, header) // what is wrong with it SQLite says
	if err := f.Close(); err != nil {
		return err
	}
	const magic, walFormat = "SQLite format 3\x00", 2
	if n < size || !strings.HasPrefix(string(header), magic) || header[size-1] != walFormat {
		return nil
	}
	return st.createIndex()
}

// createIndex makes the index of the file's WAL, if there is none, for those only who may
// read and write the file.
func (st *Store) createIndex() error {
	path, err := filepath.EvalSymlinks(st.path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path+"-shm", os.O_RDWR|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// connectionPragmas have to be set for each connection. What is removed from a page is
// overwritten, so that retracted data does not stay behind. A ranked search takes half as
// long again with SQLite's own 2 MB of pages in memory.
const connectionPragmas = `PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; PRAGMA secure_delete = FAST; PRAGMA cache_size = -16000`

// setUp makes a new connection what all have to be.
func (st *Store) setUp(conn *sqlite3.Conn) error {
	pragmas := connectionPragmas
	if st.config.erase {
		pragmas += `; PRAGMA secure_delete = ON`
	}
	return errors.Join(conn.BusyTimeout(st.config.busy), conn.Exec(pragmas), prepareConn(conn))
}

// connect opens a connection to the file.
func (st *Store) connect() (*sqlite3.Conn, error) {
	conn, err := sqlite3.Open(st.dsn)
	if err != nil {
		return nil, err
	}
	err = st.setUp(conn)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func (st *Store) fileError(err error) error { return fileError(st.path, err) }

// Close writes what waits, and closes the file. Calls that come later fail with
// ErrClosed.
func (st *Store) Close() error {
	st.closing.Do(func() {
		st.queue.close()
		<-st.ended
		st.closed = errors.Join(st.closed, st.readers.close(), st.db.Close())
	})
	return st.closed
}

// readers are the connections that read. They are opened when they are needed.
type readers struct {
	store *Store
	slots chan struct{} // an element for each connection in use

	mu     sync.Mutex
	idle   []*session // guarded by mu
	closed bool       // guarded by mu
}

func newReaders(st *Store, n int) *readers { return &readers{store: st, slots: make(chan struct{}, n)} }

// with calls f with a connection, and ends what it does when ctx is done.
func (r *readers) with(ctx context.Context, f func(*session) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.store.replaced.Load() {
		return &FileError{Path: r.store.path, Reason: ErrReplaced}
	}
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.slots }()
	s, err := r.get()
	if err != nil {
		return r.store.fileError(err)
	}
	healthy := false
	defer func() { err = errors.Join(err, r.put(s, healthy)) }()
	s.conn.SetInterrupt(ctx)
	err = f(s)
	s.conn.SetInterrupt(context.Background())
	var gap *storage.GapError
	if healthy = err == nil || errors.As(err, &gap); healthy {
		return err
	}
	if ctx.Err() != nil && errors.Is(err, sqlite3.INTERRUPT) {
		return ctx.Err()
	}
	return r.store.fileError(err)
}

func (r *readers) get() (*session, error) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil, ErrClosed
	}
	if n := len(r.idle); n > 0 {
		s := r.idle[n-1]
		r.idle = r.idle[:n-1]
		r.mu.Unlock()
		return s, nil
	}
	r.mu.Unlock()
	conn, err := r.store.connect()
	if err != nil {
		return nil, err
	}
	return newSession(conn), conn.Exec(`PRAGMA query_only = ON`)
}

// put takes a connection back. One that has failed is closed.
func (r *readers) put(s *session, healthy bool) error {
	if healthy {
		r.mu.Lock()
		if !r.closed {
			r.idle = append(r.idle, s)
			r.mu.Unlock()
			return nil
		}
		r.mu.Unlock()
	}
	return s.close()
}

// close closes the connections, once those in use are idle.
func (r *readers) close() error {
	r.mu.Lock()
	r.closed = true
	idle := r.idle
	r.idle = nil
	r.mu.Unlock()
	var errs []error
	for _, s := range idle {
		errs = append(errs, s.close())
	}
	for range cap(r.slots) {
		r.slots <- struct{}{}
	}
	for range cap(r.slots) {
		<-r.slots
	}
	return errors.Join(errs...)
}
