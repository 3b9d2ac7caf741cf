package transport

import "fmt"

// OptionError says which option of a transport is not valid, and why. A transport
// whose options are not valid is not made.
type OptionError struct {
	// Option is what the option sets, as in "read limit".
	Option string
	// Problem says what is wrong, as in "is not positive".
	Problem string
	// Value is what was given; it is empty for what is nil.
	Value string
}

// Error implements error.
func (e *OptionError) Error() string {
	if e.Value == "" {
		return e.Option + " " + e.Problem
	}
	return fmt.Sprintf("%s %s %s", e.Option, e.Value, e.Problem)
}
