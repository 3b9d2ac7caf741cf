package storage

import (
	"context"
	"errors"
	"fmt"
)

// Amend is implemented by a History that can change an event after the fact. The change
// is an event itself: it takes a position in the channel, and is handed out to
// subscribers as any other. From then on reads return the target in its new state, at
// its old position.
type Amend interface {
	// Amend changes an event and appends the event that announces it, both or neither.
	// Errors wrap ErrNoTarget, ErrStaleVersion, or are those of Append. The idempotency
	// key of a.Options makes a retry a no-op.
	Amend(ctx context.Context, ch ChannelID, a Amendment) (Amended, error)
}

// AmendKind is what an amendment does to its target.
type AmendKind int

// The kinds of amendments.
const (
	// Edit replaces the target's data.
	Edit AmendKind = iota + 1
	// Retract removes the target's data.
	Retract
	// Extend adds to the end of the target's data.
	Extend
)

// Amendment is a change of an event.
type Amendment struct {
	Kind AmendKind
	// Target is the ID of the event to change.
	Target string
	// Version is the target's version that the caller has seen: 0 for any, 1 for
	// the event as it was published, and one more with every amendment.
	Version uint64
	// Data is what replaces the target's data, or is added to it.
	Data []byte
	// Event announces the amendment.
	Event *Event
	// Options go with the append of Event.
	Options AppendOptions
}

// Amended is the outcome of an amendment.
type Amended struct {
	Appended
	// Version is the target's version now.
	Version uint64
}

// Errors of amendments. They come wrapped.
var (
	// ErrNoTarget says that the channel keeps no event with the target's ID.
	ErrNoTarget = errors.New("no event to amend")
	// ErrStaleVersion says that the target has been amended by another.
	ErrStaleVersion = errors.New("event has been amended meanwhile")
)

// StaleVersionError refuses an amendment of an event that has another version. It
// wraps ErrStaleVersion.
type StaleVersionError struct {
	Channel ChannelID
	// Target is the event's ID.
	Target string
	// Version is the one asked for, and Current the one that there is.
	Version, Current uint64
}

// Error implements error.
func (e *StaleVersionError) Error() string {
	return fmt.Sprintf("channel %q: %v: event %s has version %d, asked for %d", e.Channel.Name, ErrStaleVersion, e.Target, e.Current, e.Version)
}

// Unwrap makes errors.Is(err, ErrStaleVersion) true.
func (e *StaleVersionError) Unwrap() error { return ErrStaleVersion }
