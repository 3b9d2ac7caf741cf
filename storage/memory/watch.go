package memory

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/carillon-rt/carillon/storage"
)

// watchers are those who want to know of changes of one kind. Telling them costs
// nothing where there are none.
type watchers[T any] struct {
	mu  sync.Mutex                      // held to change all
	all atomic.Pointer[[]*func(what T)] // never changed in place
}

// watch calls notify with each change until ctx is done, and with the zero T first.
func (w *watchers[T]) watch(ctx context.Context, notify func(T)) error {
	w.change(func(all []*func(T)) []*func(T) { return append(all, &notify) })
	defer w.change(func(all []*func(T)) []*func(T) {
		return slices.DeleteFunc(all, func(f *func(T)) bool { return f == &notify })
	})
	var anything T
	notify(anything)
	<-ctx.Done()
	return context.Cause(ctx)
}

func (w *watchers[T]) change(f func([]*func(T)) []*func(T)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []*func(T)
	if old := w.all.Load(); old != nil {
		all = slices.Clone(*old)
	}
	all = f(all)
	w.all.Store(&all)
}

// wanted reports whether anybody watches.
func (w *watchers[T]) wanted() bool {
	all := w.all.Load()
	return all != nil && len(*all) > 0
}

// tell tells all watchers. The caller holds no lock.
func (w *watchers[T]) tell(what T) {
	for _, notify := range *w.all.Load() {
		(*notify)(what)
	}
}

// Watch implements storage.Watch. It tells of every append once, with the event.
func (s *Store) Watch(ctx context.Context, notify func(storage.Commit)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.commits.watch(ctx, notify)
}

// WatchPresence implements storage.WatchPresence. It tells of every change once.
func (s *Store) WatchPresence(ctx context.Context, notify func(storage.PresenceChange)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.changes.watch(ctx, notify)
}

// Capabilities implements storage.Capable.
func (s *Store) Capabilities() storage.Capabilities {
	return storage.Capabilities{ContiguousOffsets: true, Shared: s.shared}
}
