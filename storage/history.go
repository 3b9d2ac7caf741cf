package storage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// History keeps the latest events of channels, in the order of their offsets.
//
// All methods are safe for concurrent use. A call whose context is done already
// does nothing and returns the context's error; one that waits for anything
// stops waiting when its context is done. Numbers and durations below 0 count
// as 0.
//
// A store may forget a channel that keeps neither events nor idempotency keys.
// What is appended next then starts a new epoch: a position is never given
// twice.
type History interface {
	// Append gives ev the next offset of the channel and keeps it as long as
	// opts.Retention says. It returns when the event is as durable as the
	// store makes it. The store keeps its own copy of *ev and neither changes nor
	// keeps ev itself; it may keep ev.Data, which must not be changed any more.
	//
	// After an error the event may have been appended or not: the caller finds out
	// from Read, or with a retry by its idempotency key. A store that knows that it
	// was appended returns no error.
	//
	// With an idempotency key that was used on the channel within the window,
	// nothing is appended: for the same request the first event's position is
	// returned with Duplicate set, and for another request, which
	// opts.RequestHash tells, an error that wraps ErrKeyReused. A concurrent call
	// with the same key waits for the first and then does the same. A store that
	// cannot wait as long as the first takes returns an error that wraps
	// ErrKeyInFlight.
	Append(ctx context.Context, ch ChannelID, ev *Event, opts AppendOptions) (Appended, error)

	// Read returns up to opts.Limit events next to opts.From.
	//
	// It fails with an error that wraps ErrGap if From is no position of the
	// channel's epoch, be it that the epoch is another or that the offset is
	// beyond the latest, and, reading forward, if an event after From is no
	// longer kept. A backward read just ends where what is kept ends.
	Read(ctx context.Context, ch ChannelID, opts ReadOptions) (Page, error)

	// Latest returns the position of the channel's last event, whether it is
	// still kept or not, and the zero Position for a channel that the store
	// knows nothing of.
	Latest(ctx context.Context, ch ChannelID) (Position, error)

	// Delete forgets the channel's events and idempotency keys. What is
	// appended next starts a new epoch. A channel that does not exist is no
	// error.
	Delete(ctx context.Context, ch ChannelID) error
}

// Retention says how much of a channel's history is kept. Whichever bound is
// reached first removes the oldest event. That of the latest append holds for all
// of the channel's events; a wider one does not bring back what is gone.
type Retention struct {
	// Events is the number of events kept; 0 keeps none (an append still takes
	// an offset, and an idempotency key is still remembered).
	Events int
	// Age is how long an event is kept from its append on; 0 sets no bound. An
	// older event is never read, and missing it is a gap.
	Age time.Duration
}

// AppendOptions go with one Append.
type AppendOptions struct {
	Retention Retention
	// IdempotencyKey makes a retry of the same append a no-op. Empty for none.
	IdempotencyKey string
	// RequestHash says what IdempotencyKey is used for: the store remembers it
	// beside the key, and a later use of the key with another hash is refused. It
	// is of what the publisher asked for, which is not always what Event holds: a
	// sealed payload differs with every retry. Without a key it means nothing.
	RequestHash [32]byte
	// IdempotencyWindow is how long the key is remembered from its first use on;
	// 0 means DefaultIdempotencyWindow. A retry does not prolong it.
	IdempotencyWindow time.Duration
}

// DefaultIdempotencyWindow is how long an idempotency key is remembered where
// AppendOptions does not say.
const DefaultIdempotencyWindow = 5 * time.Minute

// Appended is the outcome of an Append.
type Appended struct {
	// Position is the event's position, or that of the event which used the
	// idempotency key first.
	Position Position
	// Duplicate says that the idempotency key had been used for the same
	// request: nothing was appended.
	Duplicate bool
}

// ReadOptions says what to read of a channel's history.
type ReadOptions struct {
	// From is the position next to which to read; its own event is not part of
	// the page. The zero Position means the oldest event kept (forward) or
	// the newest (Backward).
	From Position
	// Backward returns events from newer to older.
	Backward bool
	// Limit is the most events to return; 0 means all that are kept.
	Limit int
}

// Page is a stretch of a channel's history.
type Page struct {
	// Events are in the order asked for: oldest first, or newest first for a
	// backward read.
	Events []Event
	// Latest is the channel's current position, read together with Events.
	Latest Position
	// More says that the limit cut the page: further events follow in the
	// direction of reading.
	More bool
}

// ErrGap is wrapped by errors that say that a position cannot be continued
// from: its epoch is over, or events after it are no longer kept.
var ErrGap = errors.New("history cannot be continued from this position")

// GapError is the error of a read from a position that has been lost.
// It wraps ErrGap.
type GapError struct {
	Channel ChannelID
	// From is the position asked for.
	From Position
	// Oldest is the position of the oldest event that is kept; zero if none is.
	Oldest Position
	// Latest is the channel's current position.
	Latest Position
}

// Error implements error.
func (e *GapError) Error() string {
	return fmt.Sprintf("channel %q: %v: asked for %s:%d, kept %s:%d to %d", e.Channel.Name, ErrGap,
		e.From.Epoch, e.From.Offset, e.Latest.Epoch, e.Oldest.Offset, e.Latest.Offset)
}

// Unwrap makes errors.Is(err, ErrGap) true.
func (e *GapError) Unwrap() error { return ErrGap }

// Errors of appends with an idempotency key. They come wrapped, and after them the
// caller knows that its event was not appended.
var (
	// ErrKeyReused says that the key was used for another request.
	ErrKeyReused = errors.New("idempotency key was used for another request")
	// ErrKeyInFlight says that an append with the same key has not ended yet. A
	// retry after it has ended gets its outcome.
	ErrKeyInFlight = errors.New("request with the same idempotency key is in flight")
)

// KeyReusedError refuses an append whose idempotency key stands for another
// request. It wraps ErrKeyReused.
type KeyReusedError struct {
	Channel ChannelID
	// Key is the idempotency key.
	Key string
	// Position is that of the event which used the key first.
	Position Position
}

// Error implements error.
func (e *KeyReusedError) Error() string {
	return fmt.Sprintf("channel %q: %v: %q", e.Channel.Name, ErrKeyReused, e.Key)
}

// Unwrap makes errors.Is(err, ErrKeyReused) true.
func (e *KeyReusedError) Unwrap() error { return ErrKeyReused }
