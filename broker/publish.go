package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/carillon-rt/carillon/storage"
)

// PublishOption changes how an event is published.
type PublishOption func(*PublishRequest)

// Exclude keeps the event from the connection with this socket ID.
func Exclude(socketID string) PublishOption {
	return func(r *PublishRequest) { r.ExcludeSocketID = socketID }
}

// AsUser publishes in the name of a user: subscribers are sent the user's ID, as with
// events of clients on presence channels. Whether that user is on the channel, or may
// publish, is not checked.
func AsUser(userID string) PublishOption {
	return func(r *PublishRequest) { r.UserID = userID }
}

// WithID gives the event an ID of the publisher's own choice, of up to MaxEventID
// characters, such as that of a row in a database: clients that find it in the event's
// data know what an amendment is about. Of several events with one ID on a channel only
// the latest can be amended.
func WithID(id string) PublishOption {
	return func(r *PublishRequest) { r.ID = id }
}

// IdempotencyKey makes a retry of the publish to the same channel within 5 minutes a
// no-op that returns the first position. If the first call failed although the store
// had stored the event, the retry hands it out. A retry while the first call is under
// way waits for its outcome. A key that was used on the channel for an event with
// another name, data or user is refused with a *storage.KeyReusedError; Exclude, and
// changes by hooks, are not compared.
func IdempotencyKey(key string) PublishOption {
	return func(r *PublishRequest) { r.IdempotencyKey = key }
}

// Publish publishes an event to a channel. When it returns, the event is in the
// channel's history, if that keeps any, and in the queue of every subscriber. On
// an encrypted channel the data is sealed first. data is taken over: it must not
// be changed afterwards.
//
// Errors wrap ErrInvalid, ErrRefused, ErrNoCipher, ErrShutdown, ratelimit.ErrLimited,
// storage.ErrKeyReused or storage.ErrKeyInFlight, or are the store's. After an error of
// the store the event may be in the history all the same: then subscribers get it in
// its place as soon as the broker has found it there.
func (a *App) Publish(ctx context.Context, channel, event string, data []byte, opts ...PublishOption) (Published, error) {
	if a.broker.observers.any() {
		return a.publishOneObserved(ctx, channel, event, data, opts)
	}
	p := accepted{req: PublishRequest{Channel: channel, Event: event, Data: data}}
	if len(opts) > 0 {
		p.req = p.req.with(opts)
	}
	if err := a.accept(ctx, &p); err != nil {
		return Published{}, err
	}
	return p.publish(ctx)
}

// publishOneObserved is Publish where there are observers. It is apart so that what they
// are told of takes no room in the other, which has no calls in between either.
func (a *App) publishOneObserved(ctx context.Context, channel, event string, data []byte, opts []PublishOption) (Published, error) {
	p := accepted{req: PublishRequest{Channel: channel, Event: event, Data: data}.with(opts)}
	return a.broker.observers.publish(ctx, p.trace(a.id), func(ctx context.Context) (Published, error) {
		if err := a.accept(ctx, &p); err != nil {
			return Published{}, err
		}
		return p.publish(ctx)
	})
}

// trace describes what is to be published, for observers.
func (p *accepted) trace(app string) PublishTrace {
	return PublishTrace{App: app, Channel: p.req.Channel, Event: p.req.Event, Bytes: len(p.req.Data)}
}

// with returns the request with the options: a copy, since what they are given
// is allocated.
func (r PublishRequest) with(opts []PublishOption) PublishRequest {
	for _, opt := range opts {
		opt(&r)
	}
	return r
}

// PublishMany publishes one event to several channels, once to each however often it is
// named. Nothing is published unless the event is accepted on all of them. Rate limits
// take what all of them cost together, or nothing: see ratelimit.LimitError. If a store
// fails, the outcomes of the channels before come with the error.
func (a *App) PublishMany(ctx context.Context, channels []string, event string, data []byte, opts ...PublishOption) ([]Published, error) {
	reqs := make([]PublishRequest, 0, len(channels))
	first := make(map[string]int, len(channels)) // where a channel is in reqs
	places := make([]int, len(channels))
	for i, channel := range channels {
		place, again := first[channel]
		if !again {
			place = len(reqs)
			first[channel] = place
			reqs = append(reqs, PublishRequest{Channel: channel, Event: event, Data: data}.with(opts))
		}
		places[i] = place
	}
	published, err := a.PublishBatch(ctx, reqs)
	var failed *BatchError
	if errors.As(err, &failed) {
		failed.Index = slices.Index(places, failed.Index)
		places = places[:failed.Index]
	}
	if len(published) == 0 {
		return nil, err
	}
	done := make([]Published, len(places))
	for i, place := range places {
		done[i] = published[place]
	}
	return done, err
}

// PublishBatch publishes several events in their order. Nothing is published unless all
// of them are accepted; a *BatchError names the first that is not. Rate limits are
// asked for all of them together. If a store fails, the outcomes of the events before
// come with the error.
func (a *App) PublishBatch(ctx context.Context, reqs []PublishRequest) ([]Published, error) {
	ready := make([]accepted, len(reqs))
	for i := range reqs {
		ready[i].req = reqs[i]
	}
	if len(ready) > 0 && a.broker.observers.any() {
		return a.publishObserved(ctx, ready)
	}
	return a.publishBatch(ctx, ready)
}

// publishObserved traces each event of a batch while the batch is published. Of one that
// fails, the event that is to blame is told of as refused.
func (a *App) publishObserved(ctx context.Context, ready []accepted) ([]Published, error) {
	h := &a.broker.observers
	traces := make([]PublishTrace, len(ready))
	contexts := make([]context.Context, len(ready))
	for i := range ready {
		traces[i] = ready[i].trace(a.id)
		contexts[i] = h.publishStart(ctx, traces[i])
	}
	if len(ready) == 1 {
		ctx = contexts[0]
	}
	done, err := a.publishBatch(ctx, ready)
	blamed := len(done)
	var failed *BatchError
	if errors.As(err, &failed) {
		blamed, err = failed.Index, failed.Err
	}
	for i := len(traces) - 1; i >= 0; i-- {
		if i < len(done) {
			traces[i].Published = done[i]
		} else {
			traces[i].Err = err
		}
		h.publishEnd(contexts[i], traces[i])
		if i == blamed {
			h.publishRefused(contexts[i], &traces[i])
		}
	}
	if failed != nil {
		return done, failed
	}
	return done, err
}

func (a *App) publishBatch(ctx context.Context, ready []accepted) ([]Published, error) {
	for i := range ready {
		if err := a.check(ctx, &ready[i]); err != nil {
			return nil, &BatchError{Index: i, Err: err}
		}
	}
	if err := a.broker.allLimited(ctx, ready); err != nil {
		return nil, err
	}
	for i := range ready {
		if p := &ready[i]; p.plain {
			if err := p.seal(); err != nil {
				return nil, &BatchError{Index: i, Err: err}
			}
		}
	}
	return a.broker.publishAll(ctx, ready)
}

// publishEach publishes events one after another. With idempotency keys it has to be
// so: one that is refused keeps those behind it from being published.
func publishEach(ctx context.Context, events []accepted) ([]Published, error) {
	done := make([]Published, 0, len(events))
	for i := range events {
		p, err := events[i].publish(ctx)
		if err != nil {
			return done, &BatchError{Index: i, Err: err}
		}
		done = append(done, p)
	}
	return done, nil
}

// publishAll publishes events that have been accepted, with one call of the store for
// all that are kept.
func (b *Broker) publishAll(ctx context.Context, events []accepted) ([]Published, error) {
	if len(events) == 1 || slices.ContainsFunc(events, func(p accepted) bool { return p.hash != nil }) {
		return publishEach(ctx, events)
	}
	var batch []storage.AppendRequest
	for i := range events {
		if p := &events[i]; p.stored() {
			batch = append(batch, storage.AppendRequest{Channel: p.channel.id, Event: p.event(), Options: p.options()})
		}
	}
	var results []storage.AppendResult
	if len(batch) > 0 {
		results = b.history.AppendBatch(ctx, batch)
	}
	done := make([]Published, 0, len(events))
	var failed error
	for i := range events {
		var published Published
		var err error
		if p := &events[i]; p.stored() {
			r := &batch[0]
			published, err = b.stored(ctx, &p.channel, r.Event, &r.Options, results[0].Appended, results[0].Err)
			batch, results = batch[1:], results[1:]
		} else if failed == nil {
			published, err = p.publish(ctx)
		}
		// What comes behind one that failed may be stored all the same, and is then
		// handed out.
		if err != nil && failed == nil {
			failed = &BatchError{Index: i, Err: err}
		}
		if failed == nil {
			done = append(done, published)
		}
	}
	return done, failed
}

// BatchError says which event of a batch failed.
type BatchError struct {
	// Index counts the events of the batch, or the channels, from 0.
	Index int
	Err   error
}

// Error implements error.
func (e *BatchError) Error() string { return fmt.Sprintf("event %d: %v", e.Index, e.Err) }

// Unwrap returns the event's own error.
func (e *BatchError) Unwrap() error { return e.Err }

// publish publishes an event that has been accepted.
func (p *accepted) publish(ctx context.Context) (Published, error) {
	b := p.broker
	if !p.stored() {
		c := b.channels.find(&p.channel)
		if c == nil && !b.hooks.published.Load() && !b.observers.any() {
			b.stats.published.Add(1)
			return Published{ID: p.req.ID}, nil
		}
		ev := p.event()
		if c == nil {
			b.informPublished(p.channel.id.App, ev, nil)
			return Published{ID: ev.ID}, nil
		}
		// Who subscribes from now on to a channel that has gone meanwhile does so
		// after this event.
		return Published{ID: ev.ID}, b.handOutAtOnce(ctx, c, ev)
	}
	opts := p.options()
	return b.store(ctx, &p.channel, p.event(), &opts)
}

// PublishToUser publishes an event to every connection that is signed in as the
// user.
func (a *App) PublishToUser(ctx context.Context, userID, event string, data []byte, opts ...PublishOption) (Published, error) {
	if err := CheckUserID(userID); err != nil {
		return Published{}, fmt.Errorf("publish to user: %w", err)
	}
	return a.Publish(ctx, serverToUserPrefix+userID, event, data, opts...)
}
