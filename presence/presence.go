// Package presence tracks, for one node, the members of channels and the users who are
// online, over a storage.Presence that any number of nodes may share.
//
// It neither decides who may join nor sends anything to clients: the broker does both,
// and is called for each change in the order of the changes.
//
//	tracker := presence.NewTracker(store, "node-1")
//	err := tracker.Join(ctx, channel, socketID, member, 100, func(first bool, members []presence.Member) { … })
package presence

import (
	"context"
	"errors"
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/carillon-rt/carillon/internal/keylock"
	"github.com/carillon-rt/carillon/storage"
)

// Member is a user on a presence channel.
type Member = storage.Member

// Departure says that a connection left a channel.
type Departure = storage.Departure

// Tracker joins connections of one node to channels and takes them away again.
// The changes of one channel happen one after another, each together with what
// the caller does about it. All methods are safe for concurrent use.
type Tracker struct {
	store storage.Presence
	node  string
	seed  maphash.Seed

	// order puts the changes of each channel into one order; it is held while the
	// store is asked and a caller's callback runs. A store that hangs holds up no
	// other channel.
	order keylock.Locks[orderKey]

	// shared is nil on a store that nobody else uses, and that ends with the process.
	shared *shared

	mu      sync.Mutex
	pending map[pendingKey]*pendingLeave // guarded by mu
	failed  int                          // guarded by mu: how many of pending have failed before
	closed  bool                         // guarded by mu
	leaving sync.WaitGroup
}

// NewTracker returns a tracker for the connections of the named node.
//
// Where the store is shared, or outlives the process, Share is to be called next.
func NewTracker(store storage.Presence, node string) *Tracker {
	return &Tracker{store: store, node: node, seed: maphash.MakeSeed(), pending: make(map[pendingKey]*pendingLeave)}
}

// orderKey is what has an order of changes: a channel or, since the users of an
// app who are online are a channel without a name, one of those users.
type orderKey struct {
	channel storage.ChannelID
	userID  string // empty on a channel with a name
}

// orderOf returns the key of a channel's order, and its hash.
func (t *Tracker) orderOf(ch storage.ChannelID, userID string) (orderKey, uint64) {
	key, name := orderKey{channel: ch}, ch.Name
	if name == "" {
		key.userID, name = userID, userID
	}
	return key, maphash.String(t.seed, name)
}

// lock takes the order of a channel's changes, and fails only if ctx ends.
func (t *Tracker) lock(ctx context.Context, ch storage.ChannelID, userID string) (*keylock.Lock[orderKey], error) {
	key, hash := t.orderOf(ch, userID)
	return t.order.Lock(ctx, hash, key)
}

// changing reports whether somebody holds the order of a channel's changes.
func (t *Tracker) changing(ch storage.ChannelID, userID string) bool {
	key, hash := t.orderOf(ch, userID)
	return t.order.Held(hash, key)
}

// Join adds a connection of m to the channel and calls joined before any other change
// of the channel on this node: with whether the user is new there and, on a named
// channel, all members, m included. max above 0 bounds the members; see
// storage.Presence. If joined or the store returns an error, the connection is taken
// away again before it can be seen on this node, and Join returns the error. joined is
// not called when the store fails, and must not call the tracker.
func (t *Tracker) Join(ctx context.Context, ch storage.ChannelID, conn string, m Member, max int, joined func(first bool, members []Member) error) error {
	order, err := t.lock(ctx, ch, m.UserID)
	if err != nil {
		return err
	}
	defer order.Unlock()
	c := storage.Connection{Node: t.node, ID: conn}
	if t.isUnwanted(pendingKey{ch, conn}) {
		// Or the store would not say that the user is new.
		if _, err := t.store.Leave(ctx, ch, c); err != nil {
			return err
		}
	}
	opts := storage.JoinOptions{MaxMembers: max, Members: ch.Name != ""}
	s := t.shared
	var v *view
	if s != nil {
		if err := s.lease(ctx); err != nil {
			return err
		}
		if v = s.view(ch, true); v != nil {
			opts.Known = v.revision
			defer s.forget(v) // if this is the first, and fails
		}
	}
	out, err := t.store.Join(ctx, ch, c, m, opts)
	if errors.Is(err, storage.ErrMemberLimit) {
		return err
	}
	if err == nil {
		t.cancel(pendingKey{ch, conn})
		members := out.Members
		if v != nil {
			members = s.joining(v, m, out)
		}
		err = joined(out.First, members)
	}
	if err != nil {
		return t.undo(ctx, ch, c, m.UserID, err)
	}
	if s != nil {
		s.joined(v, c, ch, m, out)
	}
	return nil
}

// Members returns the members of a channel in the order they joined.
func (t *Tracker) Members(ctx context.Context, ch storage.ChannelID) ([]Member, error) {
	roster, err := t.store.Members(ctx, ch)
	return roster.Members, err
}

// Counts returns the number of members on each channel, at its index.
func (t *Tracker) Counts(ctx context.Context, channels []storage.ChannelID) ([]int, error) {
	counts, err := t.store.Counts(ctx, channels)
	if err != nil {
		return nil, err
	}
	numbers := make([]int, len(counts))
	for i, c := range counts {
		numbers[i] = c.Members
	}
	return numbers, nil
}

// Online returns those of userIDs that are online in the app, and those that
// are not, each in the order given.
func (t *Tracker) Online(ctx context.Context, app string, userIDs []string) (online, offline []string, err error) {
	are, err := t.store.AreMembers(ctx, storage.ChannelID{App: app}, userIDs)
	if err != nil {
		return nil, nil, err
	}
	for i, id := range userIDs {
		if are[i] {
			online = append(online, id)
		} else {
			offline = append(offline, id)
		}
	}
	return online, offline, nil
}

// Observe calls seen with whether each of the users is online in the app, in their
// order, and asks the store once for all. The caller has to be told of these users'
// changes since before the call: what it is told of a user until seen is called is
// newer than what seen says, and so is what it is told from then on. seen is called
// before any other change of the user on this node; it must not call the tracker, and
// after an error it is not called for all.
func (t *Tracker) Observe(ctx context.Context, app string, userIDs []string, seen func(userID string, online bool)) error {
	ch := storage.ChannelID{App: app}
	t.shared.asking(app, userIDs)
	online, err := t.store.AreMembers(ctx, ch, userIDs)
	t.shared.answered(app, userIDs, online)
	if err != nil {
		return err
	}
	for i, id := range userIDs {
		// Whatever the store took before it answered has been told now.
		order, err := t.lock(ctx, ch, id)
		if err != nil {
			return err
		}
		seen(id, t.shared.lastTold(app, id, online[i]))
		order.Unlock()
	}
	return nil
}

// LastSeen returns when the user was last on the channel; see storage.Presence.
func (t *Tracker) LastSeen(ctx context.Context, ch storage.ChannelID, userID string) (time.Time, error) {
	seen, err := t.store.LastSeen(ctx, ch, []string{userID})
	if err != nil {
		return time.Time{}, err
	}
	return seen[0], nil
}

// closers is how many leaves Close asks the store for at a time.
const closers = 64

// Close carries out every leave that still waits for its grace to end, several
// at a time, and returns when none is left. Later leaves happen at once.
func (t *Tracker) Close(ctx context.Context) {
	if t.shared != nil {
		t.shared.telling.Wait()
	}
	t.mu.Lock()
	t.closed = true
	waiting := slices.Collect(maps.Values(t.pending))
	t.mu.Unlock()
	var closing sync.WaitGroup
	next := make(chan *pendingLeave)
	for range min(closers, len(waiting)) {
		closing.Go(func() {
			for p := range next {
				t.leave(ctx, p)
			}
		})
	}
	for _, p := range waiting {
		next <- p
	}
	close(next)
	closing.Wait()
	t.leaving.Wait()
	t.shared.close()
}
