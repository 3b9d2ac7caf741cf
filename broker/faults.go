package broker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage"
)

// refusal counts a refusal, and hides from the client what it is not told.
func (b *Broker) refusal(err error) error {
	b.stats.refused.Add(1)
	for _, known := range [...]error{ErrRefused, ErrInvalid, ratelimit.ErrLimited, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return err
		}
	}
	b.log.Error("hook failed", "error", err)
	return fmt.Errorf("%w: %w", ErrRefused, &RefusedError{Status: 500, Message: "internal error"})
}

// storeFailed counts and logs what a store could not do.
func (b *Broker) storeFailed(what string, ch storage.ChannelID, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	b.stats.storeErrors.Add(1)
	b.log.Error("store failed", "operation", what, "channel", ch.String(), "error", err)
	return fmt.Errorf("%s of channel %q: %w", what, ch.Name, err)
}

// guard calls f and turns a panic of the program's own code into a log line, so
// that one hook cannot end the process for every client.
func (b *Broker) guard(what string, f func()) {
	defer func() {
		if p := recover(); p != nil {
			b.panicked(what, p)
		}
	}()
	f()
}

// panicked counts a panic of the program's own code, and logs where it was.
func (b *Broker) panicked(what string, p any) {
	b.stats.hookPanics.Add(1)
	b.log.Error("panic in "+what, "panic", p, "stack", string(debug.Stack()))
}

// caught, when deferred, turns a panic of the program's own code into a refusal
// that tells the client nothing.
func (b *Broker) caught(what string, err *error) {
	if p := recover(); p != nil {
		b.panicked(what, p)
		*err = Refuse(500, "internal error")
	}
}
