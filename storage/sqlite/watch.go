package sqlite

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/carillon-rt/carillon/storage"
)

// maxTold is how many notifications wait for a watcher that is slow. It is then told
// that it may have missed something.
const maxTold = 1024

// watchers are those who want to know of commits.
type watchers struct {
	n  atomic.Int32
	mu sync.Mutex
	// all are guarded by mu.
	all []*watcher
}

// watcher is one call of Watch or WatchPresence, in whose goroutine notify is called.
type watcher struct {
	mu      sync.Mutex
	commits []storage.Commit         // guarded by mu
	changes []storage.PresenceChange // guarded by mu
	missed  bool                     // guarded by mu
	wake    chan struct{}
	members bool // wants changes of members, and no commits
}

// wanted reports whether anybody watches.
func (ws *watchers) wanted() bool { return ws.n.Load() > 0 }

// tell tells what the tasks of a transaction have done.
func (ws *watchers) tell(group []*task, err error) {
	if err != nil || !ws.wanted() {
		return
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, w := range ws.all {
		w.tell(group)
	}
}

// tellAnything says that anything may have happened.
func (ws *watchers) tellAnything() {
	if !ws.wanted() {
		return
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, w := range ws.all {
		w.mu.Lock()
		w.missed = true
		w.mu.Unlock()
		w.signal()
	}
}

func (w *watcher) tell(group []*task) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range group {
		switch {
		case w.members:
			w.changes = append(w.changes, t.changes...)
		default:
			w.commits = append(w.commits, t.commits...)
		}
	}
	if len(w.commits) > maxTold || len(w.changes) > maxTold {
		w.commits, w.changes, w.missed = nil, nil, true
	}
	if len(w.commits) > 0 || len(w.changes) > 0 || w.missed {
		w.signal()
	}
}

func (w *watcher) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// watch adds w, and calls notify whenever there is something, until ctx is done or the
// store is closed.
func (st *Store) watch(ctx context.Context, w *watcher, notify func(commits []storage.Commit, changes []storage.PresenceChange, missed bool)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.wake, w.missed = make(chan struct{}, 1), true
	ws := &st.watchers
	ws.mu.Lock()
	ws.all = append(ws.all, w)
	ws.n.Add(1)
	ws.mu.Unlock()
	defer func() {
		ws.mu.Lock()
		defer ws.mu.Unlock()
		ws.all = slices.DeleteFunc(ws.all, func(other *watcher) bool { return other == w })
		ws.n.Add(-1)
	}()
	w.signal() // it has begun
	var commits []storage.Commit
	var changes []storage.PresenceChange
	for {
		select {
		case <-w.wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-st.ended:
			return ErrClosed
		}
		clear(commits)
		clear(changes)
		w.mu.Lock()
		commits, w.commits = w.commits, commits[:0]
		changes, w.changes = w.changes, changes[:0]
		missed := w.missed
		w.missed = false
		w.mu.Unlock()
		notify(commits, changes, missed)
	}
}

// Watch implements storage.Watch. Of what this Store appends it notifies at once, with
// the event. A commit of another connection is noticed within a second; then
// notify is called with the zero Commit, since any channel may have new events. It ends
// with ErrClosed when the Store is closed.
func (st *Store) Watch(ctx context.Context, notify func(storage.Commit)) error {
	return st.watch(ctx, &watcher{}, func(commits []storage.Commit, _ []storage.PresenceChange, missed bool) {
		if missed {
			notify(storage.Commit{})
		}
		for _, c := range commits {
			notify(c)
		}
	})
}
