package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage"
)

// Published is the outcome of publishing to one channel.
type Published struct {
	// Position is the event's, on a channel that keeps history.
	Position Position
	// Duplicate says that the idempotency key had been used: the event was not stored
	// or handed out again, and Position is that of the first event.
	Duplicate bool
}

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
	req := PublishRequest{Channel: channel, Event: event, Data: data}
	if len(opts) > 0 {
		req = req.with(opts)
	}
	var p prepared
	if err := a.prepare(ctx, &req, &p); err != nil {
		return Published{}, err
	}
	return p.publish(ctx)
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
	ready := make([]prepared, len(reqs))
	for i := range reqs {
		if err := a.accept(ctx, &reqs[i], &ready[i]); err != nil {
			return nil, &BatchError{Index: i, Err: err}
		}
	}
	if err := a.broker.allLimited(ctx, ready); err != nil {
		return nil, err
	}
	for i := range ready {
		if err := ready[i].seal(); err != nil {
			return nil, &BatchError{Index: i, Err: err}
		}
	}
	return a.broker.publishAll(ctx, ready)
}

// publishEach publishes events one after another. With idempotency keys it has to be
// so: one that is refused keeps those behind it from being published.
func publishEach(ctx context.Context, events []prepared) ([]Published, error) {
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
func (b *Broker) publishAll(ctx context.Context, events []prepared) ([]Published, error) {
	if len(events) == 1 || slices.ContainsFunc(events, func(p prepared) bool { return p.keep.IdempotencyKey != "" }) {
		return publishEach(ctx, events)
	}
	var batch []storage.AppendRequest
	for i := range events {
		if p := &events[i]; keeps(&p.keep) {
			p.keep.Floor = b.floor(&p.channel)
			batch = append(batch, storage.AppendRequest{Channel: p.channel.id, Event: p.event(), Options: p.keep})
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
		if p := &events[i]; keeps(&p.keep) {
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

// prepared is an event that was accepted: hooks, limits and checks have let it pass,
// and only its store can still fail.
type prepared struct {
	broker  *Broker
	channel channelKey
	name    string
	data    []byte
	json    bool
	userID  string
	plain   bool // data has to be sealed
	exclude string
	keep    storage.AppendOptions
}

func (a *App) prepare(ctx context.Context, req *PublishRequest, p *prepared) error {
	if err := a.accept(ctx, req, p); err != nil {
		return err
	}
	if a.broker.rateLimits != nil {
		if err := a.broker.limited(ctx, p.limit()); err != nil {
			return err
		}
	}
	return p.seal()
}

// accept asks the hooks and checks the event.
func (a *App) accept(ctx context.Context, req *PublishRequest, p *prepared) error {
	b := a.broker
	if b.stopped.Load() {
		return ErrShutdown
	}
	req.App = a.id
	var hash [32]byte
	if req.IdempotencyKey != "" {
		hash = b.requestHash(a.id, req)
	}
	publishHook := func(h *Hooks) func(context.Context, *PublishRequest) error { return h.Publish }
	if decides(b, publishHook) {
		// A copy, since what hooks are given is allocated.
		asked := *req
		if err := decide(ctx, b, publishHook, &asked); err != nil {
			return err
		}
		if req.IdempotencyKey == "" && asked.IdempotencyKey != "" {
			hash = b.requestHash(a.id, req)
		}
		*req = asked
	}
	ch := b.channels.key(storage.ChannelID{App: a.id, Name: req.Channel})
	kind, rule, err := b.nature(&ch)
	if err != nil {
		return b.refusal(err)
	}
	if err := b.checkEvent(req.Event, req.Data, req.JSON); err != nil {
		return b.refusal(err)
	}
	if req.UserID != "" {
		if err := CheckUserID(req.UserID); err != nil {
			return b.refusal(err)
		}
	}
	if rule.Publishers == OnlyClients {
		return b.refusal(Refuse(403, fmt.Sprintf("channel %q takes events from its subscribers only", req.Channel)))
	}
	*p = prepared{broker: b, channel: ch, name: req.Event, data: req.Data, json: req.JSON,
		userID: req.UserID, plain: kind.Base() == Encrypted && !req.Sealed,
		exclude: req.ExcludeSocketID,
		keep:    storage.AppendOptions{Retention: rule.retention(kind), IdempotencyKey: req.IdempotencyKey, RequestHash: hash}}
	if p.plain {
		return nil // it is looked at when it is sealed
	}
	return b.fits(req.Channel, req.Event, req.UserID, req.Data, req.JSON)
}

// limit is what rate limits are asked about.
func (p *prepared) limit() ratelimit.Request {
	return ratelimit.Request{Action: ratelimit.Publish, App: p.channel.id.App, Channel: p.channel.id.Name, Event: p.name, Size: len(p.data)}
}

// allLimited asks the rate limits about several events at once.
func (b *Broker) allLimited(ctx context.Context, events []prepared) error {
	if b.rateLimits == nil {
		return nil
	}
	limits := make([]ratelimit.Request, len(events))
	for i := range events {
		limits[i] = events[i].limit()
	}
	if err := b.checkAllLimits(ctx, limits); err != nil {
		return b.refusal(err)
	}
	return nil
}

func (b *Broker) checkAllLimits(ctx context.Context, reqs []ratelimit.Request) (err error) {
	defer b.caught("rate limit", &err)
	return b.rateLimits.CheckAll(ctx, reqs)
}

func (b *Broker) checkEvent(name string, data []byte, isJSON bool) error {
	if err := CheckEventName(name); err != nil {
		return err
	}
	if len(data) > b.maxEventBytes {
		return &FieldError{Field: "data", Problem: "is too large", Limit: b.maxEventBytes, Got: len(data)}
	}
	if isJSON && !json.Valid(data) {
		return &FieldError{Field: "data", Problem: "is not valid JSON"}
	}
	return nil
}

// seal encrypts data that has to be.
func (p *prepared) seal() error {
	if !p.plain {
		return nil
	}
	c := p.broker.cipher.Load()
	if c == nil {
		return fmt.Errorf("%w: channel %q", ErrNoCipher, p.channel.id.Name)
	}
	sealed, err := (*c).Seal(p.channel.id.App, p.channel.id.Name, p.data)
	if err != nil {
		return fmt.Errorf("seal event for channel %q: %w", p.channel.id.Name, err)
	}
	p.data = sealed
	return p.broker.fits(p.channel.id.Name, p.name, p.userID, p.data, p.json)
}

// publish publishes an event that has been accepted.
func (p *prepared) publish(ctx context.Context) (Published, error) {
	b := p.broker
	if !keeps(&p.keep) {
		c := b.channels.find(&p.channel)
		if c == nil {
			if b.hearPublished.Load() {
				b.tellPublished(p.channel.id.App, p.event())
			} else {
				b.stats.published.Add(1)
			}
			return Published{}, nil
		}
		// Who subscribes from now on to a channel that has gone meanwhile does so
		// after this event.
		c.publish(p.event())
		return Published{}, nil
	}
	return b.store(ctx, &p.channel, p.event(), &p.keep)
}

func (p *prepared) event() *Event {
	return &Event{ID: p.broker.ids.next(), Name: p.name, Channel: p.channel.id.Name, Data: p.data, JSON: p.json,
		UserID: p.userID, Exclude: p.exclude, Time: time.Now()}
}

// publish hands out an event that has no position.
func (c *channel) publish(ev *Event) {
	c.order.Lock()
	defer c.order.Unlock()
	c.handOut(ev)
}
