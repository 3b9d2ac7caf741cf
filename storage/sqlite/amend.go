package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

// Target implements storage.Amend.
func (st *Store) Target(ctx context.Context, ch storage.ChannelID, id string) (storage.Event, error) {
	// Within a transaction of the caller the channel cannot be named: see target.
	ev, looked, err := st.lookForTarget(ctx, ch, id, within(ctx, st))
	if err != nil || looked {
		return ev, err
	}
	// The first time that an event of the channel is asked for.
	if err := st.nameChannel(ctx, ch); err != nil {
		return storage.Event{}, err
	}
	ev, _, err = st.lookForTarget(ctx, ch, id, true) // it may have been deleted meanwhile
	return ev, err
}

// lookForTarget looks for an event that can be amended, in a channel that is not named only
// if it has to: looked says whether it has.
func (st *Store) lookForTarget(ctx context.Context, ch storage.ChannelID, id string, always bool) (ev storage.Event, looked bool, err error) {
	var refused error
	err = st.readers.with(ctx, func(s *session) error {
		c, release, err := s.look(ch)
		if err != nil {
			return err
		}
		if looked = always || c.named || c.id == 0; looked {
			var t target
			if t, refused, err = s.target(&c, id, st.config.now().UnixMilli()); err == nil && refused == nil {
				ev, err = s.targetEvent(&c, &t)
			}
		}
		if released := release(); err == nil {
			err = released
		}
		return err
	})
	if err == nil {
		err = refused
	}
	return ev, looked, err
}

// Amend implements storage.Amend. It returns when the change is on the disk.
//
// What is replaced or retracted is overwritten in the file. The WAL has it until the next
// checkpoint, and a page that SQLite has rearranged before, or a backup, may have a copy
// of it: VACUUM removes those of the file.
func (st *Store) Amend(ctx context.Context, ch storage.ChannelID, a storage.Amendment) (storage.Amended, error) {
	// The writer may still be at work when the caller has gone.
	var out storage.Amended
	var refused error
	t := &task{events: 1, bytes: len(a.Data) + len(a.Event.Data) + eventOverhead}
	t.do = func(w *writer) error {
		c, err := w.channel(ch)
		if err != nil {
			return err
		}
		out, refused, err = w.session.amend(c, &a, st.config.now())
		if err != nil || refused != nil || out.Duplicate || !w.store.watchers.wanted() {
			return err
		}
		t.commits = append(t.commits, commitOf(ch, a.Event, out.Appended))
		return nil
	}
	if err := st.write(ctx, t); err != nil {
		return storage.Amended{}, err
	}
	return out, refused
}

// commitOf tells of an event that was appended.
func commitOf(ch storage.ChannelID, ev *storage.Event, out storage.Appended) storage.Commit {
	told := *ev
	told.Channel, told.Position, told.Prev = ch.Name, out.Position, out.Prev
	return storage.Commit{Channel: ch, Latest: out.Position, Event: &told}
}

// target is an event to be amended.
type target struct {
	number    int64
	flags     int64
	data      []byte
	version   uint64
	amended   bool // it has a row of carillon_state
	retracted bool
}

// target looks for an event that can be amended. The first error says that there is none.
func (s *session) target(c *channel, id string, now int64) (t target, refused, err error) {
	none := &storage.TargetError{Channel: c.name, Target: id, Err: storage.ErrNoTarget}
	if c.id == 0 {
		return t, none, nil
	}
	first, err := s.firstKept(c, now)
	if err != nil {
		return t, nil, err
	}
	const state = `e.flags, CASE WHEN s.id IS NULL THEN e.data ELSE s.data END, coalesce(s.version, e.version, 0), s.id IS NOT NULL `
	var st *statement
	if c.named {
		st = s.use(`SELECT n.number, ` + state + `
			FROM carillon_named n JOIN carillon_event e ON e.id = ?1 << 38 | n.number LEFT JOIN carillon_state s ON s.id = e.id
			WHERE n.channel = ?1 AND n.event = ?2 ORDER BY n.number DESC LIMIT 1`)
		st.int(c.id)
	} else { // all events are looked at
		st = s.use(`SELECT e.id & 274877906943, ` + state + `
			FROM carillon_event e LEFT JOIN carillon_state s ON s.id = e.id
			WHERE e.id BETWEEN ? AND ? AND e.event = ? AND e.flags < 4 ORDER BY e.id DESC LIMIT 1`)
		st.int(c.eventID(first))
		st.int(c.eventID(c.last))
	}
	st.text(id)
	if !st.next() {
		return t, none, st.done()
	}
	t = target{number: st.ColumnInt64(0), flags: st.ColumnInt64(1), data: st.ColumnBlob(2, nil),
		version: uint64(st.ColumnInt64(3)), amended: st.ColumnInt64(4) == 1}
	t.retracted = t.flags&flagRetracted != 0
	if err := st.done(); err != nil || t.number < first {
		return t, none, err
	}
	return t, nil, nil
}

// targetEvent returns the event as it is now.
func (s *session) targetEvent(c *channel, t *target) (storage.Event, error) {
	page := storage.Page{}
	if err := s.fillCurrent(c, &page, t.number, t.number, storage.ReadOptions{}); err != nil {
		return storage.Event{}, err
	}
	if len(page.Events) != 1 {
		return storage.Event{}, fmt.Errorf("%w: event %d of channel %v is missing", ErrCorrupt, t.number, c.name)
	}
	return page.Events[0], nil
}

// amend changes an event, and appends what announces that, within a transaction. refused
// says why it does not, and the last error is that of the file.
func (s *session) amend(c *channel, a *storage.Amendment, now time.Time) (out storage.Amended, refused, err error) {
	ms := now.UnixMilli()
	if a.Options.IdempotencyKey != "" {
		used, err := s.usedKey(c, &a.Options, ms)
		if err != nil || used != nil {
			return s.usedAmendment(c, used, err)
		}
	}
	if c.id != 0 {
		if !c.named {
			err = s.name(c, c.removed()+1)
		}
		if err == nil {
			err = s.retain(c, a.Options.Retention, ms)
		}
		if err != nil {
			return out, nil, err
		}
	}
	t, refused, err := s.target(c, a.Target, ms)
	switch {
	case err != nil || refused != nil:
		return out, refused, err
	case t.retracted:
		return out, &storage.TargetError{Channel: c.name, Target: a.Target, Err: storage.ErrRetracted}, nil
	case t.version != a.Version:
		return out, &storage.StaleVersionError{Channel: c.name, Target: a.Target, Version: a.Version, Current: t.version}, nil
	}
	if err := s.change(c, &t, a); err != nil {
		return out, nil, err
	}
	result, err := s.append(c, a.Event, &a.Options, now)
	if err == nil && result.Err == nil {
		err = s.noteAmendment(c, t.number)
	}
	return storage.Amended{Appended: result.Appended, Version: t.version + 1}, result.Err, err
}

// usedAmendment is the outcome of an amendment whose key was used before.
func (s *session) usedAmendment(c *channel, used *storage.AppendResult, err error) (storage.Amended, error, error) {
	if err != nil || used.Err != nil {
		if used == nil {
			return storage.Amended{}, nil, err
		}
		return storage.Amended{}, used.Err, err
	}
	out := storage.Amended{Appended: used.Appended}
	number, known, err := s.place(c, used.Position)
	if err != nil || !known {
		return out, nil, err
	}
	st := s.use(`SELECT version FROM carillon_event WHERE id = ? AND flags >= 4`)
	st.int(c.eventID(number))
	if st.next() {
		out.Version = uint64(st.ColumnInt64(0))
	}
	return out, nil, st.done()
}

// change makes of the target what the amendment says, and has SQLite overwrite what was
// there.
func (s *session) change(c *channel, t *target, a *storage.Amendment) (err error) {
	if !s.erases {
		if err := s.conn.Exec(`PRAGMA secure_delete = ON`); err != nil {
			return err
		}
		defer func() {
			if off := s.conn.Exec(`PRAGMA secure_delete = FAST`); err == nil {
				err = off
			}
		}()
	}
	data := a.Data
	switch a.Kind {
	case storage.Retract:
		return s.retract(c, t)
	case storage.Extend:
		data = append(t.data, a.Data...)
	}
	set := s.use(`INSERT INTO carillon_state (id, data, version) VALUES (?1, ?2, ?3)
		ON CONFLICT (id) DO UPDATE SET data = excluded.data, version = excluded.version`)
	set.int(c.eventID(t.number))
	set.blob(data)
	set.int(int64(t.version) + 1)
	return set.exec()
}

// retract removes the data of an event, and of all amendments of it.
func (s *session) retract(c *channel, t *target) error {
	id := c.eventID(t.number)
	for _, text := range [...]string{
		`UPDATE carillon_event SET data = NULL, flags = flags | 2 WHERE id IN (SELECT id FROM carillon_amendment WHERE target = ?)`,
		`DELETE FROM carillon_state WHERE id = ?`,
	} {
		st := s.use(text)
		st.int(id)
		if err := st.exec(); err != nil {
			return err
		}
	}
	set := s.use(`UPDATE carillon_event SET data = NULL, flags = flags | 2, version = ? WHERE id = ?`)
	set.int(int64(t.version) + 1)
	set.int(id)
	return set.exec()
}

var _ storage.Amend = (*Store)(nil)
