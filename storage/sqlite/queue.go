package sqlite

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/carillon-rt/carillon/storage"
)

// task is something to be done within a transaction of the writer's.
type task struct {
	// do is called once, or, if the transaction of several tasks fails, once more in a
	// transaction of its own. What it returns fails the transaction.
	do func(*writer) error
	// events and bytes are what the task takes in the queue.
	events, bytes int
	state         atomic.Int32
	done          chan error               // made by write where it is nil
	left          bool                     // by its caller, while the writer may be at work with it
	commits       []storage.Commit         // told to watchers after the commit
	changes       []storage.PresenceChange // likewise
}

// The states of a task.
const (
	waiting   = iota
	taken     // by the writer
	abandoned // by its caller
)

// queue is what waits for the writer.
type queue struct {
	maxEvents, maxBytes int

	mu            sync.Mutex
	tasks         []*task // guarded by mu
	events, bytes int     // guarded by mu: of tasks
	closed        bool    // guarded by mu
	// ready has an element if there is something to take, or the queue was closed.
	ready chan struct{}
}

func newQueue(events, bytes int) *queue {
	return &queue{maxEvents: events, maxBytes: bytes, ready: make(chan struct{}, 1)}
}

// put adds a task, unless there is no room.
func (q *queue) put(t *task) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return ErrClosed
	case len(q.tasks) > 0 && q.events+t.events > q.maxEvents:
		return &QueueFullError{Field: "events", Limit: q.maxEvents}
	case len(q.tasks) > 0 && q.bytes+t.bytes > q.maxBytes:
		return &QueueFullError{Field: "bytes", Limit: q.maxBytes}
	}
	q.tasks, q.events, q.bytes = append(q.tasks, t), q.events+t.events, q.bytes+t.bytes
	q.signal()
	return nil
}

func (q *queue) signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// take appends tasks that wait to a group, up to a number of events, and reports
// whether more can come.
func (q *queue) take(group []*task, maxEvents int) ([]*task, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, events := 0, 0
	for n < len(q.tasks) && events < maxEvents {
		t := q.tasks[n]
		n++
		q.events, q.bytes = q.events-t.events, q.bytes-t.bytes
		if t.state.CompareAndSwap(waiting, taken) {
			group, events = append(group, t), events+t.events
		}
	}
	rest := copy(q.tasks, q.tasks[n:])
	clear(q.tasks[rest:])
	q.tasks = q.tasks[:rest]
	if rest > 0 {
		q.signal()
	}
	return group, rest > 0 || !q.closed
}

// waits returns how many tasks wait.
func (q *queue) waits() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.tasks)
}

// close refuses further tasks. Those that wait are still to be taken.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

// write has the writer do a task and waits for its outcome. If ctx ends first, the
// error says whether it is known that nothing was done.
func (st *Store) write(ctx context.Context, t *task) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if within(ctx, st) {
		return fmt.Errorf("sqlite: %s: %w", st.path, ErrInTransaction)
	}
	if t.done == nil {
		t.done = make(chan error, 1)
	}
	if err := st.queue.put(t); err != nil {
		return err
	}
	return t.wait(ctx)
}

// wait waits for the outcome of a task that was put into the queue.
func (t *task) wait(ctx context.Context) error {
	select {
	case err := <-t.done:
		return err
	case <-ctx.Done():
	}
	if t.state.CompareAndSwap(waiting, abandoned) {
		t.left = true
		return ctx.Err()
	}
	select {
	case err := <-t.done:
		return err
	default:
		t.left = true
		return fmt.Errorf("%w: %w", storage.ErrOutcomeUnknown, ctx.Err())
	}
}
