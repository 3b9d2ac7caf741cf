package memory

import (
	"sync"

	"github.com/carillon-rt/carillon/storage"
)

// roster is who is on a channel, for as long as somebody is.
type roster struct {
	id storage.ChannelID

	mu    sync.Mutex
	gone  bool                           // guarded by mu: no longer in the store
	users map[string]*member             // guarded by mu: by user ID
	conns map[storage.Connection]*member // guarded by mu
	// The members in the order they joined, as a list; guarded by mu.
	first, last *member
	revision    storage.Position         // guarded by mu; zero in a roster that nobody has locked yet
	log         []storage.PresenceChange // guarded by mu: the latest changes, of a shared store
}

// member is a user on a channel.
type member struct {
	storage.Member
	conns      int // how many connections the user has on the channel
	prev, next *member
}

func newRoster(id storage.ChannelID) *roster {
	return &roster{id: id, users: make(map[string]*member), conns: make(map[storage.Connection]*member)}
}

// join adds a connection that is not there yet, and reports whether its user is
// new. The caller holds r.mu.
func (r *roster) join(conn storage.Connection, who storage.Member) (first bool) {
	m := r.users[who.UserID]
	if m == nil {
		first = true
		m = &member{Member: who, prev: r.last}
		if r.last != nil {
			r.last.next = m
		} else {
			r.first = m
		}
		r.last = m
		r.users[who.UserID] = m
	}
	m.conns++
	r.conns[conn] = m
	return first
}

// members returns the members in the order they joined. The caller holds r.mu.
func (r *roster) members() []storage.Member {
	members := make([]storage.Member, 0, len(r.users))
	for m := r.first; m != nil; m = m.next {
		members = append(members, m.Member)
	}
	return members
}

// remove takes a member without connections off the list. The caller holds r.mu.
func (r *roster) remove(m *member) {
	delete(r.users, m.UserID)
	if m.prev != nil {
		m.prev.next = m.next
	} else {
		r.first = m.next
	}
	if m.next != nil {
		m.next.prev = m.prev
	} else {
		r.last = m.prev
	}
}

// lockRoster returns the channel's roster with its lock held, and nil if nobody
// is there and none is to be made.
func (s *Store) lockRoster(ch storage.ChannelID, create bool) *roster {
	for {
		r, ok := s.rosters.Load(ch)
		if !ok {
			if !create {
				return nil
			}
			r, _ = s.rosters.LoadOrStore(ch, newRoster(ch))
		}
		r.mu.Lock()
		if r.gone {
			r.mu.Unlock()
			continue
		}
		if r.revision.IsZero() {
			// Asked now that r is in the store: after all revisions that the channel
			// had before.
			r.revision = storage.Position{Epoch: s.started, Offset: s.revision.Load()}
		}
		return r
	}
}

// lockOrRevision returns the channel's roster with its lock held, or the revision
// of a channel that nobody is on.
func (s *Store) lockOrRevision(ch storage.ChannelID) (*roster, storage.Position) {
	for {
		if r := s.lockRoster(ch, false); r != nil {
			return r, storage.Position{}
		}
		revision := storage.Position{Epoch: s.started}
		// While nobody can join: what was before has an older revision, and what
		// comes has a later one.
		_, there := s.rosters.Compute(ch, func(r *roster, there bool) (*roster, bool) {
			revision.Offset = s.revision.Load()
			return r, !there
		})
		if !there {
			return nil, revision
		}
	}
}

// unlockRoster releases the lock, and takes a channel that nobody is on out of
// the store.
func (s *Store) unlockRoster(r *roster) {
	if len(r.users) == 0 && !r.gone {
		r.gone = true
		s.rosters.Delete(r.id)
	}
	r.mu.Unlock()
}
