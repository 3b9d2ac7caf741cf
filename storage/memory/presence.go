package memory

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

// Join implements storage.Presence. It keeps m.Info as it is.
func (s *Store) Join(ctx context.Context, ch storage.ChannelID, conn storage.Connection, m storage.Member, max int) (first bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	r := s.lockRoster(ch, true)
	defer s.unlockRoster(r)
	if _, there := r.conns[conn]; there {
		return false, nil
	}
	if r.users[m.UserID] == nil && max > 0 && len(r.users) >= max {
		return false, &storage.MemberLimitError{Channel: ch, Limit: max}
	}
	s.node(conn.Node).conns.Add(1)
	return r.join(conn, m), nil
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
	defer s.unlockRoster(r)
	m := r.conns[conn]
	if m == nil {
		return storage.Departure{}, nil
	}
	s.disconnect(r, conn, m)
	d := storage.Departure{Channel: ch, Member: m.Member, Last: m.conns == 0, Time: time.Now()}
	if d.Last {
		s.depart(r, m, d.Time)
	}
	return d, nil
}

// Members implements storage.Presence.
func (s *Store) Members(ctx context.Context, ch storage.ChannelID) ([]storage.Member, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := s.lockRoster(ch, false)
	if r == nil {
		return nil, nil
	}
	defer s.unlockRoster(r)
	members := make([]storage.Member, 0, len(r.users))
	for m := r.first; m != nil; m = m.next {
		members = append(members, m.Member)
	}
	return members, nil
}

// Count implements storage.Presence.
func (s *Store) Count(ctx context.Context, ch storage.ChannelID) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	r := s.lockRoster(ch, false)
	if r == nil {
		return 0, nil
	}
	defer s.unlockRoster(r)
	return len(r.users), nil
}

// IsMember implements storage.Presence.
func (s *Store) IsMember(ctx context.Context, ch storage.ChannelID, userID string) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	r := s.lockRoster(ch, false)
	if r == nil {
		return false, nil
	}
	defer s.unlockRoster(r)
	return r.users[userID] != nil, nil
}

// Renew implements storage.Presence. A node takes about 100 bytes for the life
// of the store, so that a connection which joins after its node's lease has
// ended expires as well.
func (s *Store) Renew(ctx context.Context, node string, lease time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n := s.node(node)
	n.end.Store(int64(after(s.now(), max(lease, 0))))
	n.leased.Store(true)
	return nil
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
			s.depart(r, m, at)
			departures = append(departures, storage.Departure{Channel: r.id, Member: m.Member, Last: true, Time: at})
		}
		m = next
	}
	return departures
}

// LastSeen implements storage.Presence.
func (s *Store) LastSeen(ctx context.Context, ch storage.ChannelID, userID string) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, err
	}
	if r := s.lockRoster(ch, false); r != nil {
		defer s.unlockRoster(r)
		if r.users[userID] != nil {
			return time.Time{}, nil
		}
	}
	return s.seen.get(seenKey{ch, userID}), nil
}

// disconnect takes a connection away from its member. The caller holds r.mu and
// sees to a member who has no other.
func (s *Store) disconnect(r *roster, conn storage.Connection, m *member) {
	delete(r.conns, conn)
	m.conns--
	s.node(conn.Node).conns.Add(-1)
}

// depart removes a member without connections. The caller holds r.mu.
func (s *Store) depart(r *roster, m *member, at time.Time) {
	r.remove(m)
	s.seen.record(seenKey{r.id, m.UserID}, at)
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
