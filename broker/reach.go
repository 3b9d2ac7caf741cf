package broker

import "time"

// Reach says which subscribers may read what a channel has kept, and how far back: by
// going on from a position, or by asking for pages of its history. The zero Reach lets
// all of them read all that is kept. Rewinds, and the events of cache channels, are sent
// whatever it says.
//
// Whoever has seen one position of a channel can make up others: a bound is what keeps
// those out who may subscribe now, but are not to read what was said before.
type Reach struct {
	// Readers are the subscribers who may read.
	Readers Readers
	// Events is how many of the latest events may be read; 0 sets no bound. Who has
	// missed more of them is told of a gap.
	Events int
	// Age is how old an event may be to be read; 0 sets no bound. Who has missed an
	// older one is told of a gap.
	Age time.Duration
}

// Readers says which subscribers may read what a channel has kept.
type Readers uint8

// Who may read.
const (
	// AnySubscriber lets everybody read who may subscribe.
	AnySubscriber Readers = iota
	// OnlyUsers lets those read who are signed in, or a member of the channel.
	OnlyUsers
	// NoSubscriber lets nobody read.
	NoSubscriber
)

// allows reports whether a subscriber is one of the readers. known says that it is signed
// in, or a member of the channel.
func (r *Reach) allows(known bool) bool {
	return r.Readers == AnySubscriber || r.Readers == OnlyUsers && known
}

// tooOld reports whether an event is beyond the reach.
func (r *Reach) tooOld(ev *Event) bool { return r.Age > 0 && time.Since(ev.Time) > r.Age }
