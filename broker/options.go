package broker

import (
	"log/slog"
	"slices"
	"time"

	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/transport"
)

// Option configures a broker. An option that is not valid makes New fail.
type Option func(*Broker) error

// WithChannelRules sets how channels behave, by the pattern of their names. The first
// rule that matches a channel decides all of it. Given again, it replaces the
// rules from before.
func WithChannelRules(rules ...ChannelRule) Option {
	return func(b *Broker) error {
		for i := range rules {
			if err := rules[i].check(i); err != nil {
				return err
			}
		}
		b.rules = nil
		if len(rules) > 0 {
			b.rules = newRuleSet(slices.Clone(rules))
		}
		return nil
	}
}

// WithHooks adds a set of hooks. It may be given several times; the sets are
// asked in that order.
func WithHooks(h Hooks) Option {
	return func(b *Broker) error {
		b.AddHooks(h)
		return nil
	}
}

// WithObserver tells an observer of what the broker does: for metrics, traces and the
// console. It may be given several times; all are told, in that order.
func WithObserver(o Observer) Option {
	return func(b *Broker) error { return b.AddObserver(o) }
}

// WithRateLimits sets rate limits on connections, subscriptions, client events, publishes
// and sign-ins. The limits of an app, such as its client events per second, apply as
// well.
func WithRateLimits(rules *ratelimit.Rules) Option {
	return func(b *Broker) error {
		if rules == nil {
			return &FieldError{Field: "rate limits", Problem: "is nil"}
		}
		b.rateLimits.rules = rules
		return nil
	}
}

// WithHistory keeps events in the given store. The default is storage/memory.
func WithHistory(h storage.History) Option {
	return func(b *Broker) error {
		if h == nil {
			return &FieldError{Field: "history", Problem: "is nil"}
		}
		b.history = h
		return nil
	}
}

// WithPresence keeps members and users who are online in the given store. The
// default is storage/memory.
//
// On a store whose storage.Capabilities say that it is shared or durable, brokers see
// each other's members and tell their own clients of them: at once if the store
// notifies, else within a second. Hooks are told of each change by one of them. The
// members of a broker whose process was killed leave within 30 s.
func WithPresence(p storage.Presence) Option {
	return func(b *Broker) error {
		if p == nil {
			return &FieldError{Field: "presence", Problem: "is nil"}
		}
		b.presenceStore = p
		return nil
	}
}

// WithStoreTimeout sets how long one call of a store may take; the default is
// DefaultStoreTimeout. A call that takes longer fails with a *StoreTimeoutError, even
// if the store ignores its context and goes on. storage/memory, which never waits, has
// no time-out. The look-ups of apps in package pusher have the same time-out. Appends to
// a store that promises storage.Capabilities.PromptAppends may take a sixteenth longer.
func WithStoreTimeout(d time.Duration) Option {
	return func(b *Broker) error {
		if d <= 0 {
			return &FieldError{Field: "store timeout", Value: d.String(), Problem: "is not positive"}
		}
		b.storeTimeout = d
		return nil
	}
}

// WithLogger sets where the broker logs what goes wrong. The default is
// slog.Default.
func WithLogger(log *slog.Logger) Option {
	return func(b *Broker) error {
		if log == nil {
			return &FieldError{Field: "logger", Problem: "is nil"}
		}
		b.log = log
		return nil
	}
}

// DefaultMaxEventBytes is how large an event's data may be where
// WithMaxEventBytes does not say. The HTTP API of package pusher has its own,
// lower limit.
const DefaultMaxEventBytes = 1 << 20

// WithMaxEventBytes sets how many bytes an event's data may have, whoever publishes it;
// the default is DefaultMaxEventBytes. The encoded event has to fit into half of the
// smallest queue of a handler's transports as well, which is 2 MiB by default: encoding
// makes text that consists of quotes or control characters up to seven times as long.
func WithMaxEventBytes(n int) Option {
	return func(b *Broker) error {
		if n < 1 {
			return &FieldError{Field: "max event bytes", Problem: "is not positive"}
		}
		b.maxEventBytes = n
		return nil
	}
}

// WithQueueBudget bounds what the queues of all connections and the buffers of all
// in-process subscriptions hold together, in bytes; what many of them wait to send
// counts once. Over it, those that hold most are cut off: see transport.Budget. The
// default is a quarter of GOMEMLIMIT or, without that, of the memory of the
// container or the machine.
func WithQueueBudget(bytes int64) Option {
	return func(b *Broker) error {
		if bytes < 1 {
			return &FieldError{Field: "queue budget", Problem: "is not positive"}
		}
		b.budget = transport.NewBudget(bytes)
		return nil
	}
}

// WithDrainWindow sets the time over which Shutdown spreads the closing of
// sessions, so that their clients do not all reconnect at once. By default it is
// one millisecond a session, at most MaxDrainWindow. Shutdown takes at most half
// of its context's time for it.
func WithDrainWindow(d time.Duration) Option {
	return func(b *Broker) error {
		if d < 0 {
			return &FieldError{Field: "drain window", Problem: "is negative"}
		}
		b.drainWindow = &d
		return nil
	}
}

// WithNode names the broker in the presence store, for people who read that; the
// default is "node". Brokers may have the same name: each adds a random ending, so that
// a restarted process is not taken for the one before it, whose members have left.
func WithNode(name string) Option {
	return func(b *Broker) error {
		if name == "" {
			return &FieldError{Field: "node", Problem: "is empty"}
		}
		b.name = name
		return nil
	}
}

// WithAmendmentNames sets the names of the events that announce amendments. The default
// is DefaultAmendmentNames. Three different names are needed, as an event may have them.
func WithAmendmentNames(names AmendmentNames) Option {
	return func(b *Broker) error {
		b.names = names
		return names.check()
	}
}
