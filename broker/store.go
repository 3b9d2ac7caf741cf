package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/carillon-rt/carillon/internal/contain"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
)

// DefaultStoreTimeout is how long a call of a store may take where
// WithStoreTimeout does not say.
const DefaultStoreTimeout = 10 * time.Second

// StoreTimeoutError is the error of a call that its store has not answered in time. The
// call may succeed later all the same; the error of an append wraps
// storage.ErrOutcomeUnknown as well.
type StoreTimeoutError struct {
	// Operation is what was asked for, such as "history append".
	Operation string
	// Limit is the broker's, see WithStoreTimeout.
	Limit time.Duration
}

// Error implements error.
func (e *StoreTimeoutError) Error() string {
	return fmt.Sprintf("%s: no answer from the store within %v", e.Operation, e.Limit)
}

// Unwrap makes the tracker of presence see that the call goes on.
func (e *StoreTimeoutError) Unwrap() error { return contain.ErrUnfinished }

// storeCalls makes the calls of one store, so that a store which panics, hangs or
// ignores its context fails without harm to its callers.
type storeCalls struct {
	faults *faults
	// calls is nil for a store that never waits. It is called on its caller's
	// goroutine, and costs nothing.
	calls *contain.Calls
	// prompt says that appends return when their context has ended.
	prompt bool
}

func newStoreCalls(f *faults, store any, timeout time.Duration) storeCalls {
	if _, ok := store.(*memory.Store); ok {
		return storeCalls{faults: f}
	}
	return storeCalls{faults: f, calls: contain.New(timeout), prompt: storage.CapabilitiesOf(store).PromptAppends}
}

// operation is what a store is asked for.
type operation string

const (
	opAppend operation = "history append"
	opRead   operation = "history read"
	opLatest operation = "history position"
	opDelete operation = "history delete"

	opJoin       operation = "presence join"
	opLeave      operation = "presence leave"
	opMembers    operation = "presence members"
	opChanges    operation = "presence changes"
	opCounts     operation = "presence count"
	opAreMembers operation = "presence look-up"
	opRenew      operation = "presence renewal"
	opExpire     operation = "presence expiry"
	opLastSeen   operation = "last seen"
)

// callStore makes one call of a store that may block.
func callStore[T any](ctx context.Context, s *storeCalls, op operation, ch ChannelID, f func(context.Context) (T, error)) (T, error) {
	call := s.begin(ctx, op, ch)
	out, err := contain.Call(call.ctx, s.calls, f)
	if err != nil {
		err = s.failed(op, err)
	}
	s.faults.observers.end(&call, err)
	return out, err
}

// begin begins a call, for those who observe it.
func (s *storeCalls) begin(ctx context.Context, op operation, ch ChannelID) storeCall {
	return s.faults.observers.begin(ctx, string(op), ch)
}

// end, when deferred, ends a call of a store that does not block, and turns its panic into
// an error.
func (s *storeCalls) end(call *storeCall, err *error) {
	if p := recover(); p != nil {
		*err = s.failed(operation(call.op), contain.Panic(p))
	}
	s.faults.observers.end(call, *err)
}

// firstOf is what a call for several channels is about.
func firstOf(channels []ChannelID) ChannelID {
	if len(channels) == 0 {
		return ChannelID{}
	}
	return channels[0]
}

// failed counts what should not happen, and says what callers can tell apart.
func (s *storeCalls) failed(op operation, err error) error {
	var panicked *contain.PanicError
	if errors.As(err, &panicked) {
		s.faults.stats.storePanics.Add(1)
		s.faults.log.Error("store panicked", "operation", string(op), "panic", panicked.Value, "stack", string(panicked.Stack))
	}
	unknown := (op == opAppend || op == opAmend) && errors.Is(err, contain.ErrUnfinished)
	var late *contain.TimeoutError
	if errors.As(err, &late) {
		s.faults.stats.storeTimeouts.Add(1)
		err = &StoreTimeoutError{Operation: string(op), Limit: late.Limit}
	}
	if unknown {
		return fmt.Errorf("%w: %w", storage.ErrOutcomeUnknown, err)
	}
	return err
}

func firstAppend(batch []storage.AppendRequest) ChannelID {
	if len(batch) == 0 {
		return ChannelID{}
	}
	return batch[0].Channel
}

// historyCalls is a history whose calls are contained.
type historyCalls struct {
	storeCalls
	store storage.History
}

// Capabilities implements storage.Capable.
func (h *historyCalls) Capabilities() storage.Capabilities { return storage.CapabilitiesOf(h.store) }

// Append implements storage.History.
func (h *historyCalls) Append(ctx context.Context, ch ChannelID, ev *Event, opts storage.AppendOptions) (out storage.Appended, err error) {
	switch {
	case h.calls == nil:
		call := h.begin(ctx, opAppend, ch)
		defer h.end(&call, &err)
		return h.store.Append(call.ctx, ch, ev, opts)
	case h.prompt:
		return h.appendHere(ctx, ch, ev, opts)
	}
	return callStore(ctx, &h.storeCalls, opAppend, ch, func(ctx context.Context) (storage.Appended, error) {
		return h.store.Append(ctx, ch, ev, opts)
	})
}

// appendHere appends to a store that does not outstay the call's context.
func (h *historyCalls) appendHere(ctx context.Context, ch ChannelID, ev *Event, opts storage.AppendOptions) (storage.Appended, error) {
	call := h.begin(ctx, opAppend, ch)
	out, err := contain.CallHere(call.ctx, h.calls, func(ctx context.Context) (storage.Appended, error) {
		return h.store.Append(ctx, ch, ev, opts)
	})
	if err != nil {
		err = h.failed(opAppend, err)
	}
	h.faults.observers.end(&call, err)
	return out, err
}

// Read implements storage.History.
func (h *historyCalls) Read(ctx context.Context, ch ChannelID, opts storage.ReadOptions) (page storage.Page, err error) {
	if h.calls != nil {
		return callStore(ctx, &h.storeCalls, opRead, ch, func(ctx context.Context) (storage.Page, error) {
			return h.store.Read(ctx, ch, opts)
		})
	}
	call := h.begin(ctx, opRead, ch)
	defer h.end(&call, &err)
	return h.store.Read(call.ctx, ch, opts)
}

// AppendBatch implements storage.History.
func (h *historyCalls) AppendBatch(ctx context.Context, batch []storage.AppendRequest) (results []storage.AppendResult) {
	var err error
	defer func() {
		if err != nil {
			results = make([]storage.AppendResult, len(batch))
			for i := range results {
				results[i].Err = err
			}
		}
	}()
	if h.calls != nil {
		results, err = callStore(ctx, &h.storeCalls, opAppend, firstAppend(batch), func(ctx context.Context) ([]storage.AppendResult, error) {
			return h.store.AppendBatch(ctx, batch), nil
		})
		return results
	}
	call := h.begin(ctx, opAppend, firstAppend(batch))
	defer h.end(&call, &err)
	return h.store.AppendBatch(call.ctx, batch)
}

// Latest implements storage.History.
func (h *historyCalls) Latest(ctx context.Context, channels []ChannelID) (latest []Position, err error) {
	if h.calls != nil {
		return callStore(ctx, &h.storeCalls, opLatest, firstOf(channels), func(ctx context.Context) ([]Position, error) {
			return h.store.Latest(ctx, channels)
		})
	}
	call := h.begin(ctx, opLatest, firstOf(channels))
	defer h.end(&call, &err)
	return h.store.Latest(call.ctx, channels)
}

// Delete implements storage.History.
func (h *historyCalls) Delete(ctx context.Context, ch ChannelID) (err error) {
	if h.calls != nil {
		_, err := callStore(ctx, &h.storeCalls, opDelete, ch, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, h.store.Delete(ctx, ch)
		})
		return err
	}
	call := h.begin(ctx, opDelete, ch)
	defer h.end(&call, &err)
	return h.store.Delete(call.ctx, ch)
}

const (
	opTarget operation = "history look-up"
	opAmend  operation = "history amendment"
	opSearch operation = "history search"
)
