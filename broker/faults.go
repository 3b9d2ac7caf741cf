package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage"
)

// faults counts and logs what goes wrong, and says what is told of it.
type faults struct {
	log       *slog.Logger
	stats     stats
	observers observers
}

// refusal counts a refusal, and hides from the client what it is not told.
func (f *faults) refusal(err error) error {
	f.stats.refused.Add(1)
	for _, known := range [...]error{ErrRefused, ErrInvalid, ratelimit.ErrLimited, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return err
		}
	}
	f.log.Error("hook failed", "error", err)
	return fmt.Errorf("%w: %w", ErrRefused, &RefusedError{Status: 500, Message: "internal error"})
}

// storeFailed counts and logs what a store could not do.
func (f *faults) storeFailed(what string, ch storage.ChannelID, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	f.stats.storeErrors.Add(1)
	f.log.Error("store failed", "operation", what, "app", ch.App, "channel", ch.Name, "error", err)
	return fmt.Errorf("%s of channel %q: %w", what, ch.Name, err)
}

// guard makes a call and turns a panic of the program's own code into a log line, so
// that one hook cannot end the process for every client.
func (f *faults) guard(what string, call func()) {
	defer func() {
		if p := recover(); p != nil {
			f.panicked(what, p)
		}
	}()
	call()
}

// panicked counts a panic of the program's own code, and logs where it was.
func (f *faults) panicked(what string, p any) {
	f.stats.hookPanics.Add(1)
	f.log.Error("code of the program panicked", "what", what, "panic", p, "stack", string(debug.Stack()))
	if f.observers.want("", ObserveHookPanicked) {
		f.observers.tell(context.Background(), "", HookPanicked{What: what, Value: p})
	}
}

// observerPanicked counts a panic of an observer, and logs its first.
func (f *faults) observerPanicked(first bool, p any) {
	f.stats.observerPanics.Add(1)
	if first {
		f.log.Error("observer panicked, further panics of it are only counted", "panic", p, "stack", string(debug.Stack()))
	}
}

// caught, when deferred, turns a panic of the program's own code into a refusal
// that tells the client nothing.
func (f *faults) caught(what string, err *error) {
	if p := recover(); p != nil {
		f.panicked(what, p)
		*err = Refuse(500, "internal error")
	}
}
