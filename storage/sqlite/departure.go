package sqlite

import (
	"time"

	"github.com/carillon-rt/carillon/storage"
)

// nodeMemory is how long the end of a node's lease is remembered.
const nodeMemory = 24 * time.Hour

// leave takes a connection away.
func (w *writer) leave(ch storage.ChannelID, conn storage.Connection, now time.Time) (storage.Departure, error) {
	r, err := w.session.roster(ch)
	if err != nil || r.id == 0 {
		return storage.Departure{}, err
	}
	m, err := w.session.memberOf(r, conn)
	if err != nil || m.id == 0 {
		return storage.Departure{}, err
	}
	return w.disconnect(r, conn, m, now)
}

// disconnect takes a connection away from its member, who leaves with the last one.
func (w *writer) disconnect(r *roster, conn storage.Connection, m member, now time.Time) (d storage.Departure, err error) {
	s := w.session
	d = storage.Departure{Channel: r.name, Member: m.Member, Last: m.connections == 1, Time: now}
	if d.Prev, err = s.revision(r); err != nil {
		return storage.Departure{}, err
	}
	del := s.use(`DELETE FROM carillon_connection WHERE roster = ? AND node = ? AND conn = ?`)
	del.int(r.id)
	del.text(conn.Node)
	del.text(conn.ID)
	if err := del.exec(); err != nil {
		return storage.Departure{}, err
	}
	if d.Last {
		err = w.depart(r, m, now)
	} else {
		less := s.use(`UPDATE carillon_member SET connections = connections - 1 WHERE id = ?`)
		less.int(m.id)
		err = less.exec()
	}
	if err != nil {
		return storage.Departure{}, err
	}
	d.Count = int(r.members)
	d.Revision, err = s.revision(r)
	return d, err
}

// depart removes a member, and the roster with the last one.
func (w *writer) depart(r *roster, m member, now time.Time) error {
	s := w.session
	del := s.use(`DELETE FROM carillon_member WHERE id = ?`)
	del.int(m.id)
	if err := del.exec(); err != nil {
		return err
	}
	r.members--
	if err := s.changed(r, m.Member, false, now); err != nil {
		return err
	}
	if err := w.saw(r.name, m.UserID, now); err != nil || r.members > 0 {
		return err
	}
	for _, text := range [...]string{`DELETE FROM carillon_change WHERE roster = ?`, `DELETE FROM carillon_roster WHERE id = ?`} {
		del := s.use(text)
		del.int(r.id)
		if err := del.exec(); err != nil {
			return err
		}
	}
	r.id = 0
	return nil
}

// saw notes when a user left a channel, and forgets the oldest of those if there are too
// many.
func (w *writer) saw(ch storage.ChannelID, userID string, now time.Time) error {
	limit := int64(w.store.config.lastSeen)
	if limit == 0 {
		return nil
	}
	s := w.session
	del := s.use(`DELETE FROM carillon_seen WHERE app = ? AND name = ? AND user = ?`)
	del.text(ch.App)
	del.text(ch.Name)
	del.text(userID)
	if err := del.exec(); err != nil {
		return err
	}
	add := s.use(`INSERT INTO carillon_seen (app, name, user, at) VALUES (?, ?, ?, ?)`)
	add.text(ch.App)
	add.text(ch.Name)
	add.text(userID)
	add.int(now.UnixMicro())
	if err := add.exec(); err != nil {
		return err
	}
	if w.seen++; w.seen <= limit {
		return nil
	}
	// Counted only now, and some more are forgotten than must be: one by one would cost
	// a count each.
	n := s.use(`SELECT count(*) FROM carillon_seen`)
	if n.next() {
		w.seen = n.ColumnInt64(0)
	}
	if err := n.done(); err != nil || w.seen <= limit {
		return err
	}
	excess := w.seen - limit + limit/100
	w.seen -= excess
	old := s.use(`DELETE FROM carillon_seen WHERE id IN (SELECT id FROM carillon_seen ORDER BY id LIMIT ?)`)
	old.int(excess)
	return old.exec()
}

// lastSeen returns when a user left a channel; the zero time if that is not known.
func (s *session) lastSeen(ch storage.ChannelID, userID string) (at time.Time, err error) {
	st := s.use(`SELECT at FROM carillon_seen WHERE app = ? AND name = ? AND user = ?`)
	st.text(ch.App)
	st.text(ch.Name)
	st.text(userID)
	if st.next() {
		at = time.UnixMicro(st.ColumnInt64(0))
	}
	return at, st.done()
}

// renew sets the end of a node's lease, and reports whether it had not ended.
func (s *session) renew(node string, lease time.Duration, now time.Time) (held bool, err error) {
	st := s.use(`SELECT ends > ? FROM carillon_node WHERE name = ?`)
	st.int(now.UnixMilli())
	st.text(node)
	if st.next() {
		held = st.ColumnBool(0)
	}
	if err := st.done(); err != nil {
		return false, err
	}
	set := s.use(`INSERT INTO carillon_node (name, ends) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET ends = excluded.ends`)
	set.text(node)
	set.int(now.UnixMilli() + int64((lease+time.Millisecond-1)/time.Millisecond))
	if err := set.exec(); err != nil || held {
		return held, err
	}
	// A node that comes is when others have gone.
	old := s.use(`DELETE FROM carillon_node WHERE ends <= ?
		AND NOT EXISTS (SELECT 1 FROM carillon_connection WHERE node = carillon_node.name)`)
	old.int(now.Add(-nodeMemory).UnixMilli())
	return held, old.exec()
}

const whereExpired = ` FROM carillon_node n JOIN carillon_connection c ON c.node = n.name WHERE n.ends <= ?`

// expired reports whether there are connections of nodes whose lease has ended.
func (s *session) expired(now time.Time) (bool, error) {
	st := s.use(`SELECT 1` + whereExpired + ` LIMIT 1`)
	st.int(now.UnixMilli())
	is := st.next()
	return is, st.done()
}

// expire takes away up to so many connections of nodes whose lease has ended, and
// returns the members who leave with them.
func (w *writer) expire(now time.Time, most int64) (departures []storage.Departure, err error) {
	type connection struct {
		storage.Connection
		ch storage.ChannelID
	}
	var all []connection
	st := w.session.use(`SELECT n.name, c.conn, r.app, r.name FROM carillon_node n
		JOIN carillon_connection c ON c.node = n.name JOIN carillon_roster r ON r.id = c.roster
		WHERE n.ends <= ? ORDER BY c.roster, c.member LIMIT ?`)
	st.int(now.UnixMilli())
	st.int(most)
	for st.next() {
		all = append(all, connection{storage.Connection{Node: st.ColumnText(0), ID: st.ColumnText(1)},
			storage.ChannelID{App: st.ColumnText(2), Name: st.ColumnText(3)}})
	}
	if err := st.done(); err != nil {
		return nil, err
	}
	for _, c := range all {
		d, err := w.leave(c.ch, c.Connection, now)
		if err != nil {
			return nil, err
		}
		if d.Last {
			departures = append(departures, d)
		}
	}
	return departures, nil
}
