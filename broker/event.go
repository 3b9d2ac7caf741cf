package broker

import (
	"math/rand/v2"
	"strconv"
	"sync/atomic"

	"github.com/carillon-rt/carillon/presence"
	"github.com/carillon-rt/carillon/storage"
)

// Event is one event as it was published. All subscribers share it: neither its Data
// nor any other field may be changed.
type Event = storage.Event

// ChannelID names a channel of an app.
type ChannelID = storage.ChannelID

// Position says where in a channel's history an event stands.
type Position = storage.Position

// Retention says how much of a channel's history is kept.
type Retention = storage.Retention

// Member is a user on a presence channel.
type Member = presence.Member

// eventIDs makes IDs that no other broker makes: a random prefix and a number.
type eventIDs struct {
	prefix string
	last   atomic.Uint64
}

func newEventIDs() *eventIDs {
	return &eventIDs{prefix: strconv.FormatUint(rand.Uint64(), 36) + "-"}
}

func (g *eventIDs) next() string {
	var buf [40]byte
	return string(strconv.AppendUint(append(buf[:0], g.prefix...), g.last.Add(1), 36))
}

// newSocketID returns an ID in the protocol's form: two decimal numbers. Each is
// below 2^53, the largest that every client can hold.
func newSocketID() string {
	var buf [40]byte
	b := strconv.AppendUint(buf[:0], rand.Uint64N(1<<53), 10)
	b = append(b, '.')
	return string(strconv.AppendUint(b, rand.Uint64N(1<<53), 10))
}

// Published is the outcome of publishing to one channel.
type Published struct {
	// ID is the event's, by which it can be amended: see App.Edit. It is empty for a
	// Duplicate whose event the history does not keep any more, and may be for an event
	// that neither history nor subscribers get.
	ID string
	// Position is the event's, on a channel that keeps history.
	Position Position
	// Duplicate says that the idempotency key had been used: the event was not stored
	// or handed out again, and Position is that of the first event.
	Duplicate bool
}
