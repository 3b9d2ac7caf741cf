package sqlite

import (
	"fmt"
	"sort"

	"github.com/carillon-rt/carillon/storage"
)

const (
	// numberBits of an event's id are its number, and the rest its channel's id.
	numberBits = 38
	// maxNumber is how many events a channel can ever have.
	maxNumber = 1<<numberBits - 1
	// maxChannels is how many channels a file can have at a time.
	maxChannels = 1<<(63-numberBits) - 1
)

// channel is what the file knows of a channel, as its row of carillon_channel says and
// its events do. Numbers count its events over all epochs, from 1 on.
type channel struct {
	id    int64
	name  storage.ChannelID
	row   int64 // the last event that the row knows of
	last  int64 // the last event
	first int64 // the first event that is still in the file; last+1 if there is none
	top   int64 // the last event that was in the file when c was read; 0 if there was none
	gone  int64 // events up to this are not kept, not even for fills
	// deleted is up to where the keys of events were deleted.
	deleted int64
	// hidden is up to where the retention of earlier appends has removed events; that
	// of the last one counts besides.
	hidden     int64
	keepEvents int64
	keepAge    int64 // milliseconds; 0 is no bound
	epoch      int64 // of the last event
	start      int64 // the event before the first of that epoch
	since      int64 // the first epoch of which it is known what the channel had
	appended   int64 // when the last event was, if that is known; milliseconds
	check      int64 // when to look next for events that are too old; milliseconds

	// named, extra, live and cut are those of amend_log.go.
	named            bool
	extra, live, cut int64

	// current is the epoch that the channel's next event is of: that in which the file
	// was opened, or a newer one that began for this channel alone.
	current int64
}

const (
	channelColumns = `
SELECT s.opened, s.forgot, c.id, c.last, c.gone, c.deleted, c.hidden,
	c.keep_events, c.keep_age, c.epoch, c.start, c.since,
	(SELECT max(id) FROM carillon_event WHERE id BETWEEN c.id << 38 AND c.id << 38 | 274877906943),
	(SELECT min(id) FROM carillon_event WHERE id BETWEEN c.id << 38 AND c.id << 38 | 274877906943),
	c.named, c.extra, c.live, c.cut, c.app, c.name`
	selectChannel = channelColumns + `
FROM carillon_store s LEFT JOIN carillon_channel c ON c.app = ?1 AND c.name = ?2
WHERE s.one = 1`
	selectChannelByID = channelColumns + `
FROM carillon_store s JOIN carillon_channel c ON c.id = ?1
WHERE s.one = 1`
)

// look reads what the file knows of a channel: its id is 0 if that is nothing. What is
// read by the same session until release is called comes from the same moment.
func (s *session) look(ch storage.ChannelID) (c channel, release func() error, err error) {
	st := s.use(selectChannel)
	st.text(ch.App)
	st.text(ch.Name)
	if !st.next() {
		err := st.done()
		if err == nil {
			err = fmt.Errorf("%w: carillon_store is empty", ErrCorrupt)
		}
		return channel{}, nil, err
	}
	return st.channel(ch), st.done, nil
}

// channelByID reads what the file knows of a channel, within a transaction. Its id is 0 if
// there is none.
func (s *session) channelByID(id int64) (c channel, err error) {
	st := s.use(selectChannelByID)
	st.int(id)
	if st.next() {
		c = st.channel(storage.ChannelID{App: st.ColumnText(18), Name: st.ColumnText(19)})
	}
	return c, st.done()
}

// channel returns what a row of channelColumns says of a channel.
func (st *statement) channel(ch storage.ChannelID) channel {
	c := channel{name: ch, current: st.ColumnInt64(0)}
	if c.id = st.ColumnInt64(2); c.id == 0 {
		c.since, c.first = st.ColumnInt64(1), 1
		c.current = max(c.current, c.since)
		c.epoch = c.current
		return c
	}
	c.row, c.gone, c.deleted, c.hidden = st.ColumnInt64(3), st.ColumnInt64(4), st.ColumnInt64(5), st.ColumnInt64(6)
	c.keepEvents, c.keepAge = st.ColumnInt64(7), st.ColumnInt64(8)
	c.epoch, c.start, c.since = st.ColumnInt64(9), st.ColumnInt64(10), st.ColumnInt64(11)
	c.top = st.ColumnInt64(12) & maxNumber
	c.last, c.current = max(c.row, c.top), max(c.current, c.epoch)
	if c.first = st.ColumnInt64(13) & maxNumber; c.first == 0 {
		c.first = c.last + 1
	}
	c.named = st.ColumnInt64(14) == 1
	c.extra, c.live, c.cut = st.ColumnInt64(15), st.ColumnInt64(16), st.ColumnInt64(17)
	return c
}

// eventID is the id of the channel's event with a number.
func (c *channel) eventID(number int64) int64 { return c.id<<numberBits | number }

// removed is up to where no event is history by its number.
func (c *channel) removed() int64 { return max(c.hidden, c.gone, c.last-c.keepEvents-c.extra) }

// latest returns the channel's latest position.
func (s *session) latest(c *channel) (storage.Position, error) {
	current, err := s.epoch(c.current)
	if err != nil || c.epoch != c.current {
		return storage.Position{Epoch: current}, err
	}
	return storage.Position{Epoch: current, Offset: uint64(c.last - c.start)}, nil
}

// firstKept returns the number of the oldest event that the retention keeps at a time;
// last+1 if it keeps none.
func (s *session) firstKept(c *channel, now int64) (int64, error) {
	first := max(c.removed()+1, c.first)
	if c.keepAge == 0 || first > c.last {
		return first, nil
	}
	return s.firstSince(c, first, now-c.keepAge+1)
}

// firstSince returns the number of the first event from one on that was appended at a
// time or later; last+1 if none was. All of them are in the file.
func (s *session) firstSince(c *channel, from, since int64) (int64, error) {
	var failed error
	// Most often that is the first one already.
	n := int64(sort.Search(int(c.last-from+1), func(i int) bool {
		at, err := s.appendedAt(c, from+int64(i))
		if err != nil {
			failed = err
		}
		return at >= since
	}))
	return from + n, failed
}

// appendedAt returns when an event was appended, in milliseconds. Of one that was cut out
// of the log it is when the next one was.
func (s *session) appendedAt(c *channel, number int64) (at int64, err error) {
	st := s.use(`SELECT appended FROM carillon_event WHERE id BETWEEN ? AND ? ORDER BY id LIMIT 1`)
	st.int(c.eventID(number))
	st.int(c.eventID(c.last))
	if !st.next() {
		if err := st.done(); err != nil {
			return 0, err
		}
		return 0, fmt.Errorf("%w: event %d of channel %v is missing", ErrCorrupt, number, c.name)
	}
	at = st.ColumnInt64(0)
	return at, st.done()
}

// era is a stretch of a channel's events within one epoch.
type era struct {
	id    int64 // of the epoch
	epoch storage.Epoch
	start int64 // the event before its first
}

// eras returns those that the file still knows of, oldest first; the last is that of
// the channel's last event.
func (s *session) eras(c *channel) (eras []era, err error) {
	st := s.use(`SELECT epoch, start FROM carillon_era WHERE channel = ? ORDER BY epoch`)
	st.int(c.id)
	for st.next() {
		eras = append(eras, era{id: st.ColumnInt64(0), start: st.ColumnInt64(1)})
	}
	if err := st.done(); err != nil {
		return nil, err
	}
	eras = append(eras, era{id: c.epoch, start: c.start})
	for i := range eras {
		if eras[i].epoch, err = s.epoch(eras[i].id); err != nil {
			return nil, err
		}
	}
	return eras, nil
}

// place returns the number of the event at a position, and whether it is one that the
// channel had.
func (s *session) place(c *channel, p storage.Position) (number int64, known bool, err error) {
	eras := []era{{id: c.epoch, start: c.start}}
	if eras[0].epoch, err = s.epoch(c.epoch); err != nil {
		return 0, false, err
	}
	if p.Epoch != eras[0].epoch {
		if eras, err = s.eras(c); err != nil {
			return 0, false, err
		}
	}
	for i, e := range eras {
		if e.epoch != p.Epoch {
			continue
		}
		end := c.last
		if i+1 < len(eras) {
			end = eras[i+1].start
		}
		return e.start + int64(p.Offset), p.Offset <= uint64(end-e.start), nil
	}
	if p.Offset != 0 {
		return 0, false, nil
	}
	// The beginning of an epoch in which the channel had no event.
	id, err := s.epochID(p.Epoch)
	if err != nil || id < c.since || id > c.current || id == 0 {
		return 0, false, err
	}
	number = c.last
	for i := len(eras) - 1; i >= 0 && eras[i].id > id; i-- {
		number = eras[i].start
	}
	return number, true, nil
}

// positions returns what gives the events of a channel from one on their positions.
func (s *session) positions(c *channel, from int64) (func(number int64) (pos, prev storage.Position), error) {
	eras := []era{{id: c.epoch, start: c.start}}
	var err error
	if c.start == 0 || from > c.start+1 {
		eras[0].epoch, err = s.epoch(c.epoch)
	} else {
		eras, err = s.eras(c)
	}
	if err != nil {
		return nil, err
	}
	return func(number int64) (pos, prev storage.Position) {
		i := len(eras) - 1
		for i > 0 && number <= eras[i].start {
			i--
		}
		pos = storage.Position{Epoch: eras[i].epoch, Offset: uint64(number - eras[i].start)}
		if pos.Offset == 1 && i > 0 {
			prev = storage.Position{Epoch: eras[i-1].epoch, Offset: uint64(eras[i].start - eras[i-1].start)}
		}
		return pos, prev
	}, nil
}
