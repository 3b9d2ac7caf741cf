package transport

import (
	"fmt"
	"runtime/debug"
)

// PanicError is what Receiver.Closed is told when Receive has panicked.
type PanicError struct {
	// Value is what panic was called with, Stack where.
	Value any
	Stack []byte
}

// Error implements error.
func (e *PanicError) Error() string { return fmt.Sprintf("receiver panicked: %v", e.Value) }

// Deliver calls r.Receive with a message. If that panics, it returns a
// *PanicError: the transport then closes the connection with StatusInternal, and
// the program with all its other connections goes on.
func Deliver(r Receiver, data []byte) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	r.Receive(data)
	return nil
}
