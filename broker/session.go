package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-rt/carillon/presence"
	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/transport"
)

// Session is one client connection, from handshake to close. A protocol makes
// it with Broker.Connect, drives it with what the client asks for, and ends it
// with End. All methods are safe for concurrent use.
type Session struct {
	broker   *Broker
	id       string
	app      string
	ip       string
	conn     transport.Conn
	protocol Protocol
	ctx      context.Context
	gone     context.CancelFunc // ends ctx

	counts       bool
	maxMembers   int
	maxInfoBytes int
	limits       SessionLimits
	usage        usage
	// authorized is set once the session has signed in or subscribed to a channel
	// that needs authorization.
	authorized atomic.Bool

	user atomic.Pointer[User]
	slow atomic.Bool

	// op is held while the session's subscriptions or user change.
	op    sync.Mutex
	subs  map[string]*subscriber // guarded by op
	ended bool                   // guarded by op
	// nil for most; guarded by op.
	grants *grants

	// news keeps what a session hears of the users it watches in order. It is
	// taken after the tracker's order of presence changes.
	news sync.Mutex
	// Which of them are online until the session has been told; nil from then on.
	watched map[string]bool // guarded by news
}

// User is who a session is signed in as.
type User struct {
	// ID is at most 128 characters and never empty.
	ID string
	// Info is a JSON value, or empty.
	Info []byte
	// Watchlist holds the IDs of users whose going online and offline the
	// session is told of, each once.
	Watchlist []string
}

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
	app := opts.App
	limit := ratelimit.Request{Action: ratelimit.Connect, App: app, IP: opts.IP}
	if opts.Admitted {
		limit.Before = &ratelimit.Request{Action: ratelimit.Connect, IP: opts.IP}
	}
	if err := b.limited(ctx, limit); err != nil {
		return nil, err
	}
	if err := decide(ctx, b, func(h *Hooks) func(context.Context, *ConnectRequest) error { return h.Connect }, &opts.ConnectRequest); err != nil {
		return nil, err
	}
	if err := b.quotas.take(app, opts.MaxConnections); err != nil {
		b.stats.refused.Add(1)
		return nil, err
	}
	s := &Session{
		broker: b, app: app, ip: opts.IP, conn: opts.Conn, protocol: opts.Protocol, ctx: context.Background(),
		counts: opts.SubscriptionCounts, maxMembers: opts.MaxMembers, maxInfoBytes: opts.MaxUserInfoBytes, limits: opts.Limits,
	}
	if b.notifiers.Load() != nil {
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
	if opts.Welcome != nil {
		s.Send(opts.Welcome(s.id))
	}
	inform(s.ctx, b, connected, SessionChange{Session: s, Time: time.Now()})
	return s, nil
}

// Admit checks the rate limits of new sessions for a client that has not named its app
// yet; the App of the request to them is empty. Give ConnectOptions.Admitted to Connect
// afterwards, which then checks only the limits that depend on what was unknown before.
// The errors are those of Connect.
func (b *Broker) Admit(ctx context.Context, ip string) error {
	return b.limited(ctx, ratelimit.Request{Action: ratelimit.Connect, IP: ip})
}

// ID is the session's socket ID: two decimal numbers and a dot.
func (s *Session) ID() string { return s.id }

// App is the ID of the session's app.
func (s *Session) App() string { return s.app }

// IP is the client's address without a port, as far as it is known.
func (s *Session) IP() string { return s.ip }

// Conn is the connection behind the session.
func (s *Session) Conn() transport.Conn { return s.conn }

// User is who the session is signed in as, or nil. It must not be changed.
func (s *Session) User() *User { return s.user.Load() }

// Context carries the values of the context that the session was made with, for
// hooks. It ends with the connection: see Gone and End.
func (s *Session) Context() context.Context { return s.ctx }

// Gone ends the session's context. Its protocol calls it when the connection is gone
// but a request of the client is still being handled, after which it calls End: what
// the request waits for is given up.
func (s *Session) Gone() { s.gone() }

// Send queues a message for the client. It does not block. A client whose queue is full
// is cut off, and counted in Stats.SlowSessions.
func (s *Session) Send(m *transport.Message) {
	if m == nil || s.slow.Load() {
		return
	}
	if err := s.conn.Send(m); err != nil {
		s.sendFailed(err)
	}
}

func (s *Session) sendFailed(err error) {
	if errors.Is(err, transport.ErrSlow) && s.slow.CompareAndSwap(false, true) {
		s.broker.stats.slowSessions.Add(1)
		s.broker.log.Warn("slow client cut off", "app", s.app, "socket_id", s.id, "error", err)
		// Close may call back into the session, and the caller may hold locks.
		s.broker.background(func() { s.Close(CloseSlow) })
	}
}

// Close ends the connection with the close code that the protocol has for the reason.
// It does not wait for the end. Further calls do nothing.
func (s *Session) Close(reason CloseReason) {
	code, text := s.protocol.Close(reason)
	s.conn.Close(code, text)
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
	subs := s.subs
	s.subs = nil
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
		s.tellUnsubscribed(channel, sub)
		s.drop(ctx, sub, sub.channel.rule.LeaveGrace)
		if s.counts {
			sub.channel.countChanged()
		}
	}
	s.signOut(ctx)
	s.op.Unlock()
	inform(s.ctx, b, disconnected, SessionChange{Session: s, CloseCode: code, Time: time.Now()})
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

// Subscribed reports whether the session is subscribed to the channel.
func (s *Session) Subscribed(channel string) bool {
	s.op.Lock()
	defer s.op.Unlock()
	return s.subs[channel] != nil
}

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
	if err := s.takeClientEvent(); err != nil {
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
	if err := b.limited(ctx, limit); err != nil {
		return err
	}
	hook := func(h *Hooks) func(context.Context, *ClientEventRequest) error { return h.ClientEvent }
	if err := decide(ctx, b, hook, &req); err != nil {
		return err
	}
	// The protocol has parsed what the client sent, but not what hooks made of it.
	if err := b.checkEvent(req.Event, req.Data, req.JSON && decides(b, hook)); err != nil {
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
		sub.channel.publish(ev)
	} else {
		key := b.channels.key(ch)
		if _, err := b.store(ctx, &key, ev, &storage.AppendOptions{Retention: keep}); err != nil {
			return err
		}
	}
	inform(s.ctx, b, clientEventSent, changeOf(s.app, ev, s))
	return nil
}

func (s *Session) takeClientEvent() error {
	rate := s.limits.ClientEventsPerSecond
	if rate <= 0 {
		return nil
	}
	limit := ratelimit.Limit{Rate: float64(rate), Burst: rate}
	d := s.usage.clientEvents.Take(time.Now(), limit, 1)
	if d.OK {
		return nil
	}
	return &ratelimit.LimitError{Rule: "client events per second", Action: ratelimit.ClientEvent, Limit: limit, Cost: 1, RetryAfter: d.RetryAfter}
}

// limited asks the broker's rate limits.
func (b *Broker) limited(ctx context.Context, req ratelimit.Request) error {
	if b.rateLimits == nil {
		return nil
	}
	if err := b.checkLimits(ctx, req); err != nil {
		return b.refusal(err)
	}
	return nil
}

func (b *Broker) checkLimits(ctx context.Context, req ratelimit.Request) (err error) {
	defer b.caught("rate limit", &err)
	return b.rateLimits.Check(ctx, req)
}

func (s *Session) subscribeLimit(req *SubscribeRequest) ratelimit.Request {
	limit := ratelimit.Request{Action: ratelimit.Subscribe, App: s.app, IP: s.ip, Session: s.id, Channel: req.Channel}
	if user := s.User(); user != nil {
		limit.User = user.ID
	}
	return limit
}

func (b *Broker) memberJoined(ctx context.Context, ch ChannelID, m presence.Member) {
	inform(ctx, b, memberJoined, MemberChange{App: ch.App, Channel: ch.Name, Member: m, Time: time.Now()})
}

func (b *Broker) memberLeft(ctx context.Context, ch ChannelID, d presence.Departure) {
	inform(ctx, b, memberLeft, MemberChange{App: ch.App, Channel: ch.Name, Member: d.Member, Time: d.Time})
}
