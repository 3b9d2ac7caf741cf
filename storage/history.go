package storage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// History keeps the latest events of channels, in the order of their positions.
//
// Every position that is given in a channel is after all that were given before,
// whatever happens to the channel or to the store. When the event at a position
// has been given out, by an append, a read or a notification, all that stands
// before it is decided: nothing is inserted there any more, and what there is can
// be read.
//
// Answers about what there is may be old where a store has several copies: a read may
// lack what another caller knows of, and says with Page.Latest what it knew. A caller
// that knows of a later position reads again. Old answers are temporary: a later read
// returns as much or more, unless the store has lost events, which a new epoch shows.
//
// All methods are safe for concurrent use. A call whose context is done already
// does nothing and returns the context's error; one that waits for anything
// stops waiting when its context is done. Numbers and durations below 0 count
// as 0.
type History interface {
	// Append gives ev the next position of the channel and keeps it as long as
	// opts.Retention says. It returns when the event is as durable as the
	// store makes it. Any number of appends to one channel may run at a time. The
	// store keeps its own copy of *ev, with Position and Prev as it gives them, and
	// neither changes nor keeps ev itself; it may keep ev.Data, which must not be
	// changed any more.
	//
	// After an error the event may have been appended or not, or may be appended
	// yet, unless the error wraps ErrKeyReused or ErrKeyInFlight: the caller finds
	// out from Read, or with a retry by its idempotency key. A store that knows
	// that it was appended returns no error.
	//
	// With an idempotency key that was used on the channel within the window,
	// nothing is appended: for the same request the first event's position is
	// returned with Duplicate set, and for another request, which
	// opts.RequestHash tells, an error that wraps ErrKeyReused. A concurrent call
	// with the same key waits for the first and then does the same. A store that
	// cannot wait as long as the first takes returns an error that wraps
	// ErrKeyInFlight.
	Append(ctx context.Context, ch ChannelID, ev *Event, opts AppendOptions) (Appended, error)

	// AppendBatch appends several events, of one channel or of several, and
	// returns the outcome of each at its index. Each is appended or not by itself,
	// as by Append; those of one channel that are appended at all stand in the
	// order of the batch. A store that gains nothing by a batch leaves it to
	// AppendEach.
	AppendBatch(ctx context.Context, batch []AppendRequest) []AppendResult

	// Read returns up to opts.MaxEvents events next to opts.From. Nothing stands between
	// that and the first of a page, whatever the event says of the one before it.
	//
	// It fails with an error that wraps ErrGap if the store cannot continue from
	// opts.From: if that is after the latest position, or after the one at which
	// its epoch ended, if the store does not know its epoch, and, reading forward,
	// if an event after it is no longer kept. A backward read just ends where what
	// is kept ends.
	Read(ctx context.Context, ch ChannelID, opts ReadOptions) (Page, error)

	// Latest returns the latest position of each channel, at its index: that of the
	// last event, whether it is still kept or not, or {E,0} where the channel has none
	// in its current epoch E, or the store does not know the channel at all. So there
	// always is a position from which a reader can continue.
	Latest(ctx context.Context, channels []ChannelID) ([]Position, error)

	// Delete forgets the channel's events and idempotency keys. Positions before
	// the latest can no longer be continued from. The store may start a new epoch
	// for the channel. One that does not exist is no error.
	Delete(ctx context.Context, ch ChannelID) error
}

// AppendRequest is one event of a batch; see History.Append.
type AppendRequest struct {
	Channel ChannelID
	Event   *Event
	Options AppendOptions
}

// AppendResult is what became of one event of a batch. Appended counts only if
// Err is nil.
type AppendResult struct {
	Appended
	Err error
}

// AppendEach appends the events of a batch one after another. It is what a store
// that has nothing better does for AppendBatch.
func AppendEach(ctx context.Context, h History, batch []AppendRequest) []AppendResult {
	results := make([]AppendResult, len(batch))
	for i := range batch {
		r := &batch[i]
		results[i].Appended, results[i].Err = h.Append(ctx, r.Channel, r.Event, r.Options)
	}
	return results
}

// LatestOf returns the latest position of one channel; see History.Latest.
func LatestOf(ctx context.Context, h History, ch ChannelID) (Position, error) {
	latest, err := h.Latest(ctx, []ChannelID{ch})
	if err != nil {
		return Position{}, err
	}
	return latest[0], nil
}

// Retention says how much of a channel's history is kept. Whichever bound is reached
// first removes the oldest event. The retention of the latest append applies to all of
// the channel's events; a longer one does not bring back what is gone.
//
// Of a channel that keeps any events, the latest FillEvents are kept for FillAge at
// least, for reads with ReadOptions.Fill only.
type Retention struct {
	// Events is the number of events kept; 0 keeps none (an append still takes
	// an offset, and an idempotency key is still remembered). Amendments do not count:
	// see Amend.
	Events int
	// Age is how long an event is kept from its append on; 0 sets no bound. An
	// older event is never read, and missing it is a gap.
	Age time.Duration
}

const (
	// FillEvents is how many of the latest events of a channel with history a
	// store keeps whatever the retention, for FillAge at least.
	FillEvents = 64
	// FillAge is how long a store keeps the latest FillEvents, counted from each
	// one's append.
	FillAge = 5 * time.Second
)

// AppendOptions go with one Append.
type AppendOptions struct {
	Retention Retention
	// Floor is the highest position of the channel that the caller knows of: the
	// event's is going to be after it. A store whose latest position is before
	// Floor has lost events, and begins a new epoch in the same step. Zero for
	// none.
	Floor Position
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
	// Prev is the event's own; see Event.Prev.
	Prev Position
	// Duplicate says that the idempotency key had been used for the same
	// request: nothing was appended.
	Duplicate bool
}

// ReadOptions says what to read of a channel's history.
type ReadOptions struct {
	// From is the position next to which to read. The zero Position means the
	// oldest event kept (forward) or the newest (Backward).
	From Position
	// Inclusive makes the event at From itself part of a Backward read. Forward it
	// means nothing.
	Inclusive bool
	// Backward returns events from newer to older.
	Backward bool
	// MaxEvents is the most events to return; 0 means all that are kept.
	MaxEvents int
	// MaxBytes is the most data to return, the sum of len(Event.Data); 0 sets no
	// bound. A page has one event at least if there is any.
	MaxBytes int
	// Fill also reads events that are kept for FillAge only, beyond the retention.
	// Brokers read so to find an event that they have missed while handing out; it is
	// not to be shown as history.
	Fill bool
	// Current reads what amendments have made of the events, and leaves amendments out;
	// all up to Page.Latest have been taken into account. Without it events come as
	// they were published. It means nothing to a store that does not implement Amend.
	Current bool
}

// Page is a stretch of a channel's history.
type Page struct {
	// Events are in the order asked for: oldest first, or newest first for a
	// backward read.
	Events []Event
	// Latest is the channel's latest position, as by Latest, read together with
	// Events. Those of a page that reaches the end include every event up to it.
	Latest Position
	// More says that a bound cut the page: further events follow in the direction
	// of reading.
	More bool
}

// ErrGap is wrapped by errors that say that a position cannot be continued
// from: events after it are lost or no longer kept.
var ErrGap = errors.New("history cannot be continued from this position")

// GapError is the error of a read from a position that has been lost.
// It wraps ErrGap.
type GapError struct {
	Channel ChannelID
	// From is the position asked for.
	From Position
	// Oldest is the position of the oldest event that is kept; zero if none is.
	Oldest Position
	// Latest is the channel's latest position. If it is before From, then the
	// answer may be an old one: a store that has lost events since says so with a
	// new epoch.
	Latest Position
}

// Error implements error.
func (e *GapError) Error() string {
	kept := "nothing"
	if !e.Oldest.IsZero() {
		kept = e.Oldest.String() + " and later"
	}
	return fmt.Sprintf("channel %q: %v: asked for %v, kept is %s, the latest is %v", e.Channel.Name, ErrGap, e.From, kept, e.Latest)
}

// Unwrap makes errors.Is(err, ErrGap) true.
func (e *GapError) Unwrap() error { return ErrGap }

// ErrOutcomeUnknown is wrapped by the error of an append of which it is not known
// whether the event was appended, or will be. A retry with the same idempotency key
// returns the first position if it was.
var ErrOutcomeUnknown = errors.New("outcome of the append is unknown")

// Errors of appends with an idempotency key. They come wrapped, and after them the
// caller knows that its event was not appended.
var (
	// ErrKeyReused says that the key was used for another request.
	ErrKeyReused = errors.New("idempotency key was used for another request")
	// ErrKeyInFlight says that an append with the same key has not ended yet. A
	// retry after it has ended gets its outcome.
	ErrKeyInFlight = errors.New("request with the same idempotency key is in flight")
)

// KeyReusedError refuses an append whose idempotency key was used for another request.
// It wraps ErrKeyReused.
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
