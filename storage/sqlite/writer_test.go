package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

// held has the writer wait in the middle of its work: a transaction of another
// connection holds the file, until release is called, and a first append has been taken.
func held(t *testing.T, st *Store) (release func(), first chan error) {
	t.Helper()
	tx, err := st.DB().BeginTx(t.Context(), &sql.TxOptions{})
	require.NoError(t, err)
	first = appendLater(t.Context(), st, "first")
	require.Eventually(t, func() bool { return st.taken.Load() > 0 }, 10*time.Second, time.Millisecond)
	return func() { require.NoError(t, tx.Rollback()) }, first
}

// appendLater appends in the background, and says how that ended.
func appendLater(ctx context.Context, st *Store, data string) chan error {
	done := make(chan error, 1)
	go func() {
		_, err := st.Append(ctx, room, &storage.Event{ID: data, Data: []byte(data)}, keep(100))
		done <- err
	}()
	return done
}

func (st *Store) awaitWaiting(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return st.queue.waits() == n }, 10*time.Second, time.Millisecond)
}

func TestQueueIsBounded(t *testing.T) {
	for name, tc := range map[string]struct {
		events, bytes int
		want          QueueFullError
	}{
		"events": {2, 1 << 20, QueueFullError{Field: "events", Limit: 2}},
		"bytes":  {100, 3 * eventOverhead, QueueFullError{Field: "bytes", Limit: 3 * eventOverhead}},
	} {
		t.Run(name, func(t *testing.T) {
			st := open(t, WithQueue(tc.events, tc.bytes), WithBusyTimeout(time.Minute))
			release, first := held(t, st)
			second := appendLater(t.Context(), st, "second")
			st.awaitWaiting(t, 1)
			third := appendLater(t.Context(), st, "third")
			st.awaitWaiting(t, 2)
			_, err := st.Append(t.Context(), room, &storage.Event{Data: make([]byte, eventOverhead)}, keep(100))
			require.ErrorIs(t, err, ErrQueueFull)
			var full *QueueFullError
			require.ErrorAs(t, err, &full)
			require.Equal(t, tc.want, *full)
			release()
			for _, done := range []chan error{first, second, third} {
				require.NoError(t, <-done)
			}
			require.Len(t, texts(t, st, room), 3)
		})
	}
}

// Those who come while the writer waits for them belong to its transaction, even if they
// came while it had not the time to look.
func TestWhoComesWhileTheWriterWaitsIsTaken(t *testing.T) {
	w := &writer{store: &Store{queue: newQueue(10, 1000)}, expected: 2}
	require.NoError(t, w.store.queue.put(&task{events: 1}))
	require.Len(t, w.gather([]*task{{events: 1}}), 2)
	w.expected, w.patience = 3, time.Millisecond
	require.Len(t, w.gather([]*task{{events: 1}}), 1, "nobody comes, and it does not wait for ever")
}

// An outcome that is there counts, although its caller's context has ended too.
func TestAnOutcomeThatIsThereCounts(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // which of the two is looked at first is left to chance
		done := &task{done: make(chan error, 1)}
		done.state.Store(taken)
		done.done <- nil
		require.NoError(t, done.wait(ctx))
		require.False(t, done.left)
	}
	atWork, waits := &task{}, &task{}
	atWork.state.Store(taken)
	require.ErrorIs(t, atWork.wait(ctx), storage.ErrOutcomeUnknown)
	require.NotErrorIs(t, waits.wait(ctx), storage.ErrOutcomeUnknown)
	require.True(t, atWork.left && waits.left)
}

// A batch that is bigger than all of the queue is taken when nothing else waits.
func TestQueueTakesWhatIsBigger(t *testing.T) {
	st := open(t, WithQueue(2, 10))
	var batch []storage.AppendRequest
	for i := range 5 {
		batch = append(batch, storage.AppendRequest{Channel: room, Event: &storage.Event{Data: []byte(strconv.Itoa(i))}, Options: keep(10)})
	}
	for _, r := range st.AppendBatch(t.Context(), batch) {
		require.NoError(t, r.Err)
	}
	require.Equal(t, []string{"0", "1", "2", "3", "4"}, texts(t, st, room))
}

func TestCancelledAppends(t *testing.T) {
	st := open(t, WithBusyTimeout(time.Minute))
	tx, err := st.DB().BeginTx(t.Context(), &sql.TxOptions{})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	atWork := appendLater(ctx, st, "at work")
	require.Eventually(t, func() bool { return st.taken.Load() > 0 }, 10*time.Second, time.Millisecond)
	waits := appendLater(ctx, st, "waits")
	st.awaitWaiting(t, 1)
	stays := appendLater(t.Context(), st, "stays")
	st.awaitWaiting(t, 2)
	cancel()
	err = <-atWork
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, storage.ErrOutcomeUnknown, "the writer was at it")
	err = <-waits
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, storage.ErrOutcomeUnknown, "the writer had not begun")
	require.NoError(t, tx.Rollback())
	require.NoError(t, <-stays)
	require.Equal(t, []string{"at work", "stays"}, texts(t, st, room))
}

func TestLockedFileIsTyped(t *testing.T) {
	st := open(t, WithBusyTimeout(0))
	tx, err := st.DB().BeginTx(t.Context(), &sql.TxOptions{})
	require.NoError(t, err)
	_, err = st.Append(t.Context(), room, &storage.Event{}, keep(1))
	require.ErrorIs(t, err, ErrLocked)
	require.NotErrorIs(t, err, storage.ErrOutcomeUnknown)
	var busy *BusyError
	require.ErrorAs(t, err, &busy)
	_, err = st.Read(t.Context(), room, storage.ReadOptions{})
	require.NoError(t, err, "readers do not wait for writers")
	require.NoError(t, tx.Rollback())
	appendTo(t, st, room, "1", keep(1))
}

// Whatever goes wrong with the disk, each caller is told, what was acknowledged stays,
// and the store goes on when the disk is well again.
func TestDiskFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		fault func(op diskOp) error
		want  error
	}{
		"no space":   {func(op diskOp) error { return only(op, "write", syscall.ENOSPC) }, ErrFull},
		"no quota":   {func(op diskOp) error { return only(op, "write", &os.PathError{Err: syscall.EDQUOT}) }, ErrFull},
		"no growing": {func(op diskOp) error { return only(op, "write", syscall.EFBIG) }, ErrFull},
		"no writing": {func(op diskOp) error { return only(op, "write", sqlite3.IOERR_WRITE) }, sqlite3.IOERR},
		"no syncing": {func(op diskOp) error { return only(op, "sync", sqlite3.IOERR_FSYNC) }, sqlite3.IOERR_FSYNC},
	} {
		t.Run(name, func(t *testing.T) {
			const publishers = 8
			d := newDisk(t)
			path := filepath.Join(t.TempDir(), "carillon.db")
			st := openFile(t, path, onDisk(d))
			acknowledged := make([][]string, publishers)
			var all sync.WaitGroup
			for round := range 3 {
				if round == 1 {
					d.fail(tc.fault)
				} else {
					d.heal()
				}
				for i := range publishers {
					all.Go(func() {
						text := fmt.Sprintf("%d/%d", i, round)
						_, err := st.Append(t.Context(), room, &storage.Event{Data: []byte(text)}, keep(1000))
						if round == 1 {
							assert.ErrorIs(t, err, tc.want)
						} else if assert.NoError(t, err) {
							acknowledged[i] = append(acknowledged[i], text)
						}
					})
				}
				all.Wait()
			}
			for range 2 {
				kept := texts(t, st, room)
				for _, texts := range acknowledged {
					require.Subset(t, kept, texts)
				}
				require.Len(t, kept, 2*publishers, "what failed is not there")
				require.NoError(t, st.Close())
				st = openFile(t, path)
			}
		})
	}
}

func TestPanicsAreContained(t *testing.T) {
	st := open(t, WithBusyTimeout(time.Minute))
	release, first := held(t, st)
	panics := make(chan error, 1)
	go func() {
		panics <- st.write(t.Context(), &task{events: 1, do: func(*writer) error { panic("oh no") }})
	}()
	st.awaitWaiting(t, 1)
	second := appendLater(t.Context(), st, "second")
	st.awaitWaiting(t, 2)
	release()
	require.NoError(t, <-first)
	require.ErrorContains(t, <-panics, "oh no")
	require.NoError(t, <-second, "in the same transaction")
	require.Equal(t, []string{"first", "second"}, texts(t, st, room))
}

// A task that fails its transaction takes nobody with it.
func TestFailureIsOfItsTask(t *testing.T) {
	st := open(t, WithBusyTimeout(time.Minute))
	release, first := held(t, st)
	before := appendLater(t.Context(), st, "before")
	st.awaitWaiting(t, 1)
	broken := errors.New("broken")
	fails := make(chan error, 1)
	go func() { fails <- st.write(t.Context(), &task{events: 1, do: func(*writer) error { return broken }}) }()
	st.awaitWaiting(t, 2)
	after := appendLater(t.Context(), st, "after")
	st.awaitWaiting(t, 3)
	release()
	for _, done := range []chan error{first, before, after} {
		require.NoError(t, <-done)
	}
	require.ErrorIs(t, <-fails, broken)
	require.Equal(t, []string{"first", "before", "after"}, texts(t, st, room))
}

func TestClosedStore(t *testing.T) {
	st := open(t)
	appendTo(t, st, room, "1", keep(1))
	require.NoError(t, st.Close())
	require.NoError(t, st.Close(), "again")
	ctx := t.Context()
	_, err := st.Append(ctx, room, &storage.Event{}, keep(1))
	require.ErrorIs(t, err, ErrClosed)
	_, err = st.Read(ctx, room, storage.ReadOptions{})
	require.ErrorIs(t, err, ErrClosed)
	_, err = st.Latest(ctx, []storage.ChannelID{room})
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, st.Delete(ctx, room), ErrClosed)
	require.ErrorIs(t, st.Watch(ctx, func(storage.Commit) {}), ErrClosed)
	require.ErrorIs(t, st.Backup(ctx, filepath.Join(t.TempDir(), "copy.db")), ErrClosed)
}

// What waits when a store is closed is written.
func TestCloseWritesWhatWaits(t *testing.T) {
	st := open(t, WithBusyTimeout(time.Minute))
	release, first := held(t, st)
	second := appendLater(t.Context(), st, "second")
	st.awaitWaiting(t, 1)
	closed := make(chan error)
	go func() { closed <- st.Close() }()
	release()
	require.NoError(t, <-first)
	require.NoError(t, <-second)
	require.NoError(t, <-closed)
	require.Equal(t, []string{"first", "second"}, texts(t, openFile(t, st.path), room))
}

// Who does not wait any more for an append may do with the event what they like, although
// the writer is at it.
func TestEventsAreCopiedBeforeTheyWait(t *testing.T) {
	for name, appended := range map[string]func(st *Store, ctx context.Context, ev *storage.Event) error{
		"alone": func(st *Store, ctx context.Context, ev *storage.Event) error {
			_, err := st.Append(ctx, room, ev, keep(100))
			return err
		},
		"in a batch": func(st *Store, ctx context.Context, ev *storage.Event) error {
			batch := []storage.AppendRequest{{Channel: room, Event: ev, Options: keep(100)}}
			defer func() { batch[0].Event = nil }()
			return st.AppendBatch(ctx, batch)[0].Err
		},
	} {
		t.Run(name, func(t *testing.T) {
			st := open(t, WithBusyTimeout(time.Minute))
			tx := begin(t, st)
			ctx, cancel := context.WithCancel(t.Context())
			ev := &storage.Event{ID: "own", Data: []byte("own")}
			done := make(chan error)
			go func() { done <- appended(st, ctx, ev) }()
			require.Eventually(t, func() bool { return st.taken.Load() > 0 }, 10*time.Second, time.Millisecond)
			cancel()
			require.ErrorIs(t, <-done, storage.ErrOutcomeUnknown)
			ev.ID, ev.Data = "changed", []byte("changed")
			require.NoError(t, tx.Rollback())
			require.NoError(t, <-appendLater(t.Context(), st, "after"))
			require.Equal(t, []string{"own", "after"}, texts(t, st, room))
		})
	}
}
