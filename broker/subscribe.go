package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/transport"
)

// Subscribe subscribes the session to a channel, and sends it the protocol's success
// message and whatever past events are due, in this order and before anything else on
// the channel. Where events after req.After are no longer kept, that is no error: the
// success message says so, and the subscription begins as one without After. On an
// error nothing has changed and nothing was sent, but for an error of a store with
// req.Again, which may have ended the subscription. Errors wrap ErrInvalid, ErrRefused,
// ErrSubscribed, ErrChannelLimit, ratelimit.ErrLimited or storage.ErrMemberLimit;
// ErrClosed if the session has ended.
//
// Session, Kind, Rewind and Reach of req are not taken from the caller.
func (s *Session) Subscribe(ctx context.Context, req SubscribeRequest) error {
	h := &s.broker.observers
	if !h.any() {
		return s.subscribe(ctx, req, time.Time{})
	}
	began := time.Now()
	err := s.subscribe(ctx, req, began)
	if err != nil && h.want(s.app, ObserveSubscriptionRefused) {
		h.tell(ctx, s.app, SubscriptionRefused{Session: s, Channel: req.Channel, Err: err, Took: time.Since(began)})
	}
	return err
}

// subscribe is Subscribe, which began at a time if anybody observes it.
func (s *Session) subscribe(ctx context.Context, req SubscribeRequest, began time.Time) error {
	b := s.broker
	if err := CheckChannelName(req.Channel); err != nil {
		return b.refusal(err)
	}
	ch := b.channels.key(ChannelID{App: s.app, Name: req.Channel})
	rule := b.rules.of(&ch)
	req.Session, req.Kind, req.Rewind, req.Reach = s, KindOf(req.Channel), rule.Rewind, rule.Reach
	authorized := s.authorized.Load() || req.Kind.NeedsAuthorization()
	if err := s.usage.maySubscribe(req.Kind, authorized, req.Rewind); err != nil {
		return b.refusal(err)
	}
	revoked := s.revocations(req.Channel)
	if err := s.authorize(ctx, &req, revoked > 0); err != nil {
		return err
	}
	if req.After != nil && s.usage.mayGetPast(authorized) != nil {
		req.After = new(Position) // a gap, which costs nothing
	}

	s.op.Lock()
	defer s.op.Unlock()
	if s.ended {
		return ErrClosed
	}
	if s.revoked(req.Channel) != revoked {
		return b.refusal(ErrRevoked)
	}
	old := s.subs[req.Channel]
	if old != nil && (!req.Again || old.isMember() && old.userID != req.Member.UserID) {
		b.stats.refused.Add(1)
		return ErrSubscribed
	}
	authorized = s.authorized.Load() || req.Kind.NeedsAuthorization() // a sign-in may have come in between
	if err := s.usage.hasRoom(len(s.subs), authorized); err != nil && old == nil {
		b.stats.refused.Add(1)
		return err
	}
	sub := s.subscriber(&req, rule)
	var st start
	var err error
	if req.Kind.Base() == Presence {
		st, err = s.subscribePresence(ctx, &ch, rule, old, sub, &req)
	} else {
		st, err = s.subscribePlain(ctx, &ch, rule, old, sub, &req)
	}
	if err != nil && sub.channel == nil {
		return err
	}
	s.setSub(req.Channel, sub)
	if err != nil {
		s.undo(ctx, req.Channel, old != nil)
		return err
	}
	s.ungranted(req.Channel) // what the old one had
	s.granted(req.Channel, req.Expires)
	if req.Kind.NeedsAuthorization() {
		s.authorized.Store(true)
	}
	if !began.IsZero() && b.observers.want(s.app, ObserveSubscriptionOpened) {
		opened := SubscriptionOpened{Session: s, Channel: req.Channel, Again: old != nil,
			Resume: st.resume, PastEvents: st.events, Took: time.Since(began)}
		if req.Member != nil {
			opened.UserID = req.Member.UserID
		}
		b.observers.tell(ctx, s.app, opened)
	}
	if old != nil {
		return nil
	}
	if s.counts {
		sub.channel.countChanged()
	}
	if b.hooks.any() {
		inform(s.ctx, &b.hooks, subscribed, SubscriptionChange{Session: s, Channel: req.Channel, Kind: req.Kind,
			Member: req.Member, Resume: st.resume, PastEvents: st.events, Time: time.Now()})
	}
	return nil
}

// authorize decides whether the session may subscribe. Where the channel was taken
// from it, no signature counts.
func (s *Session) authorize(ctx context.Context, req *SubscribeRequest, revoked bool) error {
	b := s.broker
	if b.rateLimits.rules != nil {
		if err := b.rateLimits.limited(ctx, s.channelLimit(ratelimit.Subscribe, req.Channel)); err != nil {
			return err
		}
	}
	kind := req.Kind
	needed := kind.NeedsAuthorization()
	if !needed {
		req.Authorized = true
	}
	user := s.User()
	if kind == ServerToUser {
		req.Authorized = user != nil && req.Channel == serverToUserPrefix+user.ID
	}
	if kind.Base() != Presence {
		req.Member = nil
	} else if req.Member == nil && user != nil {
		req.Member = &Member{UserID: user.ID, Info: user.Info}
	}
	if needed {
		req.Authorized = req.Authorized && !revoked
		if err := s.ask(ctx, req, func(h *Hooks) func(context.Context, *SubscribeRequest) error { return h.Authorize }); err != nil {
			return err
		}
	}
	if !req.Authorized && revoked {
		return b.refusal(ErrRevoked)
	}
	if !req.Authorized {
		return b.refusal(ErrUnauthorized)
	}
	if err := s.ask(ctx, req, func(h *Hooks) func(context.Context, *SubscribeRequest) error { return h.Subscribe }); err != nil {
		return err
	}
	if !req.Expires.IsZero() && !time.Now().Before(req.Expires) {
		return b.refusal(ErrExpired)
	}
	if req.Rewind < 0 {
		return b.refusal(&FieldError{Field: "rewind", Problem: "is negative"})
	}
	if req.Reach.Events < 0 || req.Reach.Age < 0 {
		return b.refusal(&FieldError{Field: "reach", Problem: "is negative"})
	}
	if kind.Base() != Presence {
		return nil
	}
	if req.Member == nil {
		return b.refusal(&FieldError{Field: "channel_data", Problem: "is missing: a presence channel needs it unless the connection is signed in"})
	}
	if err := s.checkUser(req.Member.UserID, req.Member.Info); err != nil {
		return b.refusal(err)
	}
	return nil
}

// ask has a hook decide about a request. What it may not change stays as it was.
func (s *Session) ask(ctx context.Context, req *SubscribeRequest, hook func(*Hooks) func(context.Context, *SubscribeRequest) error) error {
	hooks := &s.broker.hooks
	if !decides(hooks, hook) {
		return nil
	}
	asked := *req // a copy, since what hooks are given is allocated
	if err := decide(ctx, hooks, hook, &asked); err != nil {
		return err
	}
	asked.Session, asked.Channel, asked.Kind = req.Session, req.Channel, req.Kind
	asked.Protocol, asked.Sockets, asked.Again = req.Protocol, req.Sockets, req.Again
	if req.After != nil && asked.After == nil {
		asked.After = new(Position)
	}
	*req = asked
	return nil
}

// subscriber is what a request makes of the session on a channel.
func (s *Session) subscriber(req *SubscribeRequest, rule *ChannelRule) *subscriber {
	sub := &subscriber{session: s, conn: s.conn, protocol: s.protocol}
	positions := req.Protocol != nil
	if positions {
		sub.protocol = req.Protocol
	}
	if positions || req.Again || req.asksForPast() || req.Kind.Base() == Presence || req.Reach != rule.Reach {
		sub.extras = newSessionExtras(positions, req.Reach, req.Sockets)
	}
	return sub
}

// attach puts the subscription on the channel, in the place of the old one if there is
// one.
func (s *Session) attach(ctx context.Context, key *channelKey, open opening, old, sub *subscriber) error {
	if old == nil {
		return s.broker.channels.attach(ctx, key, open, sub)
	}
	old.channel.replace(old, sub)
	return nil
}

func (s *Session) subscribePlain(ctx context.Context, ch *channelKey, rule *ChannelRule, old, sub *subscriber, req *SubscribeRequest) (start, error) {
	open := s.broker.channels.opening(ctx, ch, rule)
	if err := s.attach(ctx, ch, open, old, sub); err != nil || sub.extras == nil {
		return start{}, err
	}
	return s.catchUp(ctx, rule, sub, req, nil, nil)
}

func (s *Session) subscribePresence(ctx context.Context, key *channelKey, rule *ChannelRule, old, sub *subscriber, req *SubscribeRequest) (start, error) {
	b, ch := s.broker, key.id
	limit := s.maxMembers
	if rule.MaxMembers > 0 {
		limit = rule.MaxMembers
	}
	member := *req.Member
	sub.userID = member.UserID
	open := b.channels.opening(ctx, key, rule)
	var all []Member
	var success *transport.Message
	err := b.tracker.Join(ctx, ch, s.id, member, limit, func(first bool, members []Member) error {
		all = members
		success = sub.protocol.Encode(SubscribedNotice{Channel: ch.Name, Members: members})
		// Who is there already is not refused, but cut off by a list that has grown too long.
		if q := s.conn.Queue(); old == nil && q.Size(success) > q.ByteLimit {
			return fmt.Errorf("%w: channel %q: its list of %d members has %d bytes, the connection takes %d",
				storage.ErrMemberLimit, ch.Name, len(members), q.Size(success), q.ByteLimit)
		}
		if err := s.attach(ctx, key, open, old, sub); err != nil {
			return err
		}
		if first {
			b.hooks.memberJoined(s.ctx, ch, member)
			sub.channel.handOutNotice(s, MemberAddedNotice{ch.Name, member})
		}
		return nil
	})
	if errors.Is(err, storage.ErrMemberLimit) {
		b.stats.refused.Add(1)
		return start{}, err
	}
	if errors.Is(err, ErrRefused) {
		return start{}, err
	}
	if err != nil {
		return start{}, b.storeFailed("presence join", ch, err)
	}
	return s.catchUp(ctx, rule, sub, req, all, success)
}

// channelLimit is what rate limits are asked about before the session does something with a
// channel.
func (s *Session) channelLimit(action ratelimit.Action, channel string) ratelimit.Request {
	limit := ratelimit.Request{Action: action, App: s.app, IP: s.ip, Session: s.id, Channel: channel}
	if user := s.User(); user != nil {
		limit.User = user.ID
	}
	return limit
}
