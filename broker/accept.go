package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage"
)

// accepted is an event that was accepted: hooks, limits and checks have let it pass,
// and only its store can still fail.
type accepted struct {
	req     PublishRequest // set by the publisher; hooks may have changed it
	broker  *Broker
	channel channelKey
	keep    Retention
	hash    *[32]byte // what the request's idempotency key stands for; nil without one
	plain   bool      // data has to be sealed
	data    []byte    // the request's, sealed where it has to be
}

// accept checks the event of p.req, asks the rate limits, and seals the event where it has to be.
func (a *App) accept(ctx context.Context, p *accepted) error {
	if err := a.check(ctx, p); err != nil {
		return err
	}
	if l := &a.broker.rateLimits; l.rules != nil {
		if err := l.limited(ctx, p.limit()); err != nil {
			return err
		}
	}
	if p.plain {
		return p.seal()
	}
	return nil
}

// check asks the hooks and checks the event.
func (a *App) check(ctx context.Context, p *accepted) error {
	b, req := a.broker, &p.req
	if b.stopped.Load() {
		return ErrShutdown
	}
	req.App = a.id
	if req.IdempotencyKey != "" {
		p.hash = b.requestHash(a.id, req)
	}
	publishHook := func(h *Hooks) func(context.Context, *PublishRequest) error { return h.Publish }
	if decides(&b.hooks, publishHook) {
		// A copy, since what hooks are given is allocated.
		asked := *req
		if err := decide(ctx, &b.hooks, publishHook, &asked); err != nil {
			return err
		}
		if req.IdempotencyKey == "" && asked.IdempotencyKey != "" {
			p.hash = b.requestHash(a.id, req)
		}
		*req = asked
	}
	p.channel = b.channels.keyIn(a.hash, ChannelID{App: a.id, Name: req.Channel})
	kind, rule, err := b.rules.nature(&p.channel)
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
	if req.ID != "" {
		if err := checkEventID(req.ID); err != nil {
			return b.refusal(err)
		}
	}
	if rule.Publishers == OnlyClients {
		return b.refusal(Refuse(403, fmt.Sprintf("channel %q takes events from its subscribers only", req.Channel)))
	}
	p.broker, p.data = b, req.Data
	p.keep = rule.retention(kind)
	p.plain = kind.Base() == Encrypted && !req.Sealed
	if p.plain {
		return nil // it is looked at when it is sealed
	}
	return b.fits(req.Channel, req.Event, req.UserID, req.Data, req.JSON)
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

// fits says whether the queues of connections have room for an event with this
// data.
func (b *Broker) fits(channel, name, userID string, data []byte, isJSON bool) error {
	bound := b.bound.Load()
	if bound == nil || len(data) <= bound.free {
		return nil
	}
	if err := bound.check(Event{Channel: channel, Name: name, UserID: userID, Data: data, JSON: isJSON}); err != nil {
		return b.refusal(err)
	}
	return nil
}

// seal encrypts the data.
func (p *accepted) seal() error {
	c := p.broker.cipher.Load()
	if c == nil {
		return fmt.Errorf("%w: channel %q", ErrNoCipher, p.channel.id.Name)
	}
	sealed, err := (*c).Seal(p.channel.id.App, p.channel.id.Name, p.data)
	if err != nil {
		return fmt.Errorf("seal event for channel %q: %w", p.channel.id.Name, err)
	}
	p.data = sealed
	return p.broker.fits(p.channel.id.Name, p.req.Event, p.req.UserID, p.data, p.req.JSON)
}

// event makes the event, and says that it is of now.
func (p *accepted) event() *Event {
	id := p.req.ID
	if id == "" {
		id = p.broker.ids.next()
	}
	return &Event{ID: id, Name: p.req.Event, Channel: p.channel.id.Name, Data: p.data, JSON: p.req.JSON,
		UserID: p.req.UserID, Exclude: p.req.ExcludeSocketID, Time: time.Now()}
}

// stored reports whether the event has to go to the store.
func (p *accepted) stored() bool { return p.keep.Events > 0 || p.hash != nil }

// options are those of its append.
func (p *accepted) options() storage.AppendOptions {
	opts := storage.AppendOptions{Retention: p.keep}
	if p.broker.mayLose {
		opts.Floor = p.broker.floor(&p.channel)
	}
	if p.hash != nil {
		opts.IdempotencyKey, opts.RequestHash = p.req.IdempotencyKey, *p.hash
	}
	return opts
}

// limit is what rate limits are asked about.
func (p *accepted) limit() ratelimit.Request {
	return ratelimit.Request{Action: ratelimit.Publish, App: p.channel.id.App, Channel: p.channel.id.Name, Event: p.req.Event, Size: len(p.data)}
}

// allLimited asks the rate limits about several events at once.
func (b *Broker) allLimited(ctx context.Context, events []accepted) error {
	if b.rateLimits.rules == nil {
		return nil
	}
	limits := make([]ratelimit.Request, len(events))
	for i := range events {
		limits[i] = events[i].limit()
	}
	return b.rateLimits.allLimited(ctx, limits)
}
