package sqlite

import (
	"context"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

// presenceBytes is about what a call that changes members takes in the queue.
const presenceBytes = 256

// Join implements storage.Presence. It returns when the member is on the disk.
func (st *Store) Join(ctx context.Context, ch storage.ChannelID, conn storage.Connection, m storage.Member, opts storage.JoinOptions) (storage.Joined, error) {
	var joined storage.Joined
	var refused error
	t := &task{events: 1, bytes: presenceBytes + len(m.Info)}
	t.do = func(w *writer) (err error) {
		now := st.config.now()
		if joined, refused, err = w.session.join(ch, conn, m, opts, now); err == nil && joined.First {
			t.changes = append(t.changes, storage.PresenceChange{Channel: ch, Member: m, Joined: true, Count: joined.Count,
				Revision: joined.Revision, Prev: joined.Prev, Time: now})
		}
		return err
	}
	if err := st.write(ctx, t); err != nil {
		return storage.Joined{}, err
	}
	return joined, refused
}

// Leave implements storage.Presence.
func (st *Store) Leave(ctx context.Context, ch storage.ChannelID, conn storage.Connection) (storage.Departure, error) {
	var d storage.Departure
	t := &task{events: 1, bytes: presenceBytes}
	t.do = func(w *writer) (err error) {
		if d, err = w.leave(ch, conn, st.config.now()); err == nil && d.Last {
			t.changes = append(t.changes, d.Change())
		}
		return err
	}
	if err := st.write(ctx, t); err != nil {
		return storage.Departure{}, err
	}
	return d, nil
}

// Members implements storage.Presence.
func (st *Store) Members(ctx context.Context, ch storage.ChannelID) (all storage.Roster, err error) {
	err = st.readers.with(ctx, func(s *session) error {
		return s.withRoster(ch, func(r *roster) (err error) {
			if all.Revision, err = s.revision(r); err == nil {
				all.Members, err = s.members(r)
			}
			return err
		})
	})
	if err != nil {
		return storage.Roster{}, err
	}
	return all, nil
}

// Changes implements storage.Presence.
func (st *Store) Changes(ctx context.Context, ch storage.ChannelID, since storage.Position) (all []storage.PresenceChange, err error) {
	err = st.readers.with(ctx, func(s *session) error {
		return s.withRoster(ch, func(r *roster) (err error) {
			all, err = s.changes(r, since)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Counts implements storage.Presence.
func (st *Store) Counts(ctx context.Context, channels []storage.ChannelID) (counts []storage.Count, err error) {
	err = st.readers.with(ctx, func(s *session) error {
		counts = make([]storage.Count, len(channels))
		for i, ch := range channels {
			err := s.withRoster(ch, func(r *roster) (err error) {
				counts[i].Members = int(r.members)
				counts[i].Revision, err = s.revision(r)
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return counts, nil
}

// AreMembers implements storage.Presence.
func (st *Store) AreMembers(ctx context.Context, ch storage.ChannelID, userIDs []string) (are []bool, err error) {
	err = st.readers.with(ctx, func(s *session) error {
		are = make([]bool, len(userIDs))
		return s.withRoster(ch, func(r *roster) error {
			for i, id := range userIDs {
				m, err := s.member(r, id)
				if err != nil {
					return err
				}
				are[i] = m.id != 0
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return are, nil
}

// LastSeen implements storage.Presence.
func (st *Store) LastSeen(ctx context.Context, ch storage.ChannelID, userIDs []string) (seen []time.Time, err error) {
	err = st.readers.with(ctx, func(s *session) error {
		seen = make([]time.Time, len(userIDs))
		return s.withRoster(ch, func(r *roster) error {
			for i, id := range userIDs {
				m, err := s.member(r, id)
				if err == nil && m.id == 0 {
					seen[i], err = s.lastSeen(ch, id)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return seen, nil
}

// Renew implements storage.Presence. The end of a node's lease is remembered for a day,
// during which a connection that joins late expires as well.
func (st *Store) Renew(ctx context.Context, node string, lease time.Duration) (held bool, err error) {
	err = st.write(ctx, &task{events: 1, bytes: presenceBytes, do: func(w *writer) (err error) {
		held, err = w.session.renew(node, max(lease, 0), st.config.now())
		return err
	}})
	if err != nil {
		return false, err
	}
	return held, nil
}

// expireConnections is how many connections one transaction takes away at most.
const expireConnections = 512

// Expire implements storage.Presence. It writes only if there is something to take away,
// and then in transactions that are bounded.
func (st *Store) Expire(ctx context.Context) (departures []storage.Departure, err error) {
	for more := true; more; {
		err := st.readers.with(ctx, func(s *session) (err error) {
			more, err = s.expired(st.config.now())
			return err
		})
		if err != nil || !more {
			return departures, err
		}
		var some []storage.Departure
		t := &task{events: 1, bytes: presenceBytes}
		t.do = func(w *writer) (err error) {
			some, err = w.expire(st.config.now(), expireConnections)
			for _, d := range some {
				t.changes = append(t.changes, d.Change())
			}
			return err
		}
		if err := st.write(ctx, t); err != nil {
			return departures, err
		}
		departures = append(departures, some...)
	}
	return departures, nil
}

// WatchPresence implements storage.WatchPresence, as Watch does storage.Watch.
func (st *Store) WatchPresence(ctx context.Context, notify func(storage.PresenceChange)) error {
	return st.watch(ctx, &watcher{members: true}, func(_ []storage.Commit, changes []storage.PresenceChange, missed bool) {
		if missed {
			notify(storage.PresenceChange{})
		}
		for _, c := range changes {
			notify(c)
		}
	})
}
