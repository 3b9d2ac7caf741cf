package memory

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

// Join implements storage.Presence. It keeps m.Info as it is.
func (s *Store) Join(ctx context.Context, ch storage.ChannelID, conn storage.Connection, m storage.Member, opts storage.JoinOptions) (storage.Joined, error) {
	if err := ctx.Err(); err != nil {
		return storage.Joined{}, err
	}
	r := s.lockRoster(ch, true)
	joined, err := s.join(r, conn, m, opts)
	s.unlockRoster(r)
	if joined.First && s.changes.wanted() {
		s.changes.tell(storage.PresenceChange{Channel: ch, Member: m, Joined: true, Count: joined.Count,
			Revision: joined.Revision, Prev: joined.Prev, Time: time.Now()})
	}
	return joined, err
}

// join adds a connection, unless the channel is full. The caller holds r.mu.
func (s *Store) join(r *roster, conn storage.Connection, m storage.Member, opts storage.JoinOptions) (storage.Joined, error) {
	joined := storage.Joined{Prev: r.revision}
	if _, there := r.conns[conn]; !there {
		if limit := opts.MaxMembers; r.users[m.UserID] == nil && limit > 0 && len(r.users) >= limit {
			return storage.Joined{}, &storage.MemberLimitError{Channel: r.id, Limit: limit}
		}
		s.node(conn.Node).conns.Add(1)
		if joined.First = r.join(conn, m); joined.First {
			s.changed(r, m, true, time.Time{})
		}
	}
	joined.Count, joined.Revision = len(r.users), r.revision
	if opts.Members && (opts.Known.IsZero() || opts.Known != joined.Prev) {
		joined.Members = r.members()
	}
	return joined, nil
}

// Leave implements storage.Presence.
func (s *Store) Leave(ctx context.Context, ch storage.ChannelID, conn storage.Connection) (storage.Departure, error) {
	if err := ctx.Err(); err != nil {
		return storage.Departure{}, err
	}
	r := s.lockRoster(ch, false)
	if r == nil {
		return storage.Departure{}, nil
	}
	d := s.leave(r, conn)
	s.unlockRoster(r)
	s.tellDeparture(d)
	return d, nil
}

// leave takes a connection away. The caller holds r.mu.
func (s *Store) leave(r *roster, conn storage.Connection) storage.Departure {
	m := r.conns[conn]
	if m == nil {
		return storage.Departure{}
	}
	s.disconnect(r, conn, m)
	if m.conns == 0 {
		return s.depart(r, m, time.Now())
	}
	return storage.Departure{Channel: r.id, Member: m.Member, Count: len(r.users), Revision: r.revision, Prev: r.revision, Time: time.Now()}
}

func (s *Store) tellDeparture(d storage.Departure) {
	if d.Last && s.changes.wanted() {
		s.changes.tell(d.Change())
	}
}

// Members implements storage.Presence.
func (s *Store) Members(ctx context.Context, ch storage.ChannelID) (storage.Roster, error) {
	if err := ctx.Err(); err != nil {
		return storage.Roster{}, err
	}
	r, revision := s.lockOrRevision(ch)
	if r == nil {
		return storage.Roster{Revision: revision}, nil
	}
	defer s.unlockRoster(r)
	return storage.Roster{Members: r.members(), Revision: r.revision}, nil
}

// Changes implements storage.Presence. Unless the store is shared it remembers no
// change.
func (s *Store) Changes(ctx context.Context, ch storage.ChannelID, since storage.Position) ([]storage.PresenceChange, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r, revision := s.lockOrRevision(ch)
	if r == nil {
		if since == revision {
			return nil, nil
		}
		return nil, &storage.GapError{Channel: ch, From: since, Latest: revision}
	}
	defer s.unlockRoster(r)
	if since == r.revision {
		return nil, nil
	}
	for i, c := range r.log {
		if c.Prev == since {
			return slices.Clone(r.log[i:]), nil
		}
	}
	return nil, &storage.GapError{Channel: ch, From: since, Latest: r.revision}
}

// Counts implements storage.Presence.
func (s *Store) Counts(ctx context.Context, channels []storage.ChannelID) ([]storage.Count, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	counts := make([]storage.Count, len(channels))
	for i, ch := range channels {
		r, revision := s.lockOrRevision(ch)
		if r == nil {
			counts[i].Revision = revision
			continue
		}
		counts[i] = storage.Count{Members: len(r.users), Revision: r.revision}
		s.unlockRoster(r)
	}
	return counts, nil
}

// AreMembers implements storage.Presence.
func (s *Store) AreMembers(ctx context.Context, ch storage.ChannelID, userIDs []string) ([]bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	are := make([]bool, len(userIDs))
	if r := s.lockRoster(ch, false); r != nil {
		defer s.unlockRoster(r)
		for i, id := range userIDs {
			are[i] = r.users[id] != nil
		}
	}
	return are, nil
}

// Renew implements storage.Presence. A node takes about 100 bytes for the life
// of the store, so that a connection which joins after its node's lease has
// ended expires as well.
func (s *Store) Renew(ctx context.Context, node string, lease time.Duration) (held bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	now, n := s.now(), s.node(node)
	held = n.leased.Load() && !n.ended(now)
	n.end.Store(int64(after(now, max(lease, 0))))
	n.leased.Store(true)
	return held, nil
}

// Expire implements storage.Presence. Unless a node with connections has let its
// lease end, it looks at the nodes only.
func (s *Store) Expire(ctx context.Context) ([]storage.Departure, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	now := s.now()
	ended := make(map[string]*node)
	s.nodes.Range(func(name string, n *node) bool {
		if n.ended(now) && n.conns.Load() > 0 {
			ended[name] = n
		}
		return true
	})
	if len(ended) == 0 {
		return nil, nil
	}
	var departures []storage.Departure
	s.rosters.Range(func(_ storage.ChannelID, r *roster) bool {
		departures = s.expireRoster(r, ended, now, departures)
		return true
	})
	for _, d := range departures {
		s.tellDeparture(d)
	}
	return departures, nil
}

// expireRoster takes the connections of nodes whose lease has ended from one
// channel, and appends the members who leave with them, in the order they joined.
func (s *Store) expireRoster(r *roster, ended map[string]*node, now time.Duration, departures []storage.Departure) []storage.Departure {
	r.mu.Lock()
	defer s.unlockRoster(r)
	left := false
	for conn, m := range r.conns {
		// Asked again for each connection: the node may have come back.
		if n := ended[conn.Node]; n != nil && n.ended(now) {
			s.disconnect(r, conn, m)
			left = left || m.conns == 0
		}
	}
	if !left {
		return departures
	}
	at := time.Now()
	for m := r.first; m != nil; {
		next := m.next
		if m.conns == 0 {
			departures = append(departures, s.depart(r, m, at))
		}
		m = next
	}
	return departures
}

// LastSeen implements storage.Presence.
func (s *Store) LastSeen(ctx context.Context, ch storage.ChannelID, userIDs []string) ([]time.Time, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	seen := make([]time.Time, len(userIDs))
	r := s.lockRoster(ch, false)
	if r != nil {
		defer s.unlockRoster(r)
	}
	for i, id := range userIDs {
		if r == nil || r.users[id] == nil {
			seen[i] = s.seen.get(seenKey{ch, id})
		}
	}
	return seen, nil
}

// disconnect takes a connection away from its member. The caller holds r.mu and
// sees to a member who has no other.
func (s *Store) disconnect(r *roster, conn storage.Connection, m *member) {
	delete(r.conns, conn)
	m.conns--
	s.node(conn.Node).conns.Add(-1)
}

// depart removes a member without connections. The caller holds r.mu.
func (s *Store) depart(r *roster, m *member, at time.Time) storage.Departure {
	r.remove(m)
	s.seen.record(seenKey{r.id, m.UserID}, at)
	d := storage.Departure{Channel: r.id, Member: m.Member, Last: true, Count: len(r.users), Prev: r.revision, Time: at}
	s.changed(r, m.Member, false, at)
	d.Revision = r.revision
	return d
}

// changed gives a channel that has changed its next revision. The caller holds
// r.mu.
func (s *Store) changed(r *roster, m storage.Member, joined bool, at time.Time) {
	prev := r.revision
	// Of all channels together: one that nobody is on need not be remembered for
	// its revisions to rise.
	r.revision = storage.Position{Epoch: s.started, Offset: s.revision.Add(1)}
	if !s.shared {
		return
	}
	if joined {
		at = time.Now()
	}
	if len(r.log) == 2*storage.FillEvents {
		r.log = slices.Clone(r.log[storage.FillEvents:])
	}
	r.log = append(r.log, storage.PresenceChange{Channel: r.id, Member: m, Joined: joined, Count: len(r.users),
		Revision: r.revision, Prev: prev, Time: at})
}

// node is what is known of a node.
type node struct {
	conns  atomic.Int64 // connections on all channels
	leased atomic.Bool
	end    atomic.Int64 // when the lease ends, on the store's clock, if leased
}

func (n *node) ended(now time.Duration) bool {
	return n.leased.Load() && int64(now) >= n.end.Load()
}

func (s *Store) node(name string) *node {
	if n, ok := s.nodes.Load(name); ok {
		return n
	}
	n, _ := s.nodes.LoadOrStore(name, new(node))
	return n
}
