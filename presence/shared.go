package presence

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

// Sharing holds the functions that a tracker calls for what happens on the store other
// than by its own Join and Leave. None of them may call the tracker.
type Sharing struct {
	// Changed is called for each member who joins or leaves, by another node, a channel
	// that this node has connections on, and for users who are Watched when they come
	// online or go offline. Calls come in the order of the channel's changes, before
	// any other change of it on this node. Hooks for the change are called by the node
	// that made it.
	Changed func(storage.PresenceChange)
	// Joined is called for members who joined again after the lease of this node had
	// ended, and Left for those who left because the lease of their node has ended:
	// each on one node of all. Changed is called for them as well.
	Joined func(storage.PresenceChange)
	Left   func(Departure)
	// Occupied is called, on one node of all, for a channel that has become occupied,
	// or vacant: see Tracker.Occupy.
	Occupied func(ch storage.ChannelID, occupied bool)
	// Watched reports whether a session on this node watches whether a user is online.
	Watched func(app, userID string) bool
	// Failed is called when a call that the tracker makes by itself has failed.
	Failed func(what string, err error)
	// Watch is the store if it can notify; nil if it has to be asked.
	Watch storage.WatchPresence
}

// shared is what a tracker has in addition on a store that other nodes use as well, or
// that outlives the process.
type shared struct {
	Sharing
	t *Tracker

	mu       sync.Mutex
	views    map[storage.ChannelID]*view        // guarded by mu: of channels with a name
	own      map[ownConn]Member                 // guarded by mu: the connections of this node that are to stay
	observed map[string]map[string]presenceTold // guarded by mu: by app, what watchers were last told of each user
	online   map[string]storage.Position        // guarded by mu: the revision of the users online in an app, as far as it was looked at
	heard    heardChanges                       // guarded by mu
	lapses   int                                // guarded by mu: how often the lease was lost since the connections last joined again
	leased   bool                               // guarded by mu
	closed   bool                               // guarded by mu
	occupied map[storage.ChannelID]*occupancy   // guarded by mu
	toTell   []storage.ChannelID                // guarded by mu: those of occupied that the store has to be told of
	tellers  int                                // guarded by mu
	telling  sync.WaitGroup

	ctx     context.Context // ends with Close
	end     context.CancelFunc
	running sync.WaitGroup
}

type ownConn struct {
	channel storage.ChannelID
	conn    string
}

// view is what those who are connected here know of a channel. It is there as long
// as the node has connections on the channel.
type view struct {
	channel  storage.ChannelID
	conns    map[string]struct{} // guarded by the channel's order
	members  []Member            // guarded by the channel's order: in the order they joined
	revision storage.Position    // written under the channel's order and mu; zero until members are known
}

// Share makes the tracker renew a lease on the store, expire those of others, and call
// the functions of s for changes by other nodes, until Close. It is to be called before
// any other method.
func (t *Tracker) Share(s Sharing) {
	ctx, end := context.WithCancel(context.Background())
	t.shared = &shared{Sharing: s, t: t, ctx: ctx, end: end,
		views:    make(map[storage.ChannelID]*view),
		own:      make(map[ownConn]Member),
		observed: make(map[string]map[string]presenceTold),
		online:   make(map[string]storage.Position),
		occupied: make(map[storage.ChannelID]*occupancy),
	}
	t.shared.begin()
}

// view returns what is known of a channel, and nil if nothing is and it is not to
// be made. The caller holds the channel's order.
func (s *shared) view(ch storage.ChannelID, create bool) *view {
	if s == nil || ch.Name == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.views[ch]
	if v == nil && create {
		v = &view{channel: ch, conns: make(map[string]struct{}, 1)}
		s.views[ch] = v
	}
	return v
}

// advance notes up to where a view has been told. The caller holds the channel's
// order.
func (s *shared) advance(v *view, revision storage.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v.revision = revision
}

// joining brings the view up to the moment before a join of this node, and returns
// the members after it. The caller holds the channel's order.
func (s *shared) joining(v *view, m Member, out storage.Joined) []Member {
	if out.Members != nil {
		others := out.Members
		if out.First {
			others = slices.DeleteFunc(slices.Clone(others), func(o Member) bool { return o.UserID == m.UserID })
		}
		s.replace(v, others, out.Prev)
	}
	if !out.First {
		return v.members
	}
	return append(slices.Clone(v.members), m)
}

// joined notes a join of this node that was told. The caller holds the channel's
// order.
func (s *shared) joined(v *view, c storage.Connection, ch storage.ChannelID, m Member, out storage.Joined) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.own[ownConn{ch, c.ID}] = m
	if v == nil {
		if out.First {
			s.ownChange(ch.App, m.UserID, true)
		}
		return
	}
	v.conns[c.ID] = struct{}{}
	if out.First {
		v.members = append(slices.Clip(v.members), m)
		v.revision = out.Revision
	}
}

// leaving notes that a connection does not want to be there any more, whatever the
// store says to that.
func (s *shared) leaving(ch storage.ChannelID, conn string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.own, ownConn{ch, conn})
}

// left notes a leave of this node, and has tell tell of it in its turn. The caller
// holds the channel's order.
func (s *shared) left(ctx context.Context, ch storage.ChannelID, conn string, d Departure, tell func()) {
	if ch.Name == "" && d.Last {
		s.mu.Lock()
		s.ownChange(ch.App, d.Member.UserID, false)
		s.mu.Unlock()
	}
	v := s.view(ch, false)
	if v == nil {
		tell()
		return
	}
	if d.Last {
		s.arrive(ctx, v, d.Change(), tell)
	} else {
		tell()
	}
	delete(v.conns, conn)
	s.forget(v)
}

// forget drops a view if nobody here has it any more. The caller holds the
// channel's order.
func (s *shared) forget(v *view) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.views[v.channel] == v && len(v.conns) == 0 {
		delete(s.views, v.channel)
	}
}

// arrive takes a change in: in its turn, after those that the view has missed. tell
// tells of it; nil if that is for Changed. The caller holds the channel's order.
func (s *shared) arrive(ctx context.Context, v *view, c storage.PresenceChange, tell func()) {
	switch {
	case c.Prev == v.revision:
		s.apply(v, c, tell)
	case !c.Revision.IsZero() && !c.Revision.After(v.revision):
		// It was taken in with others. Who alone knows that it was theirs tells now.
		if tell != nil {
			tell()
		}
	default:
		s.catchUp(ctx, v, c, tell)
	}
}

// catchUp reads what a view has missed, up to c or beyond.
func (s *shared) catchUp(ctx context.Context, v *view, own storage.PresenceChange, tell func()) {
	missed, err := s.t.store.Changes(ctx, v.channel, v.revision)
	if err == nil {
		mine := -1
		for i, c := range missed {
			if tell != nil && isOwn(c, own) {
				mine = i
			}
		}
		for i, c := range missed {
			if i == mine {
				s.apply(v, c, tell)
				tell = nil
			} else {
				s.apply(v, c, nil)
			}
		}
	}
	if tell != nil {
		// Whatever has come between: this node has to tell of it.
		s.change(v, own)
		tell()
	}
	if errors.Is(err, storage.ErrGap) {
		var roster storage.Roster
		if roster, err = s.t.store.Members(ctx, v.channel); err == nil {
			s.replace(v, roster.Members, roster.Revision)
		}
	}
	if err != nil && s.ctx.Err() == nil {
		// The next notification or look at the store tries again.
		s.Failed("presence changes", err)
	}
}

// isOwn reports whether a change is the one that this node has made. Where the
// store's answer was lost, its revision is not known.
func isOwn(c, own storage.PresenceChange) bool {
	if !own.Revision.IsZero() {
		return c.Revision == own.Revision
	}
	return c.Joined == own.Joined && c.Member.UserID == own.Member.UserID
}

// apply takes in the next change of a view.
func (s *shared) apply(v *view, c storage.PresenceChange, tell func()) {
	changed := s.change(v, c)
	s.advance(v, c.Revision)
	if tell != nil {
		tell()
	} else if changed {
		s.tell(c)
	}
}

// tell tells those who are connected here, whom nodes do not concern.
func (s *shared) tell(c storage.PresenceChange) {
	if _, ok := ofNodes(c.Channel); !ok {
		s.Changed(c)
	}
}

// change adds or removes a member, and reports whether that is one.
func (s *shared) change(v *view, c storage.PresenceChange) bool {
	i := slices.IndexFunc(v.members, func(m Member) bool { return m.UserID == c.Member.UserID })
	if c.Joined == (i >= 0) {
		return false
	}
	if c.Joined {
		v.members = append(slices.Clip(v.members), c.Member)
	} else {
		v.members = slices.Concat(v.members[:i], v.members[i+1:])
	}
	return true
}

// replace puts what the store has into a view, and tells of the difference.
func (s *shared) replace(v *view, members []Member, revision storage.Position) {
	if revision.Before(v.revision) {
		return // an old answer
	}
	old := v.members
	v.members = members
	known := !v.revision.IsZero()
	s.advance(v, revision)
	if !known {
		return // nobody has been told anything
	}
	is, was := userIDs(members), userIDs(old)
	now := time.Now()
	change := storage.PresenceChange{Channel: v.channel, Count: len(members), Revision: revision, Prev: revision, Time: now}
	for _, m := range old {
		if !is[m.UserID] {
			change.Member, change.Joined = m, false
			s.tell(change)
		}
	}
	for _, m := range members {
		if !was[m.UserID] {
			change.Member, change.Joined = m, true
			s.tell(change)
		}
	}
}

func userIDs(members []Member) map[string]bool {
	ids := make(map[string]bool, len(members))
	for _, m := range members {
		ids[m.UserID] = true
	}
	return ids
}
