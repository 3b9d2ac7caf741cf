package sqlite

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/ncruces/go-sqlite3"
)

const (
	// DefaultQueueEvents and DefaultQueueBytes are how much may wait for the writer
	// where WithQueue does not say.
	DefaultQueueEvents = 16_384
	DefaultQueueBytes  = 64 << 20
	// DefaultBusyTimeout is how long a transaction waits for another where
	// WithBusyTimeout does not say.
	DefaultBusyTimeout = 5 * time.Second
	// DefaultReaders is how many reads run at a time where WithReaders does not say.
	DefaultReaders = 4
	// DefaultForgetAfter is how long a channel without events and keys is remembered
	// where WithForgetAfter does not say.
	DefaultForgetAfter = time.Hour
	// DefaultLastSeenLimit is how many departures are remembered where
	// WithLastSeenLimit does not say.
	DefaultLastSeenLimit = 100_000
)

// Option changes how a Store works. Open fails with an *OptionError if its value makes
// no sense.
type Option func(*config) error

type config struct {
	queueEvents, queueBytes int
	readers                 int
	busy                    time.Duration
	forgetAfter             time.Duration
	lastSeen                int
	otherTables             bool
	search                  bool
	connected               []func(*sqlite3.Conn) error
	log                     *slog.Logger
	erase                   bool
	vfs                     string                      // its name
	now                     func() time.Time            // for tests: another clock
	link                    func(file, as string) error // for tests: of a file system without links
}

func defaults() config {
	return config{
		queueEvents: DefaultQueueEvents,
		queueBytes:  DefaultQueueBytes,
		readers:     DefaultReaders,
		busy:        DefaultBusyTimeout,
		forgetAfter: DefaultForgetAfter,
		lastSeen:    DefaultLastSeenLimit,
		vfs:         spaceName,
		log:         slog.Default(),
		now:         time.Now,
		link:        os.Link,
	}
}

// atLeast refuses a number that is too small.
func atLeast[N int | time.Duration](option, what string, n, least N) error {
	if n < least {
		return &OptionError{Option: option, Reason: fmt.Sprintf("%v %s; want %v at least", n, what, least)}
	}
	return nil
}

// WithQueue sets how many events, and how many bytes of them, may wait for the writer.
// What comes beyond is refused with a *QueueFullError, and not kept. One that is bigger
// than all of the queue is taken if nothing else waits.
func WithQueue(events, bytes int) Option {
	return func(c *config) error {
		c.queueEvents, c.queueBytes = events, bytes
		if err := atLeast("WithQueue", "events", events, 1); err != nil {
			return err
		}
		return atLeast("WithQueue", "bytes", bytes, 1)
	}
}

// WithReaders sets how many connections read at a time; further reads wait for one.
// Each takes about 2 MB of memory once it is in use, and up to 16 MB of pages of a file that
// is larger.
func WithReaders(n int) Option {
	return func(c *config) error {
		c.readers = n
		return atLeast("WithReaders", "readers", n, 1)
	}
}

// WithBusyTimeout sets how long the writer waits for a transaction of another
// connection to end, after which what it was to write fails with an error that wraps
// ErrLocked. 0 does not wait.
func WithBusyTimeout(d time.Duration) Option {
	return func(c *config) error {
		c.busy = d
		return atLeast("WithBusyTimeout", "timeout", d, 0)
	}
}

// WithForgetAfter sets for how long the position of a channel is remembered that keeps
// neither events nor idempotency keys any more. What comes after that is of a new
// epoch, so that subscribers are told of a gap although they may have missed nothing.
func WithForgetAfter(d time.Duration) Option {
	return func(c *config) error {
		c.forgetAfter = d
		return atLeast("WithForgetAfter", "age", d, 0)
	}
}

// WithLastSeenLimit sets how many users' departures are remembered for LastSeen, over
// all channels; the oldest are forgotten first.
func WithLastSeenLimit(n int) Option {
	return func(c *config) error {
		c.lastSeen = n
		return atLeast("WithLastSeenLimit", "departures", n, 0)
	}
}

// WithOtherTables lets Open put its tables into a database that has other tables
// already. Without it such a file is refused with ErrForeign, since a wrong path is
// more likely. A store's file may get other tables at any time.
func WithOtherTables() Option {
	return func(c *config) error {
		c.otherTables = true
		return nil
	}
}

// WithConnected calls f with each connection that DB opens, before it is used: to
// register what the caller's own tables need, such as FTS5 by ext/fts5.Register. An
// error of f is that of whoever needed the connection. f is called concurrently. The
// hooks of commits, rollbacks and the WAL, and the trace, are the store's.
func WithConnected(f func(*sqlite3.Conn) error) Option {
	return func(c *config) error {
		if f == nil {
			return &OptionError{Option: "WithConnected", Reason: "the function is nil"}
		}
		c.connected = append(c.connected, f)
		return nil
	}
}

// WithLogger sets where the store says what has gone wrong in the background, where no call
// can fail for it, such as removing what has expired; the default is slog.Default. The same
// error is logged once until it has passed.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) error {
		if l == nil {
			return &OptionError{Option: "WithLogger", Reason: "the logger is nil"}
		}
		c.log = l
		return nil
	}
}

// WithErasing overwrites whatever leaves the file, the parts of large events included. Without
// it those, which have pages of their own (from about 4 000 bytes of data on), stay readable
// on the disk until the pages are used again. It writes such pages once more when their
// events are removed. It holds for all connections of the store, and so for other tables that
// DB is used for. The WAL has what was removed until the next checkpoint all the same, and the
// index of WithSearch its words until FTS5 merges that part of it.
func WithErasing() Option {
	return func(c *config) error {
		c.erase = true
		return nil
	}
}
