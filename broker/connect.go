package broker

import (
	"context"
	"time"

	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/transport"
)

// ConnectOptions say who connects, how the session reaches its client, and what it may
// use.
type ConnectOptions struct {
	ConnectRequest
	// Conn and Protocol carry what the broker has to say to the client.
	Conn     transport.Conn
	Protocol Protocol
	// Welcome returns the first message to the client, if it gets one: it is sent
	// before hooks or anybody else can send.
	Welcome func(socketID string) *transport.Message
	// MaxConnections bounds the sessions of the app on this node; 0 sets no
	// bound.
	MaxConnections int
	// MaxMembers bounds the members of presence channels; 0 sets no bound.
	MaxMembers int
	// MaxUserInfoBytes bounds the info of members and of the user, in bytes; 0 sets
	// no bound.
	MaxUserInfoBytes int
	// Limits bound what the session may use.
	Limits SessionLimits
	// Admitted says that Admit has let the client pass.
	Admitted bool
	// SubscriptionCounts sends the session the number of subscribers of its channels
	// when it changes, for more than 100 at most every 5 s.
	SubscriptionCounts bool
}

// Connect makes a session for a client. ctx is given to the hooks; its values,
// but not its end, stay with the session. Errors wrap ErrShutdown, ErrQuota,
// ErrRefused or ratelimit.ErrLimited. A session that was made has to be ended
// with End.
func (b *Broker) Connect(ctx context.Context, opts ConnectOptions) (*Session, error) {
	s, err := b.connect(ctx, opts)
	if err != nil && b.observers.want(opts.App, ObserveSessionRefused) {
		b.observers.tell(ctx, opts.App, SessionRefused{App: opts.App, IP: opts.IP, Transport: opts.Transport, Err: err})
	}
	return s, err
}

func (b *Broker) connect(ctx context.Context, opts ConnectOptions) (*Session, error) {
	app := opts.App
	limit := ratelimit.Request{Action: ratelimit.Connect, App: app, IP: opts.IP}
	if opts.Admitted {
		limit.Before = &ratelimit.Request{Action: ratelimit.Connect, IP: opts.IP}
	}
	if err := b.rateLimits.limited(ctx, limit); err != nil {
		return nil, err
	}
	if err := decide(ctx, &b.hooks, func(h *Hooks) func(context.Context, *ConnectRequest) error { return h.Connect }, &opts.ConnectRequest); err != nil {
		return nil, err
	}
	if err := b.quotas.take(app, opts.MaxConnections); err != nil {
		b.stats.refused.Add(1)
		return nil, err
	}
	s := &Session{
		broker: b, app: app, ip: opts.IP, conn: opts.Conn, protocol: opts.Protocol, ctx: context.Background(),
		counts: opts.SubscriptionCounts, maxMembers: opts.MaxMembers, maxInfoBytes: opts.MaxUserInfoBytes, usage: usage{limits: opts.Limits},
		since: time.Now().UnixNano(),
	}
	if b.hooks.any() || b.observers.any() {
		s.ctx = context.WithoutCancel(ctx)
	}
	s.ctx, s.gone = context.WithCancel(s.ctx)
	for {
		s.id = newSocketID()
		if _, taken := b.sessions.LoadOrStore(s.id, s); !taken {
			break
		}
	}
	if !b.sessionStarted() {
		s.gone()
		b.sessions.Delete(s.id)
		b.quotas.give(s.app)
		return nil, ErrShutdown
	}
	b.stats.connected.Add(1)
	if b.observers.want(app, ObserveSessionOpened) {
		b.observers.tell(s.ctx, app, SessionOpened{s})
	}
	if opts.Welcome != nil {
		s.Send(opts.Welcome(s.id))
	}
	inform(s.ctx, &b.hooks, connected, SessionChange{Session: s, Time: time.Now()})
	return s, nil
}

// Admit checks the rate limits of new sessions for a client that has not named its app
// yet; the App of the request to them is empty. Give ConnectOptions.Admitted to Connect
// afterwards, which then checks only the limits that depend on what was unknown before.
// The errors are those of Connect.
func (b *Broker) Admit(ctx context.Context, ip string) error {
	err := b.rateLimits.limited(ctx, ratelimit.Request{Action: ratelimit.Connect, IP: ip})
	if err != nil && b.observers.want("", ObserveSessionRefused) {
		b.observers.tell(ctx, "", SessionRefused{IP: ip, Err: err})
	}
	return err
}

// End ends the session's subscriptions, memberships and sign-in. Its protocol calls it
// once, when the connection is gone. It waits at most as long as one call of a store
// may take; a member whom the store could not take off a channel by then leaves later.
func (s *Session) End(code int) {
	s.gone()
	s.op.Lock()
	if s.ended {
		s.op.Unlock()
		return
	}
	s.ended = true
	subs := s.takeSubs()
	b := s.broker
	if s.grants != nil {
		b.grantEnds.Cancel(&s.grants.end)
	}
	// At once: a store that hangs must not keep the client from coming back.
	b.sessions.Delete(s.id)
	b.quotas.give(s.app)
	ctx := s.ctx
	if s.leaves(subs) {
		var cancel context.CancelFunc
		ctx, cancel = s.leaving(ctx)
		defer cancel()
	}
	for channel, sub := range subs {
		s.informUnsubscribed(channel, sub)
		s.drop(ctx, sub, sub.channel.rule.LeaveGrace)
		if s.counts {
			sub.channel.countChanged()
		}
	}
	s.signOut(ctx)
	s.op.Unlock()
	inform(s.ctx, &b.hooks, disconnected, SessionChange{Session: s, CloseCode: code, Time: time.Now()})
	if b.observers.want(s.app, ObserveSessionClosed) {
		b.observers.tell(s.ctx, s.app, SessionClosed{Session: s, Code: code, Lasted: time.Duration(time.Now().UnixNano() - s.since)})
	}
	b.sessionEnded()
}

// leaves reports whether the session is a member of any channel, or a user.
func (s *Session) leaves(subs map[string]*subscriber) bool {
	for _, sub := range subs {
		if sub.isMember() {
			return true
		}
	}
	return s.User() != nil
}
