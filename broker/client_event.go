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
	h := &s.broker.observers
	if !h.any() {
		return s.clientEvent(ctx, req)
	}
	t := PublishTrace{App: s.app, Channel: req.Channel, Event: req.Event, Bytes: len(req.Data), Session: s}
	_, err := h.publish(ctx, t, func(ctx context.Context) (Published, error) {
		return Published{}, s.clientEvent(ctx, req)
	})
	return err
}

func (s *Session) clientEvent(ctx context.Context, req ClientEventRequest) error {
	b := s.broker
	sender, err := s.sender(req.Channel)
	if err != nil {
		return err
	}
	kind, rule, ch := KindOf(req.Channel), sender.sub.channel.rule, sender.sub.channel.id
	user := s.User()
	req.Session, req.UserID = s, sender.userID
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
	if sender.revoked() { // while a hook was thinking
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
		if err := b.handOutAtOnce(ctx, sender.sub.channel, ev); err != nil {
			return err
		}
	} else {
		key := sender.sub.channel.key()
		if _, err := b.store(ctx, &key, ev, &storage.AppendOptions{Retention: keep, Floor: b.floor(&key)}); err != nil {
			return err
		}
	}
	inform(s.ctx, &b.hooks, clientEventSent, changeOf(s.app, ev, s))
	return nil
}

// sender is a session that may send to others on a channel.
type sender struct {
	sub         *subscriber
	userID      string
	revocations int
}

// sender says in whose name the session sends on a channel, and whether it may.
func (s *Session) sender(channel string) (sender, error) {
	b, kind := s.broker, KindOf(channel)
	if !kind.ClientEvents() {
		return sender{}, b.refusal(&FieldError{Field: "channel", Value: channel, Problem: "does not relay client events: only private and presence channels do"})
	}
	s.op.Lock()
	is := sender{sub: s.subs[channel], revocations: s.revoked(channel)}
	s.op.Unlock()
	if is.sub == nil {
		b.stats.refused.Add(1)
		return sender{}, fmt.Errorf("%w to channel %q", ErrNotSubscribed, channel)
	}
	if err := s.usage.maySend(); err != nil {
		return sender{}, b.refusal(err)
	}
	if is.sub.channel.rule.Publishers == OnlyServer {
		return sender{}, b.refusal(Refuse(403, fmt.Sprintf("channel %q takes no client events", channel)))
	}
	if is.sub.extras != nil {
		is.userID = is.sub.userID
	}
	if user := s.User(); is.userID == "" && user != nil && kind.Base() == Presence {
		is.userID = user.ID
	}
	return is, nil
}

// revoked reports whether the channel has been taken from the session since.
func (s *sender) revoked() bool {
	return s.sub.session.revocations(s.sub.channel.id.Name) != s.revocations
}
