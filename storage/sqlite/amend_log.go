package sqlite

import (
	"context"

	"github.com/carillon-rt/carillon/storage"
)

// A channel is named once one of its events was to be amended: then its events can be
// found by their IDs, and it is counted how many of its numbers are those of amendments,
// which are no events to the retention. The others pay nothing for that.
//
// The log of a named channel is cut so that it does not have too many amendments: their
// rows go, and the events before stay, so that numbers are missing up to the cut.

// nameRows is how many events are named in one transaction, so that the first amendment in a
// channel that has very many holds nobody up for long.
const nameRows = 4096

// nameChannel makes a channel named, if there is one.
func (st *Store) nameChannel(ctx context.Context, ch storage.ChannelID) error {
	type part struct{ channel, last int64 }
	var named part // what is named already
	for done := false; !done; {
		var next part // the transaction may fail, and be done once more
		err := st.write(ctx, &task{events: 1, do: func(w *writer) error {
			done = true
			c, err := w.channel(ch)
			if err != nil || c.id == 0 || c.named {
				return err
			}
			first := c.removed() + 1
			if c.id == named.channel {
				first = max(first, named.last+1)
			}
			if done = c.last-first < nameRows; done {
				return w.session.name(c, first)
			}
			next = part{c.id, first + nameRows - 1}
			return w.session.nameSome(c, first, next.last)
		}})
		if err != nil {
			return err
		}
		named = next
	}
	return nil
}

// nameSome names events by their numbers. Those of a channel that is not named yet are not
// looked at, and go with their events.
func (s *session) nameSome(c *channel, first, last int64) error {
	add := s.use(`INSERT OR IGNORE INTO carillon_named (channel, event, number)
		SELECT ?1, event, id & 274877906943 FROM carillon_event WHERE id BETWEEN ?2 AND ?3 AND flags < 4`)
	add.int(c.id)
	add.int(c.eventID(first))
	add.int(c.eventID(last))
	return add.exec()
}

// name makes a channel named, whose events before a number are already.
func (s *session) name(c *channel, first int64) error {
	if err := s.nameSome(c, first, c.last); err != nil {
		return err
	}
	c.named, c.hidden = true, c.removed()
	if err := s.recount(c); err != nil {
		return err
	}
	return s.saveNamed(c)
}

// recount counts the amendments among what the retention keeps by its number.
func (s *session) recount(c *channel) error {
	c.hidden = max(c.hidden, c.gone)
	st := s.use(`SELECT count(*) FILTER (WHERE flags < 4), count(*) FILTER (WHERE flags >= 4) FROM carillon_event WHERE id BETWEEN ? AND ?`)
	st.int(c.eventID(c.hidden + 1))
	st.int(c.eventID(c.last))
	if st.next() {
		c.extra, c.live = c.last-c.hidden-st.ColumnInt64(0), st.ColumnInt64(1)
	}
	return st.done()
}

// saveNamed writes what is counted.
func (s *session) saveNamed(c *channel) error {
	c.row = c.last
	set := s.use(`UPDATE carillon_channel SET named = ?, last = ?, hidden = ?, extra = ?, live = ?, cut = ? WHERE id = ?`)
	if c.named {
		set.int(1)
	} else {
		set.int(0)
	}
	for _, n := range [...]int64{c.last, c.hidden, c.extra, c.live, c.cut, c.id} {
		set.int(n)
	}
	return set.exec()
}

// appendedNamed counts the last event of a named channel.
func (s *session) appendedNamed(c *channel, ev *storage.Event) error {
	if ev.Amends != 0 {
		c.extra, c.live = c.extra+1, c.live+1
	} else {
		add := s.use(`INSERT OR IGNORE INTO carillon_named (channel, event, number) VALUES (?, ?, ?)`)
		add.int(c.id)
		add.text(ev.ID)
		add.int(c.last)
		if err := add.exec(); err != nil {
			return err
		}
	}
	return s.hide(c)
}

// hide hides what the retention does not keep by its number.
func (s *session) hide(c *channel) error {
	if c.gone > c.hidden {
		if err := s.recount(c); err != nil {
			return err
		}
	}
	for c.last-c.hidden-c.extra > c.keepEvents {
		c.hidden++
		st := s.use(`SELECT flags FROM carillon_event WHERE id = ?`)
		st.int(c.eventID(c.hidden))
		switch there := st.next(); {
		case !there: // an amendment that was cut
			c.extra--
		case st.ColumnInt64(0) >= flagAmends:
			c.extra, c.live = c.extra-1, c.live-1
		}
		if err := st.done(); err != nil {
			return err
		}
	}
	return s.saveNamed(c)
}

// hideTo hides the events of a named channel up to a number, whose rows are about to go.
func (s *session) hideTo(c *channel, number int64) error {
	st := s.use(`SELECT count(*) FILTER (WHERE flags < 4), count(*) FILTER (WHERE flags >= 4) FROM carillon_event WHERE id BETWEEN ? AND ?`)
	st.int(c.eventID(c.hidden + 1))
	st.int(c.eventID(number))
	if st.next() {
		c.extra -= number - c.hidden - st.ColumnInt64(0)
		c.live -= st.ColumnInt64(1)
	}
	if err := st.done(); err != nil {
		return err
	}
	c.hidden = number
	return s.saveNamed(c)
}

// noteAmendment notes what the channel's last event has amended, and cuts the log if that
// has twice as many amendments as there are to be kept.
func (s *session) noteAmendment(c *channel, target int64) error {
	add := s.use(`INSERT INTO carillon_amendment (id, target) VALUES (?, ?)`)
	add.int(c.eventID(c.last))
	add.int(c.eventID(target))
	if err := add.exec(); err != nil {
		return err
	}
	keep := max(c.keepEvents, storage.FillEvents)
	if c.live <= 2*keep {
		return nil
	}
	last := s.use(`SELECT id FROM carillon_amendment WHERE id BETWEEN ? AND ? ORDER BY id LIMIT 1 OFFSET ?`)
	last.int(c.eventID(c.hidden + 1))
	last.int(c.eventID(c.last))
	last.int(c.live - keep - 1)
	if !last.next() {
		return last.done()
	}
	cut := last.ColumnInt64(0)
	if err := last.done(); err != nil {
		return err
	}
	remove := s.use(`DELETE FROM carillon_event WHERE id IN (SELECT id FROM carillon_amendment WHERE id BETWEEN ? AND ?)`)
	remove.int(c.eventID(c.hidden + 1))
	remove.int(cut)
	if err := remove.exec(); err != nil {
		return err
	}
	c.cut, c.live = cut&maxNumber, keep
	return s.saveNamed(c)
}

// unname ends that a channel is named, which has lost all of its events.
func (s *session) unname(c *channel) error {
	forget := s.use(`DELETE FROM carillon_named WHERE channel = ?`)
	forget.int(c.id)
	if err := forget.exec(); err != nil {
		return err
	}
	c.named, c.extra, c.live, c.cut = false, 0, 0, 0
	return s.saveNamed(c)
}

const (
	selectCurrent = `SELECT e.id, appended, event, name, CASE WHEN s.id IS NULL THEN e.data ELSE s.data END, flags, time, user, socket, exclude, target,
		coalesce(s.version, e.version) FROM carillon_event e LEFT JOIN carillon_state s ON s.id = e.id
		WHERE e.id BETWEEN ? AND ? AND e.flags < 4 ORDER BY e.id`
	selectCurrentBackward = selectCurrent + ` DESC`
)

// fillCurrent is fill for what amendments have made of the events.
func (s *session) fillCurrent(c *channel, page *storage.Page, first, last int64, opts storage.ReadOptions) error {
	position, err := s.positions(c, first)
	if err != nil {
		return err
	}
	text := selectCurrent
	if opts.Backward {
		text = selectCurrentBackward
	}
	bytes := 0
	st := s.use(text)
	st.int(c.eventID(first))
	st.int(c.eventID(last))
	for st.next() {
		size := len(st.ColumnRawBlob(4))
		n := len(page.Events)
		if bytes += size; opts.MaxEvents > 0 && n == opts.MaxEvents || opts.MaxBytes > 0 && bytes > opts.MaxBytes && n > 0 {
			page.More = true
			break
		}
		page.Events = append(page.Events, st.event(c.name))
		ev := &page.Events[n]
		ev.Position, ev.Prev = position(st.ColumnInt64(0) & maxNumber)
	}
	return st.done()
}
