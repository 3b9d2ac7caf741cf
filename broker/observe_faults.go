package broker

import (
	"context"
	"time"
)

// StoreCall is a call of a store, that of events or that of members.
type StoreCall struct {
	// Operation is what was asked for: one of the words of StoreTimeoutError.Operation, such
	// as "history append".
	Operation string
	// App and Channel are what it was about; of several channels the first. Channel is empty
	// for the users of an app, and both where it was about all, as for a renewed lease.
	App, Channel string
	// Took is how long it took, waits of the store included.
	Took time.Duration
	// Err is the error, if any; of several appended at once, that of the call as a whole.
	// That a key was used before, a member is one too many, or events are no longer kept,
	// are answers, but come here as errors all the same.
	Err error
}

// HooksDropped are calls of informing hooks that are never made: see Hooks.
type HooksDropped struct {
	// Calls is how many.
	Calls int
}

// HookPanicked is a panic of the program's own code, which was contained.
type HookPanicked struct {
	// What panicked: "hook", "cipher", "rate limit" or the like.
	What string
	// Value is what it panicked with.
	Value any
}

func (StoreCall) kind() ObservationKind    { return ObserveStoreCall }
func (HooksDropped) kind() ObservationKind { return ObserveHooksDropped }
func (HookPanicked) kind() ObservationKind { return ObserveHookPanicked }

// StoreTracer is an optional interface of an Observer: it is told of each call of a store
// before it is made, and may have the call and its end see another context, such as one
// with a span. A tracer that wants no StoreCall by its ObservationFilter is not called, and
// one that was told of a call's start is told of its end.
type StoreTracer interface {
	// StoreStart returns the context of the call. Took and Err of the call are not set.
	StoreStart(ctx context.Context, call StoreCall) context.Context
	// StoreEnd is called with that context, or with one made of it by tracers behind.
	StoreEnd(ctx context.Context, call StoreCall)
}
