package sqlite

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

const (
	// groupEvents is how many events the writer commits at once at most.
	groupEvents = 512
	// pollEvery is how often an idle writer looks for what other processes have done,
	// and for what has expired.
	pollEvery = 200 * time.Millisecond
	// cachedChannels is how many channels the writer knows without asking the file.
	cachedChannels = 1 << 14
	// tellEvery is how often watchers are asked to look at everything at most, while DB
	// is in use.
	tellEvery = 500 * time.Millisecond
	// maxPatience is how long the writer waits at most for more to come, which takes a
	// processor: a transaction that took very long says nothing of those who come next.
	maxPatience = 10 * time.Millisecond
)

// writer is the one goroutine that writes to the file. It commits what waits in one
// transaction, so that many publishers share one sync of the disk.
type writer struct {
	store   *Store
	session *session
	// version is the file's, as PRAGMA data_version says: it changes with every commit
	// of another connection.
	version int64
	// channels are what the file knows of them; empty after a commit of another.
	channels map[storage.ChannelID]*channel
	keeper   *keeper
	seen     int64 // about how many departures are remembered
	// dbCommits is how many commits of DB are known of. They tell watchers of their own
	// events, so that those are asked to look at everything only now and then: there
	// may have been commits of other processes among them, which is untold yet.
	dbCommits int64
	untold    bool
	told      time.Time // when watchers were last asked to look at everything
	// expected is how many tasks are likely to come for the next transaction: those who
	// were answered with the last one, and those who waited then. patience is how long it
	// waits for them.
	expected int
	patience time.Duration
	began    time.Time // when the last transaction had its turn
	// unkept is the last error of keeping the file up, which was logged.
	unkept string
}

// run writes until the queue is closed and empty.
func (w *writer) run() {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var group []*task
	for more := true; more; {
		select {
		case <-w.store.queue.ready:
		case <-tick.C:
			w.poll()
		}
		if group, more = w.take(group[:0]); len(group) > 0 {
			group = w.commit(group)
		}
		clear(group)
	}
	w.close()
}

// take adds tasks that wait to a group, and reports whether more can come.
func (w *writer) take(group []*task) ([]*task, bool) {
	before := len(group)
	group, more := w.store.queue.take(group, roomIn(group))
	w.store.taken.Add(int64(len(group) - before))
	return group, more
}

// roomIn is how many events a group can have besides its own.
func roomIn(group []*task) int {
	n := groupEvents
	for _, t := range group {
		n -= t.events
	}
	return n
}

// gather adds tasks to a group whose transaction goes on. Those who were answered last
// are likely to come again, and it is cheaper to commit together. What they ask for is
// done while further ones come; without anything to do it waits for an eighth of the
// time that their transaction took.
func (w *writer) gather(group []*task) []*task {
	for before, began := len(group), time.Now(); before < w.expected && roomIn(group) > 0; {
		if group, _ = w.take(group); len(group) > before || w.patience <= 0 {
			break // looked for after the wait as well, in which they may have had this processor
		}
		runtime.Gosched()
		now := time.Now()
		w.patience, began = w.patience-now.Sub(began), now
	}
	return group
}

// commit does tasks in one transaction, and some tidying, and answers them. If that
// fails, each has one of its own, so that none fails because of another. It returns the
// group with those who came meanwhile.
func (w *writer) commit(group []*task) []*task {
	busy := w.keeper.busy()
	group, began, err := w.transact(group, busy)
	if err != nil && began && (len(group) > 1 || busy) && !errors.Is(err, storage.ErrOutcomeUnknown) {
		for _, t := range group {
			w.expected = 0
			_, _, err := w.transact([]*task{t}, false)
			w.answer(t, err)
		}
		return group
	}
	w.store.watchers.tell(group, err)
	w.expected, w.patience = len(group)+w.store.queue.waits(), min(time.Since(w.began)/8, maxPatience)
	for _, t := range group {
		t.done <- err
	}
	return group
}

func (w *writer) answer(t *task, err error) {
	w.store.watchers.tell([]*task{t}, err)
	t.done <- err
}

// transact does tasks in one transaction, with those that come meanwhile, and tidies if
// asked to. It returns all of them. After an error nothing was done, unless it wraps
// ErrOutcomeUnknown; began says whether any task was.
func (w *writer) transact(group []*task, tidy bool) (all []*task, began bool, err error) {
	all = group
	committing := false
	defer func() {
		if p := recover(); p != nil {
			w.drop()
			err = fmt.Errorf("sqlite: panic in a transaction: %v\n%s", p, debug.Stack())
			if committing {
				err = fmt.Errorf("%w: %w", storage.ErrOutcomeUnknown, err)
			}
		}
	}()
	if err := w.begin(); err != nil {
		w.abort()
		return all, false, w.store.fileError(err)
	}
	began = true
	for i := 0; i < len(all); i++ {
		t := all[i]
		t.commits, t.changes = t.commits[:0], t.changes[:0]
		if err := t.do(w); err != nil {
			w.abort()
			return all, true, w.store.fileError(err)
		}
		if i == len(all)-1 {
			all = w.gather(all)
		}
	}
	if tidy {
		if err := w.tidy(); err != nil {
			w.abort()
			err = w.store.fileError(err)
			w.notKept(err)
			return all, true, err
		}
	}
	committing = true
	if err := w.session.use(`COMMIT`).exec(); err != nil {
		// The transaction may be in the file, and come to life with the next opening.
		w.abort()
		return all, true, fmt.Errorf("%w: %w", storage.ErrOutcomeUnknown, w.store.fileError(err))
	}
	return all, true, nil
}

// begin begins a transaction, and forgets what another connection may have changed.
func (w *writer) begin() error {
	if w.store.replaced.Load() {
		return &FileError{Path: w.store.path, Reason: ErrReplaced}
	}
	if w.session == nil {
		if err := w.open(); err != nil {
			return err
		}
	}
	started := time.Now()
	if err := w.session.use(`BEGIN IMMEDIATE`).exec(); err != nil {
		return w.store.beginError(started, err)
	}
	w.began = time.Now()
	return w.refresh()
}

// refresh forgets what the writer knows of the file if another connection has changed
// that.
func (w *writer) refresh() error {
	st := w.session.use(`PRAGMA data_version`)
	if !st.next() {
		return errors.Join(errors.New("no data_version"), st.done())
	}
	version := st.ColumnInt64(0)
	if err := st.done(); err != nil || version == w.version {
		return err
	}
	w.forget()
	if _, err := w.session.indexed(); err != nil {
		return err
	}
	w.version = version
	if n := w.store.dbCommits.Load(); n != w.dbCommits {
		w.dbCommits, w.untold = n, true
	} else {
		w.tellAnything()
	}
	return nil
}

// tellAnything tells watchers that another process may have done anything.
func (w *writer) tellAnything() {
	w.store.watchers.tellAnything()
	w.told, w.untold = time.Now(), false
}

// forget drops what the writer knows of the file.
func (w *writer) forget() {
	w.seen = math.MaxInt64 - 1 // to be counted
	clear(w.channels)
	clear(w.session.epochs)
}

// abort rolls back, after which nothing that was done counts.
func (w *writer) abort() {
	if w.session == nil {
		return
	}
	w.forget()
	w.version = 0
	if !w.session.conn.GetAutocommit() && w.session.conn.Exec(`ROLLBACK`) != nil {
		w.drop()
	}
}

// drop gives up the connection, whatever its state. The next transaction opens one.
func (w *writer) drop() {
	if w.session == nil {
		return
	}
	s := w.session
	w.session = nil
	clear(w.channels)
	defer func() { _ = recover() }()
	_ = s.close()
}

func (w *writer) open() error {
	conn, err := w.store.connect()
	if err != nil {
		return err
	}
	w.session, w.version = newSession(conn), 0
	w.session.erases = w.store.config.erase
	return nil
}

// channel returns what the file knows of a channel, within a transaction.
func (w *writer) channel(ch storage.ChannelID) (*channel, error) {
	if c := w.channels[ch]; c != nil {
		return c, nil
	}
	c, err := w.session.channel(ch)
	if err != nil {
		return nil, err
	}
	if len(w.channels) >= cachedChannels {
		for other := range w.channels {
			delete(w.channels, other)
			break
		}
	}
	w.channels[ch] = &c
	return &c, nil
}

// channel returns what the file knows of a channel, within a transaction that may
// append to it.
func (s *session) channel(ch storage.ChannelID) (channel, error) {
	c, release, err := s.look(ch)
	if err != nil {
		return channel{}, err
	}
	if err := release(); err != nil {
		return channel{}, err
	}
	if c.top > 0 {
		c.appended, err = s.appendedAt(&c, c.top)
	}
	return c, err
}

// poll looks for what other processes have done, and for what has expired.
func (w *writer) poll() {
	defer func() {
		if recover() != nil {
			w.drop()
		}
	}()
	if w.session == nil {
		return
	}
	if err := w.refresh(); err != nil {
		w.abort()
		return
	}
	if w.untold && time.Since(w.told) >= tellEvery {
		w.tellAnything()
	}
	err := w.keepUp()
	if err != nil {
		w.abort()
	}
	w.notKept(err)
}

// notKept logs why the file could not be kept up, unless that is known.
func (w *writer) notKept(err error) {
	if err == nil {
		w.unkept = ""
	} else if text := err.Error(); text != w.unkept {
		w.unkept = text
		w.store.config.log.Warn("what has expired cannot be removed from the file", "file", w.store.path, "error", err)
	}
}

func (w *writer) close() {
	if w.session == nil {
		return
	}
	s := w.session
	w.session = nil
	w.store.closed = s.close()
}
