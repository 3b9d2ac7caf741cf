package transport

import (
	"fmt"
	"log/slog"
	"runtime/debug"
)

// PanicError is the error for a Receiver that has panicked: Closed gets it when Receive
// has, and DeliverClosed returns it when Closed has.
type PanicError struct {
	// Value is what panic was called with, Stack where.
	Value any
	Stack []byte
}

// Error implements error.
func (e *PanicError) Error() string { return fmt.Sprintf("receiver panicked: %v", e.Value) }

// Deliver calls r.Receive with a message. If that panics, it returns a
// *PanicError: the transport then closes the connection with StatusInternal and
// hands the error to Closed, and the program with all its other connections goes
// on.
func Deliver(r Receiver, data []byte) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	r.Receive(data)
	return nil
}

// DeliverClosed calls r.Closed. A panic is recovered, logged with slog.Default, and
// returned as a *PanicError, for the transport to count.
func DeliverClosed(r Receiver, code int, err error) (panicked error) {
	defer func() {
		if v := recover(); v != nil {
			p := &PanicError{Value: v, Stack: debug.Stack()}
			slog.Default().Error("receiver panicked in Closed", "panic", v, "stack", string(p.Stack))
			panicked = p
		}
	}()
	r.Closed(code, err)
	return nil
}

// DeliverGone calls r.Gone if r is a Watcher. r may be nil.
func DeliverGone(r Receiver) {
	if w, ok := r.(Watcher); ok {
		w.Gone()
	}
}
