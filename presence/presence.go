// Package presence keeps track of who is on a channel and who is online at all,
// on one node, over a storage.Presence that any number of nodes may share.
//
// It decides nothing about who may join and sends nothing to anybody: the
// broker does both, and is told of each change in its order.
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

	"github.com/carillon-rt/carillon/internal/contain"
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

// pendingLeave is a connection that has gone and whose member is still there
// until the grace is over.
type pendingLeave struct {
	pendingKey
	userID string
	left   func(Departure, error)
	failed bool // has been told of an error already
	// userGone says that left was called for another connection since, with the
	// user's departure; guarded by the channel's order.
	userGone bool
	// unwanted says that the connection's join has failed.
	unwanted bool
	timer    *time.Timer
}

// RetryLeave is how long after a store has failed to take a connection away the
// tracker tries again.
const RetryLeave = 10 * time.Second

// maxUnwanted is how many connections may wait to leave for one to be added whose
// join has failed: while a store is down, clients come again and again.
const maxUnwanted = 1 << 16

type pendingKey struct {
	channel storage.ChannelID
	conn    string
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

// lock takes the order of a channel's changes, and fails only if ctx ends.
func (t *Tracker) lock(ctx context.Context, ch storage.ChannelID, userID string) (*keylock.Lock[orderKey], error) {
	key, name := orderKey{channel: ch}, ch.Name
	if name == "" {
		key.userID, name = userID, userID
	}
	return t.order.Lock(ctx, maphash.String(t.seed, name), key)
}

// Join adds a connection of m to the channel and calls joined before any other
// change of the channel on this node: with whether the user is new there and,
// on a named channel, all members, m included. max above 0 bounds the members;
// see storage.Presence. An error of joined or of the store takes the connection
// away again before anybody else sees it on this node, and is Join's. joined is
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

// undo takes away a connection whose join has failed with err: the store may have
// it all the same. Nobody has heard of it. The caller holds the order of the
// channel, and hangs no longer where the store hangs already.
func (t *Tracker) undo(ctx context.Context, ch storage.ChannelID, c storage.Connection, userID string, err error) error {
	later := &pendingLeave{pendingKey: pendingKey{ch, c.ID}, userID: userID,
		left: func(Departure, error) {}, failed: true, unwanted: true}
	if errors.Is(err, contain.ErrUnfinished) && t.leaveLater(later, 0) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), RetryLeave)
	defer cancel()
	_, undone := t.store.Leave(ctx, ch, c)
	if undone != nil {
		t.leaveLater(later, RetryLeave)
	}
	return errors.Join(err, undone)
}

// isUnwanted reports whether a connection is there only because the store failed.
func (t *Tracker) isUnwanted(key pendingKey) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.pending[key]
	return p != nil && p.unwanted
}

// Leave takes the connection of a user from the channel, at once or, with
// a grace, when that time is over: a user who joins again in the meantime has
// never left. left is called before any other change of the channel on this
// node, with the outcome; it must not call the tracker. It is not called where
// the connection itself joins again in the meantime, nor by a second Leave with
// a grace. After an error of the store the member is still there: the tracker tries
// again every RetryLeave until Close, and left is called once more with what comes
// of it. If ctx ends while other changes of the channel are in the way, Leave
// returns, and left is called when its turn has come.
func (t *Tracker) Leave(ctx context.Context, ch storage.ChannelID, userID, conn string, grace time.Duration, left func(Departure, error)) {
	p := &pendingLeave{pendingKey: pendingKey{ch, conn}, userID: userID, left: left}
	if grace > 0 && t.leaveLater(p, grace) {
		return
	}
	order, err := t.lock(ctx, ch, userID)
	if err != nil {
		// Whatever becomes of ctx: who leaves must be told of, in turn.
		if t.leaveLater(p, 0) {
			return
		}
		order, _ = t.lock(context.Background(), ch, userID)
	}
	defer order.Unlock()
	t.leaveNow(ctx, p)
}

// leaveNow asks the store. The caller holds the order of the channel.
func (t *Tracker) leaveNow(ctx context.Context, p *pendingLeave) {
	d, err := t.store.Leave(ctx, p.channel, storage.Connection{Node: t.node, ID: p.conn})
	if err == nil && p.failed && !p.unwanted && d.Member.UserID == "" {
		d, err = t.leftBefore(ctx, p)
	}
	if err == nil {
		if d.Last {
			t.userLeft(p.channel, p.userID)
		}
		if t.shared != nil {
			t.shared.left(ctx, p.channel, p.conn, d, func() { p.left(d, nil) })
		} else {
			p.left(d, nil)
		}
		return
	}
	again := &pendingLeave{pendingKey: p.pendingKey, userID: p.userID, left: p.left, failed: true, unwanted: p.unwanted}
	if !t.leaveLater(again, RetryLeave) || !p.failed {
		p.left(d, err)
	}
}

// leftBefore is the departure of a connection that the store has taken away already,
// with an answer that was an error, or came too late.
func (t *Tracker) leftBefore(ctx context.Context, p *pendingLeave) (Departure, error) {
	are, err := t.store.AreMembers(ctx, p.channel, []string{p.userID})
	if err != nil || are[0] || p.userGone {
		return Departure{}, err
	}
	return Departure{Channel: p.channel, Member: Member{UserID: p.userID}, Last: true, Time: time.Now()}, nil
}

// userLeft notes with the user's other connections that the user has been told to
// be gone.
func (t *Tracker) userLeft(ch storage.ChannelID, userID string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed == 0 {
		return
	}
	for _, p := range t.pending {
		if p.channel == ch && p.userID == userID {
			p.userGone = true
		}
	}
}

func (t *Tracker) leaveLater(p *pendingLeave, after time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || p.unwanted && len(t.pending) >= maxUnwanted {
		return false
	}
	if t.pending[p.pendingKey] != nil {
		return true
	}
	t.pending[p.pendingKey] = p
	if p.failed {
		t.failed++
	}
	t.leaving.Add(1)
	p.timer = time.AfterFunc(after, func() { t.leave(context.Background(), p) })
	return true
}

// leave carries out a leave whose time has come, unless it was taken away.
func (t *Tracker) leave(ctx context.Context, p *pendingLeave) {
	order, _ := t.lock(context.Background(), p.channel, p.userID)
	defer order.Unlock()
	// Under the order of the channel, so that no join comes between.
	if !t.take(p) {
		return
	}
	defer t.leaving.Done()
	p.timer.Stop()
	t.leaveNow(ctx, p)
}

// take makes the caller the one who carries out p.
func (t *Tracker) take(p *pendingLeave) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pending[p.pendingKey] != p {
		return false
	}
	t.forget(p)
	return true
}

// forget takes p out of what is pending. The caller holds mu.
func (t *Tracker) forget(p *pendingLeave) {
	delete(t.pending, p.pendingKey)
	if p.failed {
		t.failed--
	}
}

// cancel keeps a connection that was to leave later.
func (t *Tracker) cancel(key pendingKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.pending[key]; p != nil {
		t.forget(p)
		p.timer.Stop()
		t.leaving.Done()
	}
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

// Observe calls seen with whether the user is online in the app, before any other
// change of that on this node. seen must not call the tracker, and is not called
// after an error.
func (t *Tracker) Observe(ctx context.Context, app, userID string, seen func(online bool)) error {
	ch := storage.ChannelID{App: app}
	order, err := t.lock(ctx, ch, userID)
	if err != nil {
		return err
	}
	defer order.Unlock()
	online, err := t.store.AreMembers(ctx, ch, []string{userID})
	if err == nil {
		seen(online[0])
	}
	if t.shared != nil {
		// After an error, as if offline: it is told if that is wrong.
		t.shared.observe(app, userID, err == nil && online[0])
	}
	return err
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
