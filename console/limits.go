package console

import (
	"time"

	"github.com/carillon-rt/carillon/broker"
)

// Limits bound what a console holds in memory and does at once. What does not fit is left
// out, the oldest first, counted, and shown as such.
type Limits struct {
	// Events and EventBytes bound the log: how many entries it has, and how many bytes of
	// texts and data they hold. DataBytes is how much of an event's data is kept.
	Events, EventBytes, DataBytes int
	// IdlePerSecond is how many published and client events go into the log in a second
	// while nobody looks; those of other kinds always do, as far as PerSecond allows.
	IdlePerSecond int
	// PerSecond is how many entries go into the log in a second at most.
	PerSecond int
	// Webhooks and WebhookBytes bound the deliveries of webhooks that are remembered.
	Webhooks, WebhookBytes int
	// Armed is how many traces may be armed, for at most ArmedTime each. TracedEvents is how
	// many events one remembers, TracedSteps how many steps of sessions for all of them.
	Armed                     int
	ArmedTime                 time.Duration
	TracedEvents, TracedSteps int
	// Viewers is how many streams may be open.
	Viewers int
	// Scans is how many lists may go through all channels or sessions at one time; further
	// ones wait.
	Scans int
}

// DefaultLimits are the limits where WithLimits does not say: about 12 MiB of memory while
// nothing is armed, and up to 10 MiB for each trace that is. Do not change it.
var DefaultLimits = Limits{
	Events: 16_384, EventBytes: 8 << 20, DataBytes: 4 << 10, IdlePerSecond: 50, PerSecond: 100_000,
	Webhooks: 1000, WebhookBytes: 4 << 20,
	Armed: 16, ArmedTime: time.Hour, TracedEvents: 1000, TracedSteps: 65_536,
	Viewers: 16, Scans: 2,
}

// WithLimits sets limits. Those that are 0 are as in DefaultLimits.
func WithLimits(l Limits) Option {
	return func(c *Console) error {
		fields := []struct {
			name string
			n    *int
			is   int
		}{
			{"Events", &l.Events, DefaultLimits.Events}, {"EventBytes", &l.EventBytes, DefaultLimits.EventBytes},
			{"DataBytes", &l.DataBytes, DefaultLimits.DataBytes}, {"IdlePerSecond", &l.IdlePerSecond, DefaultLimits.IdlePerSecond},
			{"PerSecond", &l.PerSecond, DefaultLimits.PerSecond},
			{"Webhooks", &l.Webhooks, DefaultLimits.Webhooks}, {"WebhookBytes", &l.WebhookBytes, DefaultLimits.WebhookBytes},
			{"Armed", &l.Armed, DefaultLimits.Armed}, {"TracedEvents", &l.TracedEvents, DefaultLimits.TracedEvents},
			{"TracedSteps", &l.TracedSteps, DefaultLimits.TracedSteps}, {"Viewers", &l.Viewers, DefaultLimits.Viewers},
			{"Scans", &l.Scans, DefaultLimits.Scans},
		}
		for _, f := range fields {
			if *f.n < 0 {
				return &broker.FieldError{Field: "limits." + f.name, Problem: "is negative"}
			}
			if *f.n == 0 {
				*f.n = f.is
			}
		}
		if l.ArmedTime < 0 {
			return &broker.FieldError{Field: "limits.ArmedTime", Problem: "is negative"}
		}
		if l.ArmedTime == 0 {
			l.ArmedTime = DefaultLimits.ArmedTime
		}
		c.limits = l
		return nil
	}
}
