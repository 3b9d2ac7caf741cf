// Package option sets what the options of the transports have in common, and fails on
// what makes no sense.
package option

import (
	"fmt"
	"time"

	"github.com/carillon-rt/carillon/transport"
)

// Positive sets *p to v, which must be above 0. The error is a
// *transport.OptionError with the option's name.
func Positive[T int | time.Duration](p *T, name string, v T) error {
	if v <= 0 {
		return invalid(name, v, "is not positive")
	}
	*p = v
	return nil
}

// Seconds sets *p to d, which must be at least a second.
func Seconds(p *time.Duration, name string, d time.Duration) error {
	if d < time.Second {
		return invalid(name, d, "is less than a second")
	}
	*p = d
	return nil
}

// QueueLimits sets the bounds of a queue. One that is 0 stays what it is; none may be
// negative.
func QueueLimits(maxMessages, maxBytes *int, messages, bytes int) error {
	if messages < 0 {
		return invalid("limit of queued messages", messages, "is negative")
	}
	if bytes < 0 {
		return invalid("limit of queued bytes", bytes, "is negative")
	}
	if messages > 0 {
		*maxMessages = messages
	}
	if bytes > 0 {
		*maxBytes = bytes
	}
	return nil
}

func invalid(name string, v any, problem string) error {
	return &transport.OptionError{Option: name, Value: fmt.Sprint(v), Problem: problem}
}
