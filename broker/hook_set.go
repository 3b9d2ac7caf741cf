package broker

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/carillon-rt/carillon/internal/fairqueue"
)

// maxHookCalls and maxHookCallBytes bound what waits for one set of hooks, for each
// class of what they are told.
const (
	maxHookCalls     = 1 << 15
	maxHookCallBytes = 8 << 20
)

// hookSet is one set of hooks, and calls those that inform, one at a time and in order.
// Its goroutine lives only while there is something to call.
type hookSet struct {
	hooks  *Hooks
	faults *faults

	mu      sync.Mutex
	queue   *fairqueue.Queue[subject, func()] // guarded by mu
	running bool                              // guarded by mu
	idle    chan struct{}                     // guarded by mu; closed when running ends, if anybody waits
}

// hookCall is a call of a hook that waits.
type hookCall = fairqueue.Item[subject, func()]

// call queues a call. It never blocks.
func (n *hookSet) call(item hookCall) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if dropped := n.queue.Push(item); dropped > 0 {
		n.dropped(dropped)
	}
	if !n.running {
		n.running = true
		go n.run()
	}
}

// dropped counts calls that are never made, and logs the first.
func (n *hookSet) dropped(calls int) {
	f := n.faults
	if f.stats.hooksDropped.Add(int64(calls)) == int64(calls) {
		f.log.Error("hooks are too slow, calls are dropped", "limit", maxHookCalls, "bytes", maxHookCallBytes)
	}
	if f.observers.want("", ObserveHooksDropped) {
		f.observers.tell(context.Background(), "", HooksDropped{Calls: calls})
	}
}

func (n *hookSet) run() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		next, ok := n.queue.Pop()
		if !ok {
			break
		}
		n.mu.Unlock()
		n.faults.guard("hook", next.Value)
		n.mu.Lock()
		n.queue.Done(next)
	}
	n.running = false
	if n.idle != nil {
		close(n.idle)
		n.idle = nil
	}
}

// flush waits until every queued call has been made.
func (n *hookSet) flush(ctx context.Context) error {
	n.mu.Lock()
	if !n.running {
		n.mu.Unlock()
		return nil
	}
	if n.idle == nil {
		n.idle = make(chan struct{})
	}
	idle := n.idle
	n.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hookSets are the sets of hooks of a broker.
type hookSets struct {
	faults *faults
	all    atomic.Pointer[[]*hookSet]
	// time ends when informing hooks have to be over: over ends it.
	time context.Context
	over context.CancelCauseFunc
	// published says that some set hears of published events.
	published atomic.Bool
}

func (h *hookSets) init(f *faults) {
	h.faults = f
	h.time, h.over = context.WithCancelCause(context.Background())
}

// add takes another set in.
func (h *hookSets) add(hooks Hooks) {
	set := &hookSet{hooks: &hooks, faults: h.faults, queue: fairqueue.New[subject, func()](classes, maxHookCalls, maxHookCallBytes)}
	for {
		old := h.all.Load()
		all := append(slices.Clone(h.sets()), set)
		if h.all.CompareAndSwap(old, &all) {
			if hooks.Published != nil {
				h.published.Store(true)
			}
			return
		}
	}
}

// sets are those there are now. They must not be changed.
func (h *hookSets) sets() []*hookSet {
	if all := h.all.Load(); all != nil {
		return *all
	}
	return nil
}

// any reports whether there is a set of hooks.
func (h *hookSets) any() bool { return h.all.Load() != nil }

// The classes of calls of hooks. Each has room of its own in the queue.
const (
	ofSessions = iota
	ofSubscriptions
	ofMembers
	ofUsers
	ofChannels
	ofCounts
	ofMisses
	ofGaps
	ofClientEvents
	ofPublished
	classes
)

// subject is what a call of a hook is about: a session, a channel, a member of one, or
// a user.
type subject struct {
	app, channel, user string
	session            *Session
}
