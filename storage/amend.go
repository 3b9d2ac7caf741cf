package storage

import (
	"context"
	"errors"
	"fmt"
)

// Amend is implemented by a History that can change an event after the fact. The change
// is an event itself, which announces it: it takes a position in the channel, and is
// handed out to subscribers as any other.
//
// A read of History returns the log: events as they were published, and amendments among
// them. With ReadOptions.Current it returns what amendments have made of the events, and
// none of the amendments. What was retracted is gone from both: its data, and that of
// all earlier amendments of the same target, leaves the store in the same step, and the
// events stay behind with Event.Retracted set.
//
// An event that the retention no longer keeps cannot be amended. Amendments do not count
// against Retention.Events: of those, the latest are kept besides, as many as the
// retention keeps events and FillEvents at least, so that clients can resume. A read of
// the log from a position before is a gap; a current read is not.
type Amend interface {
	// Target returns an event that can be amended, as it is now, by its ID: the latest
	// if several have it. The error wraps ErrNoTarget if the channel keeps none, or the
	// event is an amendment itself. One that was retracted is returned.
	Target(ctx context.Context, ch ChannelID, id string) (Event, error)

	// Amend changes an event and appends the event that announces it, both or neither.
	// Errors wrap ErrNoTarget, ErrRetracted or ErrStaleVersion, after which nothing was
	// changed, or are those of Append. The idempotency key of a.Options makes a retry a
	// no-op: it is looked at before the target is.
	Amend(ctx context.Context, ch ChannelID, a Amendment) (Amended, error)
}

// AmendKind is what an amendment does to its target.
type AmendKind uint8

// The kinds of amendments. The zero AmendKind is none: an event that was published.
const (
	// Edit replaces the target's data.
	Edit AmendKind = iota + 1
	// Retract removes the target's data.
	Retract
	// Extend adds to the end of the target's data.
	Extend
)

// String returns "edit", "retract" or "extend".
func (k AmendKind) String() string {
	if k < Edit || k > Extend {
		return fmt.Sprintf("amendment %d", uint8(k))
	}
	return [...]string{"edit", "retract", "extend"}[k-Edit]
}

// Amendment is a change of an event.
type Amendment struct {
	// Kind is what is done to the target. What Event.Amends says may differ: data that
	// is sealed as a whole is extended by an Edit of the store.
	Kind AmendKind
	// Target is the ID of the event to change.
	Target string
	// Version is the target's version that the caller has seen; see Event.Version. If
	// the target has another, the amendment is refused.
	Version uint64
	// Data is what replaces the target's data, or is added to it. It may be kept, and
	// must not be changed any more.
	Data []byte
	// Event announces the amendment. Its Amends, Target and Version are set by the
	// caller: Version is the target's after the amendment, one above Version.
	Event *Event
	// Options go with the append of Event.
	Options AppendOptions
}

// Amended is the outcome of an amendment.
type Amended struct {
	Appended
	// Version is the target's after the amendment. For a Duplicate it is that after the
	// first one, or 0 if the store does not keep that any more.
	Version uint64
}

// Prepared is an event, or an amendment, that has passed the hooks, limits and sealing of
// a broker and that only a store has still to take. A store whose Capabilities have
// Transactions appends it within a transaction of the caller; package broker says how.
type Prepared struct {
	Channel ChannelID
	// Event is what is going to be handed out, and Options are for its append.
	Event   *Event
	Options AppendOptions
	// Amendment is what Event announces, with the same Event and Options; nil for an
	// event that amends none.
	Amendment *Amendment
}

// Errors of amendments. They come wrapped, and after them the caller knows that nothing
// was changed.
var (
	// ErrNoTarget says that the channel keeps no event with the target's ID that could
	// be amended.
	ErrNoTarget = errors.New("no event to amend")
	// ErrRetracted says that the target was retracted: nothing can be made of it.
	ErrRetracted = errors.New("event was retracted")
	// ErrStaleVersion says that the target has been amended by another.
	ErrStaleVersion = errors.New("event has been amended meanwhile")
)

// TargetError refuses an amendment of an event that there is not, or not any more. It
// wraps ErrNoTarget or ErrRetracted.
type TargetError struct {
	Channel ChannelID
	// Target is the event's ID.
	Target string
	// Err is ErrNoTarget or ErrRetracted.
	Err error
}

// Error implements error.
func (e *TargetError) Error() string {
	return fmt.Sprintf("channel %q: %v: %q", e.Channel.Name, e.Err, e.Target)
}

// Unwrap returns Err.
func (e *TargetError) Unwrap() error { return e.Err }

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
	return fmt.Sprintf("channel %q: %v: event %q has version %d, asked for %d", e.Channel.Name, ErrStaleVersion, e.Target, e.Current, e.Version)
}

// Unwrap makes errors.Is(err, ErrStaleVersion) true.
func (e *StaleVersionError) Unwrap() error { return ErrStaleVersion }
