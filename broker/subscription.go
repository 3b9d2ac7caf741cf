package broker

import (
	"context"
	"iter"
	"slices"
	"time"
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
	age    time.Duration
	after  *Position
}

// WithBuffer sets how many events may wait for the consumer, at least 1; the default is
// DefaultBuffer. A consumer that falls further behind, or is too far behind for
// WithBufferBytes or WithQueueBudget, gets ErrSlowSubscriber, with which the
// subscription ends. The past events of WithRewind and After come on top:
// DefaultBufferBytes of data, or what WithBufferBytes says if that is more, and with
// After as many events.
func WithBuffer(events int) SubscribeOption {
	return func(o *subscribeOptions) { o.buffer = events }
}

// WithBufferBytes sets how many bytes of data the events may have together that wait
// for the consumer, at least 1; the default is DefaultBufferBytes. One event may wait
// whatever its size. WithBuffer applies as well.
func WithBufferBytes(n int) SubscribeOption {
	return func(o *subscribeOptions) { o.bytes = n }
}

// WithRewind starts with the last n events in the channel's history, or as many as it
// keeps; the default is none. Those of them that were retracted are left out, without others
// in their place. It has no effect beside After.
func WithRewind(n int) SubscribeOption {
	return func(o *subscribeOptions) { o.rewind = n }
}

// WithRewindAge starts with the events in the channel's history that are not older than
// age: the last ones, as many as WithRewind says or else as WithBuffer takes. It has no
// effect beside After.
func WithRewindAge(age time.Duration) SubscribeOption {
	return func(o *subscribeOptions) { o.age = age }
}

// After starts with every event after a position in the channel's history: what was
// missed since, once and in order. Where events are missing, or there are more of them
// than the buffer takes, Events begins with an error that wraps storage.ErrGap, and
// goes on with the events from now on.
func After(p Position) SubscribeOption {
	return func(o *subscribeOptions) { o.after = &p }
}

func (o *subscribeOptions) check() error {
	switch {
	case o.buffer < 1:
		return &FieldError{Field: "buffer", Problem: "is not positive"}
	case o.bytes < 1:
		return &FieldError{Field: "buffer bytes", Problem: "is not positive"}
	case o.rewind < 0:
		return &FieldError{Field: "rewind", Problem: "is negative"}
	case o.age < 0:
		return &FieldError{Field: "rewind age", Problem: "is negative"}
	}
	return nil
}

// Subscription is Go code in the broker's process on a channel. It receives events from
// when Subscribe has returned until Close is called or its context ends, one of which
// has to happen. It has no goroutine. All methods are safe for concurrent use.
type Subscription struct {
	inbox   inbox
	channel string
}

// Subscribe subscribes the program itself to a channel of any kind. No authorization is
// asked for. The subscription ends with ctx or with Close. It counts neither as
// occupying the channel nor in its number of subscriptions.
//
//	sub, err := app.Subscribe(ctx, "room")
//	if err != nil {
//		return err
//	}
//	defer sub.Close()
//	for ev, err := range sub.Events() {
//		…
//	}
//
// Errors wrap ErrInvalid or ErrShutdown, are the cause of ctx's end, or the store's.
func (a *App) Subscribe(ctx context.Context, channel string, opts ...SubscribeOption) (*Subscription, error) {
	o := subscribeOptions{buffer: DefaultBuffer, bytes: DefaultBufferBytes}
	for _, opt := range opts {
		opt(&o)
	}
	if err := CheckChannelName(channel); err != nil {
		return nil, err
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	b := a.broker
	ch := b.channels.key(ChannelID{App: a.id, Name: channel})
	s := &Subscription{channel: channel}
	in := &s.inbox
	in.init(&b.node, o.buffer, o.bytes)
	if err := b.channels.attach(ctx, &ch, b.channels.opening(ctx, &ch, b.rules.of(&ch)), &in.sub); err != nil {
		return nil, err
	}
	b.stats.inProcess.Add(1)
	if b.stopped.Load() {
		in.end(ErrShutdown)
		return nil, ErrShutdown
	}
	if o.rewind > 0 || o.age > 0 || o.after != nil {
		if err := in.startWith(ctx, o); err != nil {
			in.end(err)
			return nil, err
		}
	}
	in.endWith(ctx)
	return s, nil
}

// Events yields the channel's events in their order. Leaving the loop does not end the
// subscription: another one goes on where it stopped. One loop at a time can be under
// way, any other gets ErrConsuming and nothing else.
//
// An error that wraps storage.ErrGap tells that events are missing up to the next one;
// the sequence goes on behind it. Any other error ends the sequence, and each further
// loop yields it again: ErrSlowSubscriber, ErrShutdown, or the error with which an
// event of an encrypted channel could not be opened. Close, and the end of the context,
// end the sequence without an error: Close at once, the context after the events that
// had come in.
func (s *Subscription) Events() iter.Seq2[Event, error] { return s.inbox.consume }

// Close ends the subscription, and Events without an error; events that were not
// yielded yet are dropped. Further calls do nothing.
func (s *Subscription) Close() { s.inbox.close() }

// Channel is the name of the channel.
func (s *Subscription) Channel() string { return s.channel }

// Position is where the channel stood when the subscription began: Events yields
// every event behind it, and those of WithRewind and After before. It is zero on a
// channel that keeps no history, and where the store could not say: then a gap comes
// before the first event.
func (s *Subscription) Position() Position { return s.inbox.sub.at }

// firstAgeRead is how many of the latest events are read first for a rewind by age.
const firstAgeRead = 256

// readPast reads what the subscription starts with. By age it reads the latest events,
// and more of them again, until they go back far enough.
func (in *inbox) readPast(ctx context.Context, o *subscribeOptions) (*pastQuery, error) {
	since := time.Now().Add(-o.age)
	limit, most := o.rewind, o.rewind
	switch {
	case o.after != nil:
		limit, most = o.buffer, o.buffer
	case o.age > 0:
		if most == 0 {
			most = o.buffer
		}
		limit = min(firstAgeRead, most)
	}
	for {
		q := &pastQuery{ctx: ctx, after: o.after, limit: limit, bytes: max(o.bytes, DefaultBufferBytes), reach: in.sub.at}
		if err := in.sub.channel.readPast(q); err != nil || o.after != nil || o.age == 0 {
			return q, err
		}
		first := slices.IndexFunc(q.events(), func(ev Event) bool { return !ev.Time.Before(since) })
		cut := q.from > 0 || q.found.more
		if first != 0 || !cut || limit == most {
			if first < 0 {
				first = len(q.events())
			}
			q.from += first
			return q, nil
		}
		limit = min(4*limit, most)
	}
}

// startWith puts past events in front of those that have come in since the
// subscription was attached, or the gap that is there instead.
func (in *inbox) startWith(ctx context.Context, o subscribeOptions) error {
	r, gap := in.readPast(ctx, &o)
	if gap != nil && !isGap(gap) {
		return gap
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	since := in.queue
	var events []Event
	if gap == nil {
		events = r.events()
	}
	in.queue = make([]*Event, 0, len(events)+len(since)+1)
	in.size, in.pastBytes, in.exempt = 0, 0, int32(len(events))
	// What the consumer has had must not come again, not behind a gap either.
	in.had = r.seen
	if gap != nil {
		in.queue = append(in.queue, gapAhead)
		in.gaps = append([]error{gap}, in.gaps...)
		in.exempt++
	}
	for i := range events {
		in.queue = append(in.queue, &events[i])
		in.had = events[i].Position
		in.pastBytes += len(events[i].Data)
	}
	if gap == nil && r.found.end.After(in.had) {
		in.had = r.found.end
	}
	for _, ev := range since {
		if covered(ev.Position, in.had) {
			continue
		}
		in.queue = append(in.queue, ev)
		in.size += len(ev.Data)
		if ev == gapAhead {
			in.exempt++
		}
	}
	in.grown(in.pastBytes)
	return nil
}
