// Package contain calls code of others, such as a store, so that the caller survives
// its panics and hangs: a panic becomes an error, and a call that takes too long is
// left running on its own goroutine.
//
//	calls := contain.New(10 * time.Second)
//	page, err := contain.Call(ctx, calls, func(ctx context.Context) (Page, error) { return store.Read(ctx, …) })
package contain

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// MaxAbandoned is how many calls may have been left behind and not have come back
// yet. Beyond it further ones fail at once: each holds a goroutine.
const MaxAbandoned = 1024

var (
	// ErrUnfinished is wrapped by the errors of calls that were begun, and of which
	// nobody knows what they have done: left behind, or ended by a panic.
	ErrUnfinished = errors.New("call was not finished")
	// ErrStuck says that a call was not made, since MaxAbandoned others hang.
	ErrStuck = errors.New("too many calls hang")
	// errExited is the error of a call that ended its goroutine.
	errExited = fmt.Errorf("%w: its goroutine has ended", ErrUnfinished)
)

// TimeoutError says that a call took too long. It wraps ErrUnfinished.
type TimeoutError struct{ Limit time.Duration }

// Error implements error.
func (e *TimeoutError) Error() string { return fmt.Sprintf("no answer within %v", e.Limit) }

// Unwrap makes errors.Is(err, ErrUnfinished) true.
func (e *TimeoutError) Unwrap() error { return ErrUnfinished }

// PanicError is what a call has panicked with. It wraps ErrUnfinished.
type PanicError struct {
	Value any
	Stack []byte
}

// Error implements error.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap makes errors.Is(err, ErrUnfinished) true.
func (e *PanicError) Unwrap() error { return ErrUnfinished }

// Panic is the error of a panic with v, to be made where it was recovered.
func Panic(v any) *PanicError { return &PanicError{Value: v, Stack: debug.Stack()} }

// Recover, when deferred, turns a panic into a *PanicError.
func Recover(err *error) {
	if v := recover(); v != nil {
		*err = Panic(v)
	}
}

// Calls are the calls of one piece of code. They are safe for concurrent use.
type Calls struct {
	timeout   time.Duration
	abandoned atomic.Int64
	deadline  atomic.Pointer[deadline]
}

// New returns calls that may take that long each.
func New(timeout time.Duration) *Calls { return &Calls{timeout: timeout} }

// What has become of a call.
const (
	running = iota
	returned
	abandoned
)

// Call calls f on a goroutine of its own, since only that can be left behind. It
// returns what f returns; or when ctx has ended or the time is over, whatever f
// does then.
func Call[T any](ctx context.Context, c *Calls, f func(context.Context) (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if c.abandoned.Load() >= MaxAbandoned {
		return none, ErrStuck
	}
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	type outcome struct {
		value T
		err   error
	}
	var state atomic.Int32
	done := make(chan outcome, 1)
	go func() {
		out := outcome{err: errExited}
		defer func() {
			done <- out
			if !state.CompareAndSwap(running, returned) {
				c.abandoned.Add(-1)
			}
		}()
		defer Recover(&out.err)
		out.value, out.err = f(limited)
	}()
	select {
	case out := <-done:
		return out.value, unlessLate(ctx, limited, c.timeout, out.err)
	case <-limited.Done():
	}
	c.abandoned.Add(1)
	if state.CompareAndSwap(running, abandoned) {
		return none, unlessLate(ctx, limited, c.timeout, limited.Err())
	}
	c.abandoned.Add(-1)
	out := <-done
	return out.value, unlessLate(ctx, limited, c.timeout, out.err)
}

// unlessLate says of the end of a context, which ends a call, whose it was.
func unlessLate(ctx, limited context.Context, timeout time.Duration, err error) error {
	ended := limited.Err()
	switch {
	case err == nil, ended == nil, !errors.Is(err, ended):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", ErrUnfinished, err)
	}
	return &TimeoutError{Limit: timeout}
}
