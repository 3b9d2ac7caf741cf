package broker

import (
	"github.com/carillon-rt/carillon/presence"
	"github.com/carillon-rt/carillon/transport"
)

// Protocol encodes what the broker sends to sessions. All sessions with the same wire
// protocol should share one Protocol: an event is encoded once for each Protocol among
// the subscribers of a channel, not for each subscriber.
//
// Implementations are pointers, and safe for concurrent use.
type Protocol interface {
	// Encode returns the message that tells clients of a notice. It returns nil for a
	// notice that its clients are not sent, and for one that it does not know: later
	// versions may have more.
	Encode(n Notice) *transport.Message
	// Close is the close code and text for a session that the broker ends.
	Close(reason CloseReason) (code int, text string)
}

// Notice is what a session is sent: one of the types of this package whose names end in
// Notice.
type Notice interface{ notice() }

type (
	// EventNotice is an event on a channel.
	EventNotice struct{ *Event }

	// SubscribedNotice says that a subscription has succeeded. Past events, if
	// any, follow it, and then what is published.
	SubscribedNotice struct {
		Channel string
		// Members are those of a presence channel, the subscriber included; nil
		// elsewhere.
		Members []presence.Member
		// Resume says what became of SubscribeRequest.After.
		Resume Resume
		// Missed is the number of past events that follow, if Resume is Resumed.
		Missed int
		// Position is the one before what follows; zero on a channel that keeps no
		// history, and where the store could not say: then a gap comes before the
		// first event.
		Position Position
	}

	// RevokedNotice says that the client was taken off a channel.
	RevokedNotice struct{ Channel string }

	// CacheMissNotice tells a new subscriber that the cache channel has no event.
	CacheMissNotice struct{ Channel string }

	// MemberAddedNotice tells of a member who has joined.
	MemberAddedNotice struct {
		Channel string
		Member  presence.Member
	}

	// MemberRemovedNotice tells of a member who has left.
	MemberRemovedNotice struct {
		Channel string
		Member  presence.Member
	}

	// SubscriptionCountNotice tells how many client subscriptions a channel has.
	SubscriptionCountNotice struct {
		Channel string
		Count   int
	}

	// WatchlistNotice tells which of the users that a session watches have gone
	// online and which offline. Either may be empty.
	WatchlistNotice struct{ Online, Offline []string }

	// GapNotice says that events of a channel are missing up to the next one.
	GapNotice struct {
		Channel string
		// Position is the one before what follows; zero where that is not known.
		Position Position
	}

	// ResumeNotice says again what SubscribedNotice has said of positions, right behind it,
	// to a subscriber with a Protocol of its own: for clients that cannot look into that.
	ResumeNotice struct {
		Channel  string
		Resume   Resume
		Missed   int
		Position Position
	}

	// PositionNotice stands for events that a subscriber does not get.
	PositionNotice struct {
		Channel string
		// Position is that of the last of them, and Prev the one before the first,
		// which is zero as Event.Prev is.
		Position, Prev Position
	}
)

func (EventNotice) notice()             {}
func (SubscribedNotice) notice()        {}
func (RevokedNotice) notice()           {}
func (CacheMissNotice) notice()         {}
func (MemberAddedNotice) notice()       {}
func (MemberRemovedNotice) notice()     {}
func (SubscriptionCountNotice) notice() {}
func (WatchlistNotice) notice()         {}
func (GapNotice) notice()               {}
func (ResumeNotice) notice()            {}
func (PositionNotice) notice()          {}

// Resume says how a subscription begins.
type Resume int

const (
	// Fresh: no position was asked for.
	Fresh Resume = iota
	// Resumed: every event after the position that was asked for follows.
	Resumed
	// ResumeGap: events after that position are lost to the subscriber, who starts
	// as if it had asked for none.
	ResumeGap
)

// CloseReason is why the broker ends a session.
type CloseReason int

// Why the broker ends a session.
const (
	// CloseShutdown: the broker is shutting down; the client should reconnect.
	CloseShutdown CloseReason = iota
	// CloseSlow: the client did not take in what was sent to it.
	CloseSlow
	// CloseTerminated: the connections of its user were terminated.
	CloseTerminated
	// CloseExpired: an authorization has ended; the client should reconnect, and ask
	// for its channels again.
	CloseExpired
)

// Cipher seals the events of encrypted channels. It is safe for concurrent use.
type Cipher interface {
	// Seal encrypts data for the channel of the app.
	Seal(app, channel string, data []byte) ([]byte, error)
	// Open reverses Seal.
	Open(app, channel string, sealed []byte) ([]byte, error)
}
