package prometheus

import "fmt"

// Defaults of the options.
const (
	// DefaultMaxApps is how many apps have figures of their own where WithMaxApps does not say.
	DefaultMaxApps = 64
	// DefaultSample is out of how many events one is followed to its sockets where WithSample
	// does not say.
	DefaultSample = 64
)

// Option changes what New makes. One that is not valid makes it fail.
type Option func(*options) error

type options struct {
	maxApps int
	sample  int
}

// OptionError says which option makes no sense.
type OptionError struct {
	// Option is its name, such as "max apps", and Value what it was given.
	Option string
	Value  int
}

// Error implements error.
func (e *OptionError) Error() string {
	return fmt.Sprintf("prometheus: %s of %d: less than %d", e.Option, e.Value, 1)
}

// WithMaxApps sets how many apps have figures of their own, the first that anything is
// observed of; the default is DefaultMaxApps. All further share those of the app "other",
// and carillon_app_overflow_total counts what is put there.
func WithMaxApps(n int) Option {
	return func(o *options) error {
		if n < 1 {
			return &OptionError{"max apps", n}
		}
		o.maxApps = n
		return nil
	}
}

// WithSample sets out of how many events one is followed to its sockets, for
// carillon_fan_out_duration_seconds; the default is DefaultSample, 1 follows all.
func WithSample(every int) Option {
	return func(o *options) error {
		if every < 1 {
			return &OptionError{"sample", every}
		}
		o.sample = every
		return nil
	}
}
