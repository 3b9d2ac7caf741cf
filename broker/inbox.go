package broker

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/carillon-rt/carillon/transport"
)

// inbox holds the events that an in-process subscription has not yet consumed.
type inbox struct {
	sub    subscriber
	extras extras
	// limit and byteLimit bound what may wait.
	limit, byteLimit int

	closed atomic.Bool // by Subscription.Close: nothing is yielded any more

	mu      sync.Mutex
	queue   []*Event      // guarded by mu
	gaps    []error       // guarded by mu: those that queue and batch have in place of events
	had     Position      // guarded by mu: where the past ends, which must not come again
	wake    chan struct{} // guarded by mu; made when the consumer first waits
	waiting bool          // guarded by mu
	full    bool          // guarded by mu: takes nothing more and is about to end
	ended   bool          // guarded by mu
	exempt  int32         // guarded by mu: how many of queue take no room: past events and gaps
	err     error         // guarded by mu: why it ended
	// size is how many bytes of data wait, and pastBytes of past events among them,
	// what the consumer has taken and not yet gone through included.
	size, pastBytes int               // guarded by mu
	account         transport.Account // guarded by mu
	stopContext     func() bool       // guarded by mu
	consuming       bool              // guarded by mu: a consumer is in its loop

	// What a consumer has taken, and what of it comes next. They are the consumer's
	// while there is one, and else guarded by mu.
	batch []*Event
	at    int
	done  int // bytes it has gone through and not yet told of
}

func (in *inbox) init(n *node, limit, byteLimit int) {
	in.limit, in.byteLimit = limit, byteLimit
	in.account.Open(n.budget, in)
	in.extras.inbox = in
	in.sub.extras = &in.extras
}

// endWith lets the subscription end with ctx.
func (in *inbox) endWith(ctx context.Context) {
	if ctx.Done() == nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { in.end(nil) })
	in.mu.Lock()
	in.stopContext = stop
	ended := in.ended
	in.mu.Unlock()
	if ended {
		// What ended it meanwhile could not yet let ctx go.
		stop()
	}
}

// add queues an event; an inbox that is full ends the subscription.
func (in *inbox) add(ev *Event) {
	in.mu.Lock()
	if in.ended || in.full || covered(ev.Position, in.had) {
		in.mu.Unlock()
		return
	}
	waiting := len(in.queue) - int(in.exempt)
	if waiting >= in.limit || waiting > 0 && in.size-in.pastBytes+len(ev.Data) > in.byteLimit {
		in.full = true
		n := in.sub.channel.node
		n.stats.slowInProcess.Add(1)
		in.mu.Unlock()
		err := fmt.Errorf("%w: channel %q, the buffer is %d events and %d bytes", ErrSlowSubscriber, ev.Channel, in.limit, in.byteLimit)
		in.observeSlow(err)
		// The caller holds the channel's order, which end must not wait for.
		n.background(func() { in.end(err) })
		return
	}
	in.queue = append(in.queue, ev)
	in.grown(len(ev.Data))
	in.signal()
	in.mu.Unlock()
}

// gapAhead stands in the queue for the first of gaps.
var gapAhead = new(Event)

// addGap queues an error that tells of events which will not come. One behind
// another takes its place: no event is between them.
func (in *inbox) addGap(gap error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ended || in.full {
		return
	}
	if n := len(in.queue); n > 0 && in.queue[n-1] == gapAhead {
		in.gaps[len(in.gaps)-1] = gap
		return
	}
	in.queue = append(in.queue, gapAhead)
	in.gaps = append(in.gaps, gap)
	in.exempt++
	in.signal()
}

// gap takes the first of the gaps.
func (in *inbox) gap() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	gap := in.gaps[0]
	in.gaps = in.gaps[1:]
	return gap
}

// grown counts more bytes. The caller holds mu.
func (in *inbox) grown(bytes int) {
	if in.size += bytes; in.size >= transport.BudgetAllowance && !in.ended {
		in.account.Set(in.size)
	}
}

// gone counts the bytes that the consumer has gone through. The caller holds mu.
func (in *inbox) gone() {
	in.size -= in.done
	in.pastBytes = max(in.pastBytes-in.done, 0)
	in.done = 0
	if !in.ended {
		in.account.Set(in.size)
	}
}

// signal wakes a consumer that waits. The caller holds mu.
func (in *inbox) signal() {
	if in.waiting {
		in.waiting = false
		in.wake <- struct{}{}
	}
}

// Held implements transport.Holder.
func (in *inbox) Held(yield func([]byte) bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, ev := range in.queue {
		if !yield(ev.Data) {
			return
		}
	}
}

// Release implements transport.Holder.
func (in *inbox) Release(err error) {
	err = fmt.Errorf("%w: channel %q: %w", ErrSlowSubscriber, in.sub.channel.id.Name, err)
	in.mu.Lock()
	slow := !in.ended
	if slow {
		in.sub.channel.node.stats.slowInProcess.Add(1)
	}
	in.forget()
	in.mu.Unlock()
	if slow {
		in.observeSlow(err)
	}
	in.end(err)
}

func (in *inbox) observeSlow(err error) {
	c := in.sub.channel
	if h := &c.node.observers; h.want(c.id.App, ObserveInProcessSlow) {
		h.tell(context.Background(), c.id.App, InProcessSlow{App: c.id.App, Channel: c.id.Name, Err: err})
	}
}

// forget drops what is queued, and takes nothing more in. The caller holds mu.
func (in *inbox) forget() {
	in.queue, in.exempt, in.full = nil, 0, true
	if !in.consuming {
		in.batch, in.at = nil, 0
	}
}

// end ends the subscription, once; what is queued can still be consumed.
func (in *inbox) end(err error) {
	in.mu.Lock()
	if in.ended {
		in.mu.Unlock()
		return
	}
	in.ended, in.err = true, err
	in.account.Set(0) // what is left is for the consumer alone
	stop := in.stopContext
	in.signal()
	in.mu.Unlock()
	if stop != nil {
		stop()
	}
	in.sub.channel.detach(&in.sub)
	in.sub.channel.node.stats.inProcess.Add(-1)
}

// close ends the subscription for a consumer that wants nothing more.
func (in *inbox) close() {
	in.closed.Store(true)
	in.mu.Lock()
	in.forget()
	in.mu.Unlock()
	in.end(nil)
}
