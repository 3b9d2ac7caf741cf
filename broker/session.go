package broker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-rt/carillon/internal/wheel"
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
	usage        usage
	// authorized is set once the session has signed in or subscribed to a channel
	// that needs authorization.
	authorized atomic.Bool
	anyRevoked atomic.Bool // a channel was taken from the session: see grants.revoked

	user atomic.Pointer[User]
	slow atomic.Bool

	// op is held while the session's subscriptions or user change.
	op    sync.Mutex
	subs  map[string]*subscriber // guarded by op; whoever changes it holds subsMu too
	ended bool                   // guarded by op
	// subsMu lets subs be read while a store keeps somebody who holds op waiting.
	subsMu sync.Mutex
	since  int64 // in nanoseconds since 1970
	// nil for most; guarded by op.
	grants *grants

	// news keeps what a session hears of the users it watches in order. It is
	// taken after the tracker's order of presence changes.
	news sync.Mutex
	// Which of them are online until the session has been told; nil from then on.
	watched map[string]bool // guarded by news
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
func (s *Session) Send(m *transport.Message) { s.send(m) }

// send reports whether the message was queued.
func (s *Session) send(m *transport.Message) bool {
	if m == nil || s.slow.Load() {
		return false
	}
	if err := s.conn.Send(m); err != nil {
		s.sendFailed(err)
		return false
	}
	return true
}

func (s *Session) sendFailed(err error) {
	if errors.Is(err, transport.ErrSlow) && s.slow.CompareAndSwap(false, true) {
		s.broker.stats.slowSessions.Add(1)
		s.broker.log.Warn("slow client cut off", "app", s.app, "socket_id", s.id, "error", err)
		s.broker.observeSlow(s, err)
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

// Subscribed reports whether the session is subscribed to the channel.
func (s *Session) Subscribed(channel string) bool {
	s.op.Lock()
	defer s.op.Unlock()
	return s.subs[channel] != nil
}

// setSub notes the session's subscription to a channel, or with nil that there is none.
// The caller holds s.op.
func (s *Session) setSub(channel string, sub *subscriber) {
	s.subsMu.Lock()
	defer s.subsMu.Unlock()
	if sub == nil {
		delete(s.subs, channel)
		return
	}
	if s.subs == nil {
		s.subs = make(map[string]*subscriber, 1)
	}
	s.subs[channel] = sub
}

// takeSubs takes all subscriptions away. The caller holds s.op.
func (s *Session) takeSubs() (subs map[string]*subscriber) {
	s.subsMu.Lock()
	defer s.subsMu.Unlock()
	subs, s.subs = s.subs, nil
	return subs
}

// grants are what bounds a session's authorizations besides a signature. Few
// sessions have any.
type grants struct {
	// ends are when the authorizations of subscribed channels end, as far as they do.
	ends map[string]time.Time // guarded by the session's op
	// end runs when the first of them has ended.
	end wheel.Timer
	// revoked counts, by channel, how often it was taken from the session.
	revoked map[string]int // guarded by the session's op
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
