package sqlite

import (
	"errors"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

const (
	// trimRows is how many events and keys one transaction of the writer removes at most
	// besides what it is for, so that it never holds others up for long.
	trimRows = 512
	// trimChannels is how many channels it visits for that at most.
	trimChannels = 32
	// slack is how many events of a channel are removed together at least, unless the
	// channel is quiet: one by one would cost more.
	slack = 64
	// scanEvery is how often the writer looks at some channels for what has expired.
	scanEvery = time.Second
	// scanChannels is how many it looks at each time.
	scanChannels = 256
	// maxNoted is how many channels are noted for one thing.
	maxNoted = 1 << 13
	// forgetRounds is in how many parts of WithForgetAfter channels are forgotten
	// together, since each time begins an epoch.
	forgetRounds = 4
)

// keeper knows what is to be removed from the file. Reads do not depend on it: what has
// expired is never returned, whether it has been removed or not.
type keeper struct {
	// due are channels that have events, or epochs, to be removed.
	due  map[storage.ChannelID]struct{}
	keys bool // there are keys that have expired
	// idle are channels that keep nothing, up to maxNoted, and forget those of them that are to be
	// forgotten now.
	idle, forget map[storage.ChannelID]struct{}

	scanned  time.Time // when the last scan was
	cursor   int64     // the last channel that it has looked at
	forgotAt time.Time // when channels were last forgotten
}

func newKeeper(now time.Time) *keeper {
	return &keeper{
		due:      make(map[storage.ChannelID]struct{}),
		idle:     make(map[storage.ChannelID]struct{}),
		forget:   make(map[storage.ChannelID]struct{}),
		forgotAt: now,
	}
}

// busy reports whether there is something to be removed.
func (k *keeper) busy() bool { return len(k.due) > 0 || k.keys || len(k.forget) > 0 }

// grown notes a channel that may have much to be removed after an append.
func (k *keeper) grown(c *channel, now int64) {
	excess := c.last - c.first + 1 - max(c.keepEvents+c.extra, storage.FillEvents)
	if excess < slack+c.keepEvents/8 && (c.keepAge == 0 || now < c.check) {
		return
	}
	c.check = now + max(c.keepAge/8, scanEvery.Milliseconds())
	k.due[c.name] = struct{}{}
}

// scan looks at some channels for what has expired, and at the file. It writes nothing.
func (w *writer) scan() error {
	k, now := w.keeper, w.store.config.now()
	k.scanned = now
	st := w.session.use(`SELECT id, app, name, used FROM carillon_channel WHERE id > ? ORDER BY id LIMIT ?`)
	st.int(k.cursor)
	st.int(scanChannels)
	type seen struct {
		name storage.ChannelID
		used int64
	}
	var all []seen
	k.cursor = 0
	for st.next() {
		all = append(all, seen{storage.ChannelID{App: st.ColumnText(1), Name: st.ColumnText(2)}, st.ColumnInt64(3)})
		k.cursor = st.ColumnInt64(0)
	}
	if err := st.done(); err != nil {
		return err
	}
	if len(all) < scanChannels {
		k.cursor = 0
	}
	for _, ch := range all {
		if err := w.scanChannel(ch.name, ch.used, now.UnixMilli()); err != nil {
			return err
		}
	}
	if wait := w.store.config.forgetAfter / forgetRounds; len(k.forget) == 0 && len(k.idle) > 0 && now.Sub(k.forgotAt) >= wait {
		k.forget, k.idle, k.forgotAt = k.idle, k.forget, now
	}
	expired := w.session.use(`SELECT 1 FROM carillon_key WHERE until <= ? LIMIT 1`)
	expired.int(now.UnixMilli())
	k.keys = expired.next()
	return expired.done()
}

// scanChannel notes what is to be done about a channel.
func (w *writer) scanChannel(ch storage.ChannelID, used, now int64) error {
	c, release, err := w.session.look(ch)
	if err != nil {
		return err
	}
	upTo, err := w.session.removable(&c, now)
	if released := release(); err == nil {
		err = released
	}
	if err != nil || c.id == 0 {
		return err
	}
	switch {
	case len(w.keeper.due) >= maxNoted || len(w.keeper.idle) >= maxNoted:
		// They are looked at again.
	case c.first <= upTo:
		w.keeper.due[ch] = struct{}{}
	case c.first > c.last && now-used >= w.store.config.forgetAfter.Milliseconds():
		w.keeper.idle[ch] = struct{}{}
	}
	return nil
}

// removable returns the number of the last event that need not be in the file any more.
func (s *session) removable(c *channel, now int64) (upTo int64, err error) {
	first, err := s.firstKept(c, now)
	if err != nil || c.keepEvents == 0 {
		return first - 1, err
	}
	// The latest are kept for fills.
	from := max(c.last-storage.FillEvents+1, c.first, c.gone+1)
	if from >= first {
		return first - 1, nil
	}
	young, err := s.firstSince(c, from, now-storage.FillAge.Milliseconds()+1)
	return min(first, young) - 1, err
}

// tidy removes some of what is to be removed, within a transaction.
func (w *writer) tidy() error {
	k, now, rows := w.keeper, w.store.config.now(), int64(trimRows)
	visits := 0
	for ch := range k.due {
		if visits++; visits > trimChannels || rows <= 0 {
			break
		}
		c, err := w.channel(ch)
		if err != nil {
			return err
		}
		removed, more, err := w.session.trim(c, now.UnixMilli(), rows)
		if err != nil {
			return err
		}
		if rows -= removed; !more {
			delete(k.due, ch)
		}
	}
	if k.keys && rows > 0 {
		if err := w.tidyKeys(now.UnixMilli(), rows); err != nil {
			return err
		}
	}
	return w.forgetIdle(now)
}

// trim removes up to so many of a channel's events, and the epochs from which nobody
// can continue any more. It reports how many events it has removed, and whether there
// are more.
func (s *session) trim(c *channel, now, rows int64) (removed int64, more bool, err error) {
	if c.id == 0 {
		return 0, false, nil
	}
	upTo, err := s.removable(c, now)
	if err != nil || upTo < c.first {
		return 0, false, err
	}
	if most := c.first + rows - 1; upTo > most {
		upTo, more = most, true
	}
	if upTo >= c.last {
		// Nothing will say any more that there were events.
		c.row = c.last
		set := s.use(`UPDATE carillon_channel SET last = ?, used = ? WHERE id = ?`)
		set.int(c.last)
		set.int(now)
		set.int(c.id)
		if err := set.exec(); err != nil {
			return 0, false, err
		}
	}
	if c.named && upTo > c.hidden {
		if err := s.hideTo(c, upTo); err != nil {
			return 0, false, err
		}
	}
	del := s.use(`DELETE FROM carillon_event WHERE id BETWEEN ? AND ?`)
	del.int(c.eventID(c.first))
	del.int(c.eventID(upTo))
	if err := del.exec(); err != nil {
		return 0, false, err
	}
	removed, c.first = upTo-c.first+1, upTo+1
	return removed, more, s.trimEras(c)
}

// trimEras removes the epochs of a channel whose last position is before the first
// event that is left, and so is a gap.
func (s *session) trimEras(c *channel) error {
	if c.start == 0 {
		return nil
	}
	eras, err := s.eras(c)
	if err != nil {
		return err
	}
	for i := len(eras) - 2; i >= 0; i-- {
		if eras[i+1].start >= c.first-1 {
			continue
		}
		del := s.use(`DELETE FROM carillon_era WHERE channel = ? AND epoch <= ?`)
		del.int(c.id)
		del.int(eras[i].id)
		return del.exec()
	}
	return nil
}

// tidyKeys removes keys that have expired.
func (w *writer) tidyKeys(now, rows int64) error {
	del := w.session.use(`DELETE FROM carillon_key WHERE id IN (SELECT id FROM carillon_key WHERE until <= ? ORDER BY until LIMIT ?)`)
	del.int(now)
	del.int(rows)
	if err := del.exec(); err != nil {
		return err
	}
	w.keeper.keys = w.session.conn.Changes() == rows
	return nil
}

// forgetIdle forgets channels that keep nothing. The store does not know then what they
// had, and says so: from the beginning of an epoch that is newer than all of theirs.
func (w *writer) forgetIdle(now time.Time) error {
	visits, since := 0, int64(0)
	for ch := range w.keeper.forget {
		if visits++; visits > trimChannels {
			break
		}
		delete(w.keeper.forget, ch)
		c, err := w.channel(ch)
		if err != nil {
			return err
		}
		forgotten, err := w.session.forget(c, now.Add(-w.store.config.forgetAfter).UnixMilli())
		if err != nil {
			return err
		}
		if forgotten {
			delete(w.channels, ch)
			since = max(since, c.epoch+1)
		}
	}
	if since == 0 {
		return nil
	}
	newest, _, err := w.session.newestEpoch()
	if err == nil && since > newest {
		_, _, err = w.session.newEpoch(storage.Epoch{}, now)
	}
	if err != nil {
		return err
	}
	// Channels that are not known yet are looked at anew.
	for name, c := range w.channels {
		if c.id == 0 {
			delete(w.channels, name)
		}
	}
	set := w.session.use(`UPDATE carillon_store SET forgot = max(forgot, ?)`)
	set.int(since)
	return set.exec()
}

// forget removes a channel that has kept nothing since a time, and reports whether it
// has.
func (s *session) forget(c *channel, since int64) (bool, error) {
	if c.id == 0 || c.first <= c.last {
		return false, nil
	}
	st := s.use(`SELECT 1 FROM carillon_channel c WHERE id = ?1 AND used <= ?2
		AND NOT EXISTS (SELECT 1 FROM carillon_key WHERE channel = ?1)`)
	st.int(c.id)
	st.int(since)
	idle := st.next()
	if err := st.done(); err != nil || !idle {
		return false, err
	}
	for _, text := range [...]string{`DELETE FROM carillon_era WHERE channel = ?`, `DELETE FROM carillon_channel WHERE id = ?`} {
		del := s.use(text)
		del.int(c.id)
		if err := del.exec(); err != nil {
			return false, err
		}
	}
	return true, nil
}

// keepUp scans, if it is time for that, and removes what is due while nothing else is
// written.
func (w *writer) keepUp() error {
	if w.session == nil {
		return nil
	}
	if now := w.store.config.now(); now.Sub(w.keeper.scanned) >= scanEvery || now.Before(w.keeper.scanned) {
		if err := w.store.sameFile(); err != nil {
			return err
		}
		if err := w.scan(); err != nil {
			return err
		}
	}
	if !w.keeper.busy() {
		return nil
	}
	_, _, err := w.transact(nil, true)
	if errors.Is(err, ErrLocked) {
		return nil // there is always another time
	}
	return err
}
