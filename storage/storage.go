// Package storage is the seam between the broker and whatever keeps its
// events and its presence: memory, a file, a database, a cluster's engine.
//
// It holds small interfaces, each usable alone, and the values that cross them; it is
// not a place for behaviour. History keeps events, and Presence members. What else a
// store can do is found by a type assertion: it may state what it promises (Capable),
// notify of changes by other processes (Watch, WatchPresence), find events by their
// words (Search) and change them (Amend).
//
// Every event and every change of a channel's members has a Position: an epoch and an
// offset, both ordered. A program that remembers a position can later find out whether
// it has missed anything, even if other processes have used the store meanwhile, or it
// was restored.
//
// The default implementation is storage/memory, and storage/storagetest is the
// suite that an adapter of your own has to pass, whole or the part it implements:
//
//	func TestAdapter(t *testing.T) {
//		storagetest.Run(t, func(t *testing.T) storagetest.Store { return myadapter.Open(t.TempDir()) })
//	}
package storage

import "time"

// ChannelID names a channel of an app. The zero Name is reserved: the broker
// uses it for the set of users of an app that are signed in. So are names that begin
// with ":", which it uses for the brokers that have clients on a channel.
type ChannelID struct {
	App  string
	Name string
}

// String returns "app/name", for logs and error messages.
func (id ChannelID) String() string { return id.App + "/" + id.Name }

// Event is one event as it was published. An Event that has been handed out is
// shared by every subscriber and must not be changed, its Data included.
type Event struct {
	// ID is unique within the app, unless publishers choose their own.
	ID string
	// Name is the event's name, such as "message" or "client-typing".
	Name string
	// Channel is the name of the channel it was published to.
	Channel string
	// Data is the payload. It is text unless JSON is set.
	Data []byte
	// JSON says that Data is a JSON value which travels as it is and not as a
	// string; client events may carry such data.
	JSON bool
	// Retracted says that the event was retracted, or that it announces an amendment of
	// one that was: its Data is gone.
	Retracted bool
	// Amends is what the event, which announces an amendment, has done to the event
	// whose ID is Target. Both are zero for other events.
	Amends AmendKind
	Target string
	// Version counts amendments: those that have made the event what it is, or, if it
	// announces one, those of the target including it.
	Version uint64
	// UserID is the user whose connection sent the event, or in whose name a server
	// published it; empty for other events of servers.
	UserID string
	// SocketID is the connection that sent the event; empty for events that a
	// server published.
	SocketID string
	// Time is when the broker accepted the event.
	Time time.Time
	// Exclude is the socket ID of the connection that must not get the event; empty for
	// none. It is stored with the event, for other brokers on the store, and is not
	// shown to those who read a channel's history.
	Exclude string
	// Position is zero on a channel that keeps no history.
	Position Position
	// Prev is the position of the event before, which stands in an older epoch for
	// the first of a new one. It is zero where the offset is one above that of the
	// event before in the same epoch, or 1 in a channel that had none; see Follows.
	Prev Position
}

// Follows reports whether the event is the next after a position: whether nothing
// of its channel's history stands between them.
func (ev *Event) Follows(last Position) bool {
	at, prev := ev.Position, ev.Prev
	switch {
	case at.IsZero() || last.IsZero():
		return false
	case prev.IsZero():
		return last.Epoch == at.Epoch && last.Offset+1 == at.Offset
	case last == prev:
		return true
	default:
		// The event before is of an older epoch: this one is the first of its own.
		return prev.Epoch != at.Epoch && last == Position{Epoch: at.Epoch}
	}
}

// Member is a user on a presence channel, or one that is online. Its Info is shared
// once a store has been given it or has returned it, and must not be changed.
type Member struct {
	// UserID is at most 128 characters and never empty.
	UserID string
	// Info is a JSON value, or empty.
	Info []byte
}

// Connection is one connection of a member: the node it is connected to, whose
// lease keeps it alive, and an ID that is unique over all nodes.
type Connection struct {
	Node string
	ID   string
}
