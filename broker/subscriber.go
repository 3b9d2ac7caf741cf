package broker

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/carillon-rt/carillon/transport"
)

// subscriber is a session, or Go code in this process, on a channel. It fills
// one cache line: on a large channel each line that is not in the cache costs a
// wait.
type subscriber struct {
	channel *channel
	index   int // guarded by channel.mu

	session *Session // nil for Go code
	// The session's own, so that handing out need not look at it. conn is nil once
	// something could not be sent: what comes after it must not be sent either.
	conn     transport.Conn
	protocol Protocol

	*extras // nil if it has none
}

// extras are what few subscriptions have. They are set before the subscription
// is attached.
type extras struct {
	inbox *inbox // set for Go code
	// at is where the channel's cursor stood when the subscription was attached.
	at             Position
	*sessionExtras // set for sessions
}

// sessionExtras are those of a session.
type sessionExtras struct {
	// userID is the member the session is on a presence channel.
	userID string
	// positions says that the subscriber keeps positions: see SubscribeRequest.Protocol.
	positions bool
	// reach is what the subscriber may read of what is kept.
	reach Reach
	// formerly are earlier socket IDs of the client: its requests may name them still.
	formerly []string

	// live is set once the subscriber has been told of its success and of the
	// past events: what goes out meanwhile waits in waiting.
	live atomic.Bool
	// had is where the past ends that the subscriber has been told of; set before live.
	had     Position
	mu      sync.Mutex
	waiting []waitingMessage // guarded by mu
	size    int              // guarded by mu: bytes of waiting
	undone  bool             // guarded by mu: the subscriber will not be live
}

func newSessionExtras(positions bool, reach Reach, formerly []string) *extras {
	both := new(struct {
		extras  extras
		session sessionExtras
	})
	both.extras.sessionExtras = &both.session
	both.session.positions, both.session.reach, both.session.formerly = positions, reach, formerly
	return &both.extras
}

type waitingMessage struct {
	message *transport.Message
	event   *Event   // nil for what is none
	gap     Position // up to where a gap goes; zero for what is none
}

// queueUntilLive keeps m for later, unless the subscriber is live: then it returns 0. A
// session for which more waits than its connection has room for is cut off: its store hangs.
func (s *subscriber) queueUntilLive(m *transport.Message, ev *Event, gap Position) DeliveryStep {
	x := s.extras
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.live.Load() {
		return 0
	}
	if x.undone {
		return DeliveryFailed
	}
	q := s.session.conn.Queue()
	q.Messages += len(x.waiting)
	q.Bytes += x.size
	before := q.Bytes
	if !q.Add(m) {
		s.session.sendFailed(q.Error())
		return DeliveryFailed
	}
	x.size += q.Bytes - before
	x.waiting = append(x.waiting, waitingMessage{m, ev, gap})
	return DeliveryParked
}

// finish tells the subscriber of its success, then of past events, then of what has gone
// out since, unless that is part of them; from now on it is live.
func (s *subscriber) finish(success *transport.Message, past []*transport.Message, had Position) {
	session, x := s.session, s.extras
	x.mu.Lock()
	defer x.mu.Unlock()
	session.Send(success)
	for _, m := range past {
		session.Send(m)
	}
	x.had = had
	for _, w := range x.waiting {
		if w.event != nil && covered(w.event.Position, had) || covered(w.gap, had) {
			unparked(w.message, true, false)
			continue
		}
		unparked(w.message, false, session.send(w.message))
	}
	x.waiting, x.size = nil, 0
	if session.slow.Load() {
		s.conn = nil
	}
	x.live.Store(true)
}

// forget gives up what waits for a subscriber that will not be live.
func (s *subscriber) forget() {
	if s.extras == nil || s.inbox != nil {
		return
	}
	s.mu.Lock()
	waiting := s.waiting
	s.waiting, s.size, s.undone = nil, 0, true
	s.mu.Unlock()
	for _, w := range waiting {
		unparked(w.message, false, false)
	}
}

func (s *subscriber) isMember() bool { return s.session != nil && s.extras != nil && s.userID != "" }

// excludes reports whether an event is not for the client, which had another socket ID
// when it was asked to be left out.
func (x *sessionExtras) excludes(ev *Event) bool {
	return ev != nil && ev.Exclude != "" && slices.Contains(x.formerly, ev.Exclude)
}

// passed is what the subscriber is told of an event that it does not get; nil for
// nothing.
func (s *subscriber) passed(ev *Event) *transport.Message {
	if s.extras == nil || !s.positions || ev == nil || ev.Position.IsZero() {
		return nil
	}
	return s.protocol.Encode(PositionNotice{Channel: ev.Channel, Position: ev.Position, Prev: ev.Prev})
}
