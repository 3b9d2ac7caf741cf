package sqlite

import (
	"errors"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

// keptChanges is how many changes of a channel are kept at least.
const keptChanges = 2 * storage.FillEvents

// roster is what the file knows of who is on a channel, for as long as somebody is.
type roster struct {
	id      int64 // 0 if nobody is there
	name    storage.ChannelID
	members int64
	// epoch and number are those of the last change. Revisions count the changes of all
	// channels, so that one which nobody is on need not be remembered.
	epoch, number int64

	opened int64 // the epoch in which the file was opened
	given  int64 // the last number that was given
}

// member is a user on a channel.
type member struct {
	id          int64 // 0 if the user is not there; ids are in the order of joining
	connections int64
	storage.Member
}

const selectRoster = `
SELECT s.opened, s.revision, r.id, r.members, r.epoch, r.revision
FROM carillon_store s LEFT JOIN carillon_roster r ON r.app = ?1 AND r.name = ?2
WHERE s.one = 1`

// withRoster calls f with a channel's roster. What it reads is of the same moment.
func (s *session) withRoster(ch storage.ChannelID, f func(*roster) error) error {
	st := s.use(selectRoster)
	st.text(ch.App)
	st.text(ch.Name)
	if !st.next() {
		return errors.Join(ErrCorrupt, st.done())
	}
	r := roster{name: ch, opened: st.ColumnInt64(0), given: st.ColumnInt64(1), id: st.ColumnInt64(2), members: st.ColumnInt64(3),
		epoch: st.ColumnInt64(4), number: st.ColumnInt64(5)}
	err := f(&r)
	if done := st.done(); err == nil {
		err = done
	}
	return err
}

// roster returns a channel's roster, within a transaction.
func (s *session) roster(ch storage.ChannelID) (all *roster, err error) {
	err = s.withRoster(ch, func(r *roster) error {
		all = r
		return nil
	})
	return all, err
}

// revision returns the channel's revision. Those who know of one from before the file
// was opened read the members again: the file may be an older copy.
func (s *session) revision(r *roster) (storage.Position, error) {
	epoch, err := s.epoch(r.opened)
	switch {
	case r.id == 0:
		return storage.Position{Epoch: epoch, Offset: uint64(r.given)}, err
	case r.epoch != r.opened:
		return storage.Position{Epoch: epoch}, err
	}
	return storage.Position{Epoch: epoch, Offset: uint64(r.number)}, err
}

const selectMember = `SELECT id, user, info, connections FROM carillon_member`

func (st *statement) member() member {
	return member{id: st.ColumnInt64(0), connections: st.ColumnInt64(3),
		Member: storage.Member{UserID: st.ColumnText(1), Info: st.ColumnBlob(2, nil)}}
}

// members returns all members in the order they joined.
func (s *session) members(r *roster) ([]storage.Member, error) {
	all := make([]storage.Member, 0, r.members)
	st := s.use(selectMember + ` WHERE roster = ? ORDER BY id`)
	st.int(r.id)
	for st.next() {
		all = append(all, st.member().Member)
	}
	return all, st.done()
}

// member returns the member that a user is, or none.
func (s *session) member(r *roster, userID string) (m member, err error) {
	st := s.use(selectMember + ` WHERE roster = ? AND user = ?`)
	st.int(r.id)
	st.text(userID)
	if st.next() {
		m = st.member()
	}
	return m, st.done()
}

// memberOf returns the member whose connection it is, or none.
func (s *session) memberOf(r *roster, conn storage.Connection) (m member, err error) {
	st := s.use(selectMember + ` WHERE id = (SELECT member FROM carillon_connection WHERE roster = ? AND node = ? AND conn = ?)`)
	st.int(r.id)
	st.text(conn.Node)
	st.text(conn.ID)
	if st.next() {
		m = st.member()
	}
	return m, st.done()
}

// join adds a connection. The first error refuses it.
func (s *session) join(ch storage.ChannelID, conn storage.Connection, who storage.Member, opts storage.JoinOptions, now time.Time) (joined storage.Joined, refused, err error) {
	r, err := s.roster(ch)
	if err != nil {
		return storage.Joined{}, nil, err
	}
	if joined.Prev, err = s.revision(r); err != nil {
		return storage.Joined{}, nil, err
	}
	there, err := s.memberOf(r, conn)
	if err != nil {
		return storage.Joined{}, nil, err
	}
	if there.id == 0 {
		m, err := s.member(r, who.UserID)
		if err != nil {
			return storage.Joined{}, nil, err
		}
		if m.id == 0 && opts.MaxMembers > 0 && r.members >= int64(opts.MaxMembers) {
			return storage.Joined{}, &storage.MemberLimitError{Channel: ch, Limit: opts.MaxMembers}, nil
		}
		joined.First = m.id == 0
		if err := s.connect(r, conn, m, who, now); err != nil {
			return storage.Joined{}, nil, err
		}
	}
	joined.Count = int(r.members)
	if joined.Revision, err = s.revision(r); err != nil {
		return storage.Joined{}, nil, err
	}
	if opts.Members && (opts.Known.IsZero() || opts.Known != joined.Prev) {
		joined.Members, err = s.members(r)
	}
	return joined, nil, err
}

// connect adds a connection of a member, who is new if m is none.
func (s *session) connect(r *roster, conn storage.Connection, m member, who storage.Member, now time.Time) error {
	if m.id == 0 {
		if err := s.addMember(r, who, now); err != nil {
			return err
		}
		m.id = s.conn.LastInsertRowID()
		if err := s.changed(r, who, true, now); err != nil {
			return err
		}
	} else {
		more := s.use(`UPDATE carillon_member SET connections = connections + 1 WHERE id = ?`)
		more.int(m.id)
		if err := more.exec(); err != nil {
			return err
		}
	}
	add := s.use(`INSERT INTO carillon_connection (roster, node, conn, member) VALUES (?, ?, ?, ?)`)
	add.int(r.id)
	add.text(conn.Node)
	add.text(conn.ID)
	add.int(m.id)
	return add.exec()
}

// addMember adds a member with one connection. Its id is that of the last row that was
// inserted.
func (s *session) addMember(r *roster, who storage.Member, now time.Time) error {
	if r.id == 0 {
		add := s.use(`INSERT INTO carillon_roster (app, name, members, epoch, revision) VALUES (?, ?, 0, 0, 0)`)
		add.text(r.name.App)
		add.text(r.name.Name)
		if err := add.exec(); err != nil {
			return err
		}
		// Until there is a change, its revision is that of a channel without members.
		r.id, r.epoch, r.number = s.conn.LastInsertRowID(), r.opened, r.given
	}
	r.members++
	add := s.use(`INSERT INTO carillon_member (roster, user, info, connections) VALUES (?, ?, ?, 1)`)
	add.int(r.id)
	add.text(who.UserID)
	add.blob(who.Info)
	return add.exec()
}

// changed gives a channel whose members have changed its next revision.
func (s *session) changed(r *roster, who storage.Member, joined bool, now time.Time) error {
	prev, err := s.revision(r)
	if err != nil {
		return err
	}
	prevEpoch := r.opened // that of every revision which is told
	next := s.use(`UPDATE carillon_store SET revision = revision + 1 RETURNING revision`)
	if next.next() {
		r.given = next.ColumnInt64(0)
	}
	if err := next.done(); err != nil {
		return err
	}
	r.epoch, r.number = r.opened, r.given
	set := s.use(`UPDATE carillon_roster SET members = ?, epoch = ?, revision = ? WHERE id = ?`)
	set.int(r.members)
	set.int(r.epoch)
	set.int(r.number)
	set.int(r.id)
	if err := set.exec(); err != nil {
		return err
	}
	add := s.use(`INSERT INTO carillon_change (revision, epoch, roster, prev, user, info, joined, members, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	add.int(r.number)
	add.int(prevEpoch)
	add.int(r.id)
	add.int(int64(prev.Offset))
	add.text(who.UserID)
	add.blob(who.Info)
	if joined {
		add.int(1)
	} else {
		add.int(0)
	}
	add.int(r.members)
	add.int(now.UnixMicro())
	if err := add.exec(); err != nil || r.number%storage.FillEvents != 0 {
		return err
	}
	// Now and then is enough.
	old := s.use(`DELETE FROM carillon_change WHERE revision IN
		(SELECT revision FROM carillon_change WHERE roster = ? ORDER BY revision DESC LIMIT -1 OFFSET ?)`)
	old.int(r.id)
	old.int(keptChanges)
	return old.exec()
}

// changes returns the changes after a revision.
func (s *session) changes(r *roster, since storage.Position) (all []storage.PresenceChange, err error) {
	revision, err := s.revision(r)
	if err != nil || since == revision {
		return nil, err
	}
	before := since
	st := s.use(`SELECT revision, prev, user, info, joined, members, at FROM carillon_change WHERE roster = ? AND epoch = ? AND revision > ? ORDER BY revision`)
	st.int(r.id)
	st.int(r.opened)
	st.int(int64(min(since.Offset, 1<<62)))
	for since.Epoch == revision.Epoch && st.next() {
		c := storage.PresenceChange{
			Channel:  r.name,
			Member:   storage.Member{UserID: st.ColumnText(2), Info: st.ColumnBlob(3, nil)},
			Joined:   st.ColumnInt64(4) == 1,
			Count:    int(st.ColumnInt64(5)),
			Revision: storage.Position{Epoch: revision.Epoch, Offset: uint64(st.ColumnInt64(0))},
			Prev:     storage.Position{Epoch: revision.Epoch, Offset: uint64(st.ColumnInt64(1))},
			Time:     time.UnixMicro(st.ColumnInt64(6)),
		}
		if c.Prev != before {
			break
		}
		all, before = append(all, c), c.Revision
	}
	if err := st.done(); err != nil {
		return nil, err
	}
	if before != revision {
		return nil, &storage.GapError{Channel: r.name, From: since, Latest: revision}
	}
	return all, nil
}
