package broker

import (
	"github.com/carillon-rt/carillon/presence"
	"github.com/carillon-rt/carillon/transport"
)

// Protocol puts what the broker has to say to a session into the words of a
// wire protocol. All sessions that speak the same should share one Protocol:
// what goes to all subscribers of a channel is encoded once for each.
//
// Implementations are pointers, and safe for concurrent use.
type Protocol interface {
	// Event is an event on a channel.
	Event(ev *Event) *transport.Message
	// Subscribed says that a subscription has succeeded. members is nil but on
	// presence channels.
	Subscribed(channel string, members []presence.Member) *transport.Message
	// Revoked says that the client was taken off a channel.
	Revoked(channel string) *transport.Message
	// CacheMiss says that a cache channel has no event.
	CacheMiss(channel string) *transport.Message
	// MemberAdded and MemberRemoved tell of the other members of a channel.
	MemberAdded(channel string, m presence.Member) *transport.Message
	MemberRemoved(channel string, m presence.Member) *transport.Message
	// SubscriptionCount tells how many client subscriptions a channel has.
	SubscriptionCount(channel string, count int) *transport.Message
	// Watchlist tells which of the users that a session watches are online and
	// which are not. Either may be empty.
	Watchlist(online, offline []string) *transport.Message
	// Close is the close code and text for a session that the broker ends.
	Close(reason CloseReason) (code int, text string)
}

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

// cipherCalls is a cipher whose panics are errors.
type cipherCalls struct {
	broker *Broker
	cipher Cipher
}

// Seal implements Cipher.
func (c *cipherCalls) Seal(app, channel string, data []byte) (sealed []byte, err error) {
	defer c.broker.caught("cipher", &err)
	return c.cipher.Seal(app, channel, data)
}

// Open implements Cipher.
func (c *cipherCalls) Open(app, channel string, sealed []byte) (data []byte, err error) {
	defer c.broker.caught("cipher", &err)
	return c.cipher.Open(app, channel, sealed)
}
