package sqlite

import (
	"fmt"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

const (
	flagJSON      = 1
	flagRetracted = 2
	flagAmends    = 4 // and above: the AmendKind
)

// append appends an event within a transaction. The error of an append that is refused
// is in the result, and that of the file, after which the transaction has to be rolled
// back, is returned.
func (s *session) append(c *channel, ev *storage.Event, opts *storage.AppendOptions, now time.Time) (storage.AppendResult, error) {
	ms := now.UnixMilli()
	if opts.IdempotencyKey != "" {
		used, err := s.usedKey(c, opts, ms)
		if err != nil || used != nil {
			if used != nil {
				return *used, err
			}
			return storage.AppendResult{}, err
		}
	}
	if c.last == maxNumber {
		return storage.AppendResult{Err: fmt.Errorf("sqlite: channel %v has had %d events, which is the limit", c.name, c.last)}, nil
	}
	if err := s.raise(c, opts.Floor, now); err != nil {
		return storage.AppendResult{}, err
	}
	if err := s.know(c, ms); err != nil {
		return storage.AppendResult{}, err
	}
	if err := s.retain(c, opts.Retention, ms); err != nil {
		return storage.AppendResult{}, err
	}
	prev, err := s.enter(c)
	if err != nil {
		return storage.AppendResult{}, err
	}
	c.last++
	epoch, err := s.epoch(c.epoch)
	if err != nil {
		return storage.AppendResult{}, err
	}
	out := storage.Appended{Position: storage.Position{Epoch: epoch, Offset: uint64(c.last - c.start)}, Prev: prev}
	if c.keepEvents > 0 {
		c.appended = max(c.appended, ms)
		err = s.insert(c, ev)
		if err == nil && c.named {
			err = s.appendedNamed(c, ev)
		}
	} else {
		if c.first == c.last {
			c.first = c.last + 1 // there are none
		}
		err = s.skip(c, ms)
	}
	if err == nil && opts.IdempotencyKey != "" {
		err = s.useKey(c, opts, out.Position.Offset, ms)
	}
	return storage.AppendResult{Appended: out}, err
}

// raise begins an epoch if the channel's latest position is below a floor.
func (s *session) raise(c *channel, floor storage.Position, now time.Time) error {
	if floor.IsZero() {
		return nil
	}
	latest, err := s.latest(c)
	if err != nil || !latest.Before(floor) {
		return err
	}
	c.current, _, err = s.newEpoch(floor.Epoch, now)
	return err
}

// know makes sure that the channel has a row.
func (s *session) know(c *channel, now int64) error {
	if c.id != 0 {
		return nil
	}
	id, err := s.freeChannel()
	if err != nil {
		return err
	}
	add := s.use(`INSERT INTO carillon_channel (id, app, name, last, gone, deleted, hidden, keep_events, keep_age, epoch, start, since, used)
		VALUES (?, ?, ?, 0, 0, 0, 0, 0, 0, ?, 0, ?, ?)`)
	add.int(id)
	add.text(c.name.App)
	add.text(c.name.Name)
	add.int(c.current)
	add.int(c.since)
	add.int(now)
	c.id, c.epoch = id, c.current
	return add.exec()
}

// freeChannel returns an id for a new channel.
func (s *session) freeChannel() (id int64, err error) {
	st := s.use(`SELECT coalesce(max(id), 0) + 1 FROM carillon_channel`)
	if st.next() {
		id = st.ColumnInt64(0)
	}
	if err := st.done(); err != nil || id <= maxChannels {
		return id, err
	}
	st = s.use(`SELECT id + 1 FROM carillon_channel c
		WHERE NOT EXISTS (SELECT 1 FROM carillon_channel d WHERE d.id = c.id + 1) ORDER BY id LIMIT 1`)
	if st.next() {
		id = st.ColumnInt64(0)
	}
	if err := st.done(); err != nil || id <= maxChannels {
		return id, err
	}
	return 0, fmt.Errorf("%w: it has %d channels, which is the limit", ErrFull, maxChannels)
}

// retain takes over the retention of an append. What the one before has removed stays
// so.
func (s *session) retain(c *channel, keep storage.Retention, now int64) error {
	events := int64(max(keep.Events, 0))
	age := int64(max((keep.Age+time.Millisecond-1)/time.Millisecond, 0))
	if events == c.keepEvents && age == c.keepAge {
		return nil
	}
	first, err := s.firstKept(c, now)
	if err != nil {
		return err
	}
	c.hidden = max(c.hidden, first-1)
	if events == 0 || c.keepEvents == 0 {
		// Of what nothing was kept, or is from now on, nothing is kept for fills either.
		c.gone = c.last
	}
	c.keepEvents, c.keepAge = events, age
	set := s.use(`UPDATE carillon_channel SET last = ?, gone = ?, hidden = ?, keep_events = ?, keep_age = ? WHERE id = ?`)
	set.int(c.last)
	set.int(c.gone)
	set.int(c.hidden)
	set.int(c.keepEvents)
	set.int(c.keepAge)
	set.int(c.id)
	c.row = c.last
	if err := set.exec(); err != nil || !c.named {
		return err
	}
	if err := s.recount(c); err != nil {
		return err
	}
	return s.hide(c)
}

// enter makes the file's newest epoch that of the channel's next event, and returns
// the position before that if it was of another.
func (s *session) enter(c *channel) (prev storage.Position, err error) {
	if c.epoch == c.current {
		if c.last == c.start && c.last > 0 {
			return storage.Position{}, fmt.Errorf("%w: channel %v has an epoch without events", ErrCorrupt, c.name)
		}
		return storage.Position{}, nil
	}
	if c.last > c.start {
		before, err := s.epoch(c.epoch)
		if err != nil {
			return storage.Position{}, err
		}
		prev = storage.Position{Epoch: before, Offset: uint64(c.last - c.start)}
		add := s.use(`INSERT INTO carillon_era VALUES (?, ?, ?)`)
		add.int(c.id)
		add.int(c.epoch)
		add.int(c.start)
		if err := add.exec(); err != nil {
			return storage.Position{}, err
		}
	}
	c.epoch, c.start = c.current, c.last
	set := s.use(`UPDATE carillon_channel SET epoch = ?, start = ? WHERE id = ?`)
	set.int(c.epoch)
	set.int(c.start)
	set.int(c.id)
	return prev, set.exec()
}

// insert adds the channel's last event.
func (s *session) insert(c *channel, ev *storage.Event) error {
	flags := int64(ev.Amends) * flagAmends
	if ev.JSON {
		flags |= flagJSON
	}
	if ev.Retracted {
		flags |= flagRetracted
	}
	add := s.use(`INSERT INTO carillon_event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	add.int(c.eventID(c.last))
	add.int(c.appended)
	add.text(ev.ID)
	add.text(ev.Name)
	add.blob(ev.Data)
	add.int(flags)
	add.int(ev.Time.UnixMicro() - 1000*c.appended)
	add.optional(ev.UserID)
	add.optional(ev.SocketID)
	add.optional(ev.Exclude)
	add.optional(ev.Target)
	if ev.Version == 0 {
		add.null()
	} else {
		add.int(int64(ev.Version))
	}
	if err := add.exec(); err != nil || !s.hasIndex || ev.Amends != 0 || ev.Retracted {
		return err
	}
	return s.index(c, ev)
}

// skip notes that the channel had an event which is not kept.
func (s *session) skip(c *channel, now int64) error {
	c.row, c.hidden = c.last, c.last
	set := s.use(`UPDATE carillon_channel SET last = ?1, hidden = ?1, used = ?2 WHERE id = ?3`)
	set.int(c.last)
	set.int(now)
	set.int(c.id)
	return set.exec()
}

// usedKey returns the outcome of an append whose key was used before; nil if it was
// not.
func (s *session) usedKey(c *channel, opts *storage.AppendOptions, now int64) (*storage.AppendResult, error) {
	if c.id == 0 {
		return nil, nil
	}
	st := s.use(`SELECT epoch, offset, hash FROM carillon_key WHERE channel = ? AND key = ? AND number > ? AND until > ?`)
	st.int(c.id)
	st.text(opts.IdempotencyKey)
	st.int(c.deleted)
	st.int(now)
	if !st.next() {
		return nil, st.done()
	}
	id, offset := st.ColumnInt64(0), st.ColumnInt64(1)
	var hash [32]byte
	copy(hash[:], st.ColumnRawBlob(2))
	if err := st.done(); err != nil {
		return nil, err
	}
	epoch, err := s.epoch(id)
	if err != nil {
		return nil, err
	}
	pos := storage.Position{Epoch: epoch, Offset: uint64(offset)}
	if hash != opts.RequestHash {
		return &storage.AppendResult{Err: &storage.KeyReusedError{Channel: c.name, Key: opts.IdempotencyKey, Position: pos}}, nil
	}
	return &storage.AppendResult{Appended: storage.Appended{Position: pos, Duplicate: true}}, nil
}

// useKey notes what the key of the channel's last event stands for.
func (s *session) useKey(c *channel, opts *storage.AppendOptions, offset uint64, now int64) error {
	window := opts.IdempotencyWindow
	if window <= 0 {
		window = storage.DefaultIdempotencyWindow
	}
	add := s.use(`INSERT INTO carillon_key (channel, key, number, epoch, offset, hash, until) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (channel, key) DO UPDATE SET number = excluded.number, epoch = excluded.epoch,
		offset = excluded.offset, hash = excluded.hash, until = excluded.until`)
	add.int(c.id)
	add.text(opts.IdempotencyKey)
	add.int(c.last)
	add.int(c.epoch)
	add.int(int64(offset))
	if opts.RequestHash == [32]byte{} {
		add.null()
	} else {
		add.blob(opts.RequestHash[:])
	}
	add.int(now + int64((window+time.Millisecond-1)/time.Millisecond))
	return add.exec()
}
