package broker

import (
	"context"
	"sync"

	"github.com/carillon-rt/carillon/internal/fairqueue"
)

// maxNotices and maxNoticeBytes bound what waits for one set of hooks, for each
// class of what they are told.
const (
	maxNotices     = 1 << 15
	maxNoticeBytes = 8 << 20
)

// notifier calls the informing hooks of one set, one at a time and in order. Its
// goroutine lives only while there is something to call.
type notifier struct {
	hooks  *Hooks
	broker *Broker

	mu      sync.Mutex
	queue   *fairqueue.Queue[subject, func()] // guarded by mu
	running bool                              // guarded by mu
	idle    chan struct{}                     // guarded by mu; closed when running ends, if anybody waits
}

type notice = fairqueue.Item[subject, func()]

// call queues a call. It never blocks.
func (n *notifier) call(item notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if dropped := int64(n.queue.Push(item)); dropped > 0 && n.broker.stats.hooksDropped.Add(dropped) == dropped {
		n.broker.log.Error("hooks are too slow, calls are dropped", "limit", maxNotices, "bytes", maxNoticeBytes)
	}
	if !n.running {
		n.running = true
		go n.run()
	}
}

func (n *notifier) run() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		next, ok := n.queue.Pop()
		if !ok {
			break
		}
		n.mu.Unlock()
		n.broker.guard("hook", next.Value)
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
func (n *notifier) flush(ctx context.Context) error {
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

// AddHooks makes the broker use another set of hooks from now on. Protocol
// handlers use it for their webhooks; programs usually have WithHooks.
func (b *Broker) AddHooks(h Hooks) {
	n := &notifier{hooks: &h, broker: b, queue: fairqueue.New[subject, func()](classes, maxNotices, maxNoticeBytes)}
	for {
		old := b.notifiers.Load()
		var all []*notifier
		if old != nil {
			all = append(all, *old...)
		}
		all = append(all, n)
		if b.notifiers.CompareAndSwap(old, &all) {
			if h.Published != nil {
				b.hearPublished.Store(true)
			}
			return
		}
	}
}

func (b *Broker) hookSets() []*notifier {
	if all := b.notifiers.Load(); all != nil {
		return *all
	}
	return nil
}
