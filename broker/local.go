package broker

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/transport"
)

// DefaultBuffer is how many events an in-process subscription holds for its
// consumer where WithBuffer does not say.
const DefaultBuffer = 65536

// DefaultBufferBytes is how many bytes of data these may have where
// WithBufferBytes does not say.
const DefaultBufferBytes = 64 << 20

// SubscribeOption changes an in-process subscription.
type SubscribeOption func(*subscribeOptions)

type subscribeOptions struct {
	buffer int
	bytes  int
	rewind int
	after  *Position
}

// WithBuffer sets how many events may wait for the consumer, at least 1; the
// default is DefaultBuffer. A consumer that falls further behind, or is too far
// behind by WithBufferBytes or WithQueueBudget, gets ErrSlowSubscriber and no more.
// The past events of WithRewind and After come on top: DefaultBufferBytes of data,
// or what WithBufferBytes says if that is more, and with After as many events.
func WithBuffer(events int) SubscribeOption {
	return func(o *subscribeOptions) { o.buffer = events }
}

// WithBufferBytes sets how many bytes of data the events may have together that
// wait for the consumer, at least 1; the default is DefaultBufferBytes. One event
// may wait whatever its size. What WithBuffer says holds besides.
func WithBufferBytes(n int) SubscribeOption {
	return func(o *subscribeOptions) { o.bytes = n }
}

// WithRewind starts with the last n of the events in the channel's history, or as
// many as it keeps; the default is none. After goes before it.
func WithRewind(n int) SubscribeOption {
	return func(o *subscribeOptions) { o.rewind = n }
}

// After starts with every event after a position in the channel's history: what
// was missed since, once and in order. Where that cannot be done without a gap, be
// it that more was missed than a consumer may be behind, the first thing the
// consumer gets is an error that wraps storage.ErrGap; who goes on after it gets
// the events from now on.
func After(p Position) SubscribeOption {
	return func(o *subscribeOptions) { o.after = &p }
}

// Subscribe subscribes to a channel of any kind, with no regard to authorization:
// it is the program's own. The subscription exists when Subscribe returns, and
// ends with ctx or when the consumer leaves its loop; it must do either. It
// counts neither as occupying the channel nor in its number of subscriptions.
//
// An error ends the sequence, except one that wraps storage.ErrGap. The end of
// ctx ends it without an error, the end of the broker with ErrShutdown. Events
// of encrypted channels come opened. The sequence can be consumed once.
func (a *App) Subscribe(ctx context.Context, channel string, opts ...SubscribeOption) iter.Seq2[Event, error] {
	o := subscribeOptions{buffer: DefaultBuffer, bytes: DefaultBufferBytes}
	for _, opt := range opts {
		opt(&o)
	}
	q, gap, err := a.subscribe(ctx, channel, o)
	if err != nil {
		return func(yield func(Event, error) bool) { yield(Event{}, err) }
	}
	return func(yield func(Event, error) bool) {
		defer q.end(nil)
		if gap != nil && !yield(Event{}, gap) {
			return
		}
		q.consume(yield)
	}
}

func (a *App) subscribe(ctx context.Context, channel string, o subscribeOptions) (q *localQueue, gap, err error) {
	b := a.broker
	if err := CheckChannelName(channel); err != nil {
		return nil, nil, err
	}
	if o.buffer < 1 {
		return nil, nil, &FieldError{Field: "buffer", Problem: "is not positive"}
	}
	if o.bytes < 1 {
		return nil, nil, &FieldError{Field: "buffer bytes", Problem: "is not positive"}
	}
	if o.rewind < 0 {
		return nil, nil, &FieldError{Field: "rewind", Problem: "is negative"}
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	ch := storage.ChannelID{App: a.id, Name: channel}
	q = &localQueue{limit: o.buffer, byteLimit: o.bytes}
	q.account.Open(b.budget, q)
	q.extras.local = q
	q.sub.extras = &q.extras
	if err := b.attach(ctx, ch, b.opening(ctx, ch), &q.sub, func(at Position) { q.sub.at = at }); err != nil {
		return nil, nil, err
	}
	b.stats.locals.Add(1)
	if b.stopped.Load() {
		q.end(ErrShutdown)
		return nil, nil, ErrShutdown
	}
	if o.rewind > 0 || o.after != nil {
		if gap, err = q.rewind(ctx, o); err != nil {
			return nil, nil, err
		}
	}
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, func() { q.end(nil) })
		q.mu.Lock()
		q.stopContext = stop
		ended := q.ended
		q.mu.Unlock()
		if ended {
			// What ended it meanwhile could not yet let ctx go.
			stop()
		}
	}
	return q, gap, nil
}

// rewind puts past events in front of those that have come in since the
// subscription was attached. An error ends the subscription.
func (q *localQueue) rewind(ctx context.Context, o subscribeOptions) (gap, err error) {
	r := &pastRead{ctx: ctx, after: o.after, limit: o.rewind, bytes: max(o.bytes, DefaultBufferBytes), reach: q.sub.at}
	if o.after != nil {
		r.limit = o.buffer
	}
	err = q.sub.channel.readPast(r)
	switch {
	case isGap(err):
		return err, nil
	case err != nil && ctx.Err() != nil:
		q.end(nil) // as the end of ctx ends it at any time
		q.mu.Lock()
		defer q.mu.Unlock()
		q.queue, q.size = nil, 0 // nothing goes out without its past
		return nil, nil
	case err != nil:
		q.end(err)
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	events := r.events()
	queue := make([]*Event, 0, len(events)+len(q.queue))
	if o.after != nil {
		q.last = *o.after
	}
	q.size, q.pastBytes = 0, 0
	for i := range events {
		queue = append(queue, &events[i])
		q.last = events[i].Position
		q.pastBytes += len(events[i].Data)
	}
	for _, ev := range q.queue {
		if !covered(ev.Position, q.last) {
			queue = append(queue, ev)
			q.size += len(ev.Data)
		}
	}
	q.grown(q.pastBytes)
	q.queue, q.past = queue, int32(len(events))
	return nil, nil
}

// localQueue holds the events that an in-process subscription has not yet
// consumed.
type localQueue struct {
	sub    subscription
	extras extras
	limit  int

	byteLimit int

	mu      sync.Mutex
	queue   []*Event      // guarded by mu
	gaps    []error       // guarded by mu: those that queue has in place of events
	last    Position      // guarded by mu: where the past ends, which must not come again
	wake    chan struct{} // guarded by mu; made when the consumer first waits
	waiting bool          // guarded by mu
	full    bool          // guarded by mu: takes nothing more and is about to end
	ended   bool          // guarded by mu
	past    int32         // guarded by mu: how many of queue are past events, which take no room
	err     error         // guarded by mu: why it ended
	// size is how many bytes of data wait, and pastBytes of past events among them,
	// what the consumer has taken and not yet gone through included.
	size, pastBytes int               // guarded by mu
	account         transport.Account // guarded by mu
	stopContext     func() bool       // guarded by mu
}

// push queues an event; a queue that is full ends the subscription.
func (q *localQueue) push(ev *Event) {
	q.mu.Lock()
	if q.ended || covered(ev.Position, q.last) {
		q.mu.Unlock()
		return
	}
	if q.full {
		q.mu.Unlock()
		return
	}
	waiting := len(q.queue) - int(q.past)
	if waiting >= q.limit || waiting > 0 && q.size-q.pastBytes+len(ev.Data) > q.byteLimit {
		q.full = true
		b := q.sub.channel.broker
		b.stats.slowLocal.Add(1)
		q.mu.Unlock()
		// The caller holds the channel's order, which end must not wait for.
		b.background(func() {
			q.end(fmt.Errorf("%w: channel %q, the buffer is %d events and %d bytes", ErrSlowSubscriber, ev.Channel, q.limit, q.byteLimit))
		})
		return
	}
	q.queue = append(q.queue, ev)
	q.grown(len(ev.Data))
	q.signal()
	q.mu.Unlock()
}

// grown counts more bytes. The caller holds mu.
func (q *localQueue) grown(bytes int) {
	if q.size += bytes; q.size >= transport.BudgetAllowance && !q.ended {
		q.account.Set(q.size)
	}
}

// consumedParts is in how many steps a consumer that goes through as much as may
// wait tells that it did.
const consumedParts = 16

// consumed counts bytes that the consumer has gone through, while it is at it.
func (q *localQueue) consumed(bytes int) {
	q.mu.Lock()
	q.gone(bytes)
	q.mu.Unlock()
}

// gone counts bytes that are no longer there. The caller holds mu.
func (q *localQueue) gone(bytes int) {
	q.size -= bytes
	q.pastBytes = max(q.pastBytes-bytes, 0)
	if !q.ended {
		q.account.Set(q.size)
	}
}

// Held implements transport.Holder.
func (q *localQueue) Held(yield func([]byte) bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, ev := range q.queue {
		if !yield(ev.Data) {
			return
		}
	}
}

// Release implements transport.Holder.
func (q *localQueue) Release(err error) {
	q.mu.Lock()
	if !q.ended {
		q.sub.channel.broker.stats.slowLocal.Add(1)
	}
	q.queue, q.past, q.full = nil, 0, true
	q.mu.Unlock()
	q.end(fmt.Errorf("%w: channel %q: %w", ErrSlowSubscriber, q.sub.channel.id.Name, err))
}

// gapAhead stands in the queue for the first of gaps.
var gapAhead = new(Event)

// pushGap queues an error that tells of events which will not come.
func (q *localQueue) pushGap(gap error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended || q.full {
		return
	}
	q.queue = append(q.queue, gapAhead)
	q.gaps = append(q.gaps, gap)
	q.signal()
}

// gap takes the first of the gaps.
func (q *localQueue) gap() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	gap := q.gaps[0]
	q.gaps = q.gaps[1:]
	return gap
}

// signal wakes a consumer that waits. The caller holds mu.
func (q *localQueue) signal() {
	if q.waiting {
		q.waiting = false
		q.wake <- struct{}{}
	}
}

// end ends the subscription, once; what is queued can still be consumed.
func (q *localQueue) end(err error) {
	q.mu.Lock()
	if q.ended {
		q.mu.Unlock()
		return
	}
	q.ended, q.err = true, err
	q.account.Set(0) // what is left is for the consumer alone
	stop := q.stopContext
	q.signal()
	q.mu.Unlock()
	if stop != nil {
		stop()
	}
	q.sub.channel.detach(&q.sub)
	q.sub.channel.broker.stats.locals.Add(-1)
}

// next waits for events and takes all there are into spare. The consumer has gone
// through done bytes more.
func (q *localQueue) next(spare []*Event, done int) (events []*Event, err error, ended bool) {
	for {
		q.mu.Lock()
		q.gone(done)
		done = 0
		if len(q.queue) > 0 {
			events, q.queue, q.past = q.queue, spare[:0], 0
			q.mu.Unlock()
			return events, nil, false
		}
		if q.ended {
			err := q.err
			q.mu.Unlock()
			return nil, err, true
		}
		if q.wake == nil {
			q.wake = make(chan struct{}, 1)
		}
		q.waiting = true
		q.mu.Unlock()
		<-q.wake
	}
}

func (q *localQueue) consume(yield func(Event, error) bool) {
	var spare []*Event
	done := 0 // bytes not yet told of
	for {
		events, err, ended := q.next(spare, done)
		done = 0
		if ended {
			if err != nil {
				yield(Event{}, err)
			}
			return
		}
		for i, ev := range events {
			events[i] = nil
			if ev == gapAhead {
				if !yield(Event{}, q.gap()) {
					return
				}
				continue
			}
			if done += len(ev.Data); done > q.byteLimit/consumedParts {
				q.consumed(done)
				done = 0
			}
			opened, err := q.open(ev)
			if !yield(opened, err) || err != nil {
				return
			}
		}
		spare = nil
		if cap(events) <= maxSpare {
			spare = events[:0]
		}
	}
}

// maxSpare is how many events' worth of queue a subscription keeps for reuse.
const maxSpare = 1024

// open returns the event as published, unsealed on an encrypted channel.
func (q *localQueue) open(ev *Event) (Event, error) {
	c := q.sub.channel
	if c.kind.Base() != Encrypted {
		return *ev, nil
	}
	cipher := c.broker.cipher.Load()
	if cipher == nil {
		return Event{}, fmt.Errorf("%w: channel %q", ErrNoCipher, ev.Channel)
	}
	opened := *ev
	data, err := (*cipher).Open(c.id.App, ev.Channel, ev.Data)
	if err != nil {
		return Event{}, fmt.Errorf("open event %s of channel %q: %w", ev.ID, ev.Channel, err)
	}
	opened.Data = data
	return opened, nil
}
