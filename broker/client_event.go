package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage"
)

// ClientEvent sends an event to the other subscribers of a channel. Only
// Channel, Event, Data and JSON of req are taken from the caller; Data is taken
// over. Errors wrap ErrInvalid, ErrRefused, ErrNotSubscribed or
// ratelimit.ErrLimited.
func (s *Session) ClientEvent(ctx context.Context, req ClientEventRequest) error {
	b := s.broker
	kind := KindOf(req.Channel)
	if !kind.ClientEvents() {
		return b.refusal(&FieldError{Field: "channel", Value: req.Channel, Problem: "does not relay client events: only private and presence channels do"})
	}
	s.op.Lock()
	sub, revoked := s.subs[req.Channel], s.revoked(req.Channel)
	s.op.Unlock()
	if sub == nil {
		b.stats.refused.Add(1)
		return fmt.Errorf("%w to channel %q", ErrNotSubscribed, req.Channel)
	}
	if err := s.usage.maySend(); err != nil {
		return b.refusal(err)
	}
	ch := sub.channel.id
	rule := sub.channel.rule
	if rule.Publishers == OnlyServer {
		return b.refusal(Refuse(403, fmt.Sprintf("channel %q takes no client events", req.Channel)))
	}
	req.Session, req.UserID = s, ""
	if sub.extras != nil {
		req.UserID = sub.userID
	}
	user := s.User()
	if req.UserID == "" && user != nil && kind.Base() == Presence {
		req.UserID = user.ID
	}
	limit := ratelimit.Request{Action: ratelimit.ClientEvent, App: s.app, IP: s.ip, Session: s.id,
		Channel: req.Channel, Event: req.Event, Size: len(req.Data)}
	if user != nil {
		limit.User = user.ID
	}
	if err := b.rateLimits.limited(ctx, limit); err != nil {
		return err
	}
	hook := func(h *Hooks) func(context.Context, *ClientEventRequest) error { return h.ClientEvent }
	if err := decide(ctx, &b.hooks, hook, &req); err != nil {
		return err
	}
	// The protocol has parsed what the client sent, but not what hooks made of it.
	if err := b.checkEvent(req.Event, req.Data, req.JSON && decides(&b.hooks, hook)); err != nil {
		return b.refusal(err)
	}
	if err := b.fits(ch.Name, req.Event, req.UserID, req.Data, req.JSON); err != nil {
		return err
	}
	if s.revocations(req.Channel) != revoked { // while a hook was thinking
		return b.refusal(ErrRevoked)
	}
	ev := &Event{ID: b.ids.next(), Name: req.Event, Channel: ch.Name, Data: req.Data, JSON: req.JSON,
		UserID: req.UserID, SocketID: s.id, Exclude: s.id, Time: time.Now()}
	keep := rule.retention(kind)
	if kind.Cache() || rule.SkipClientEvents {
		// What clients send is never the event of a cache channel.
		keep = Retention{}
	}
	if keep.Events == 0 {
		sub.channel.handOutAtOnce(ev)
	} else {
		key := b.channels.key(ch)
		if _, err := b.store(ctx, &key, ev, &storage.AppendOptions{Retention: keep}); err != nil {
			return err
		}
	}
	inform(s.ctx, &b.hooks, clientEventSent, changeOf(s.app, ev, s))
	return nil
}
