// Package memory keeps history and presence in the memory of the process. It is
// the broker's default, and the fastest store there is.
//
// It is neither durable nor shared between processes: what it keeps ends with the
// process. Use another adapter under storage for either.
//
//	store := memory.New()
//	b, err := broker.New(broker.WithHistory(store), broker.WithPresence(store))
//
// A Store starts no goroutine and needs no Close. What has expired is never
// returned; the memory it takes is given back bit by bit with later appends to
// any channel. Events without an age are kept until Delete, and the position of a
// channel that keeps nothing for as long as WithForgetAfter says.
package memory

import (
	"hash/maphash"
	"math"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v3"

	"github.com/carillon-rt/carillon/storage"
)

var (
	_ storage.History       = (*Store)(nil)
	_ storage.Watch         = (*Store)(nil)
	_ storage.Amend         = (*Store)(nil)
	_ storage.Search        = (*Store)(nil)
	_ storage.Presence      = (*Store)(nil)
	_ storage.WatchPresence = (*Store)(nil)
	_ storage.Capable       = (*Store)(nil)
)

// Store implements storage.History and storage.Presence. Make one with New; all
// methods are safe for concurrent use, and calls for different channels wait for
// each other only for moments, never for one another's work.
type Store struct {
	// start is the zero of the store's clock, which does not jump when the
	// machine's is set.
	start       time.Time
	forgetAfter time.Duration
	shared      bool

	// epoch is that of channels which the store does not know. It is newer than all
	// positions of those that it knew and has forgotten.
	epoch     atomic.Pointer[storage.Epoch]
	histories *xsync.MapOf[storage.ChannelID, *history]
	sweeps    [sweepShards]sweepShard
	commits   watchers[storage.Commit]

	started  storage.Epoch // the epoch of all revisions
	revision atomic.Uint64 // the last that was given
	rosters  *xsync.MapOf[storage.ChannelID, *roster]
	nodes    *xsync.MapOf[string, *node]
	seen     lastSeen
	changes  watchers[storage.PresenceChange]
}

// Option changes how a Store works.
type Option func(*Store)

const (
	// DefaultForgetAfter is how long a channel without events and keys is
	// remembered where WithForgetAfter does not say.
	DefaultForgetAfter = time.Hour
	// DefaultLastSeenLimit is how many departures are remembered where
	// WithLastSeenLimit does not say.
	DefaultLastSeenLimit = 100_000
)

// WithForgetAfter sets how long a channel's position is remembered once its last
// event and idempotency key have expired. What comes after that is of a new
// epoch, so that subscribers are told of a gap although they may have missed
// nothing. The default is DefaultForgetAfter; d of 0 or less forgets a channel
// with the last thing it keeps.
func WithForgetAfter(d time.Duration) Option {
	return func(s *Store) { s.forgetAfter = max(d, 0) }
}

// WithShared says that several brokers of this process use the store, so that each
// asks to be told what the others do. It is for tests of what happens between
// brokers: one process needs one broker.
func WithShared() Option {
	return func(s *Store) { s.shared = true }
}

// WithLastSeenLimit sets how many users' departures are remembered for LastSeen,
// over all channels; the oldest are forgotten first. The default is
// DefaultLastSeenLimit; n of 0 or less remembers none.
func WithLastSeenLimit(n int) Option {
	return func(s *Store) { s.seen.limit = max(n, 0) }
}

// New returns an empty store.
func New(opts ...Option) *Store {
	hash := channelHash()
	s := &Store{
		start:       time.Now(),
		forgetAfter: DefaultForgetAfter,
		histories:   xsync.NewMapOfWithHasher[storage.ChannelID, *history](hash),
		rosters:     xsync.NewMapOfWithHasher[storage.ChannelID, *roster](hash),
		nodes:       xsync.NewMapOf[string, *node](),
	}
	s.started = storage.NewEpoch(storage.Epoch{})
	epoch := s.started
	s.epoch.Store(&epoch)
	s.seen.limit = DefaultLastSeenLimit
	for i := range s.sweeps {
		s.sweeps[i].next.Store(int64(never))
	}
	for _, opt := range opts {
		opt(s)
	}
	return s
}

// channelHash returns a hash of channels. It takes half as long as that of any struct.
func channelHash() func(ch storage.ChannelID, seed uint64) uint64 {
	names, apps := maphash.MakeSeed(), maphash.MakeSeed()
	return func(ch storage.ChannelID, _ uint64) uint64 {
		return maphash.String(names, ch.Name) ^ maphash.String(apps, ch.App)
	}
}

// never is the time on the store's clock that does not come.
const never = time.Duration(math.MaxInt64)

// now returns the time on the store's clock.
func (s *Store) now() time.Duration { return time.Since(s.start) }

// after returns the time d after t, or never if the clock does not reach so far.
func after(t, d time.Duration) time.Duration {
	if d >= never-t {
		return never
	}
	return t + d
}
