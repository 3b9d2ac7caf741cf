package sqlite

import (
	"context"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

// Read implements storage.History. The page's events are the caller's.
func (st *Store) Read(ctx context.Context, ch storage.ChannelID, opts storage.ReadOptions) (page storage.Page, err error) {
	err = st.readers.with(ctx, func(s *session) (err error) {
		page, err = s.read(ch, opts, st.config.now())
		return err
	})
	if err != nil {
		return storage.Page{}, err
	}
	return page, nil
}

// Latest implements storage.History.
func (st *Store) Latest(ctx context.Context, channels []storage.ChannelID) (all []storage.Position, err error) {
	err = st.readers.with(ctx, func(s *session) error {
		all = make([]storage.Position, len(channels))
		return s.latestOf(channels, all)
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// latestOf asks one channel after another: each answer is of its own moment.
func (s *session) latestOf(channels []storage.ChannelID, all []storage.Position) error {
	for i, ch := range channels {
		c, release, err := s.look(ch)
		if err != nil {
			return err
		}
		all[i], err = s.latest(&c)
		if released := release(); err == nil {
			err = released
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// read returns a page.
func (s *session) read(ch storage.ChannelID, opts storage.ReadOptions, now time.Time) (page storage.Page, err error) {
	c, release, err := s.look(ch)
	if err != nil {
		return storage.Page{}, err
	}
	defer func() {
		if released := release(); err == nil {
			err = released
		}
	}()
	if page.Latest, err = s.latest(&c); err != nil {
		return storage.Page{}, err
	}
	// Where nothing was amended, the log is what there is.
	opts.Current = opts.Current && c.named
	first, last, err := s.bounds(&c, opts, now.UnixMilli())
	if err != nil || first > last {
		return page, err
	}
	if opts.Current {
		return page, s.fillCurrent(&c, &page, first, last, opts)
	}
	return page, s.fill(&c, &page, first, last, opts)
}

// bounds returns the numbers of the oldest and of the newest event to read.
func (s *session) bounds(c *channel, opts storage.ReadOptions, now int64) (first, last int64, err error) {
	last = c.last
	if opts.Fill {
		first = max(c.gone+1, c.first)
	} else if first, err = s.firstKept(c, now); err != nil {
		return 0, 0, err
	}
	if !opts.Current {
		first = max(first, c.cut+1)
	}
	if opts.From.IsZero() {
		return first, last, nil
	}
	from, known, err := s.place(c, opts.From)
	switch {
	case err != nil:
		return 0, 0, err
	case !known || !opts.Backward && from+1 < first:
		return 0, 0, s.gap(c, opts.From, first)
	case !opts.Backward:
		first = from + 1
	case opts.Inclusive || opts.From.Offset == 0: // where no event is
		last = from
	default:
		last = from - 1
	}
	return first, last, nil
}

// gap is the error of a read from a position that cannot be continued from; first is
// the oldest event that could be read.
func (s *session) gap(c *channel, from storage.Position, first int64) error {
	gap := &storage.GapError{Channel: c.name, From: from}
	var err error
	if gap.Latest, err = s.latest(c); err != nil {
		return err
	}
	if first <= c.last {
		position, err := s.positions(c, first)
		if err != nil {
			return err
		}
		gap.Oldest, _ = position(first)
	}
	return gap
}

const (
	selectEvents   = `SELECT id, appended, event, name, data, flags, time, user, socket, exclude, target, version FROM carillon_event WHERE id BETWEEN ? AND ? ORDER BY id`
	selectBackward = selectEvents + ` DESC`
)

// fill reads the events with numbers from first to last, as far as the options say.
func (s *session) fill(c *channel, page *storage.Page, first, last int64, opts storage.ReadOptions) error {
	limit := last - first + 1
	if opts.MaxEvents > 0 && int64(opts.MaxEvents) < limit {
		limit, page.More = int64(opts.MaxEvents), true
	}
	text := selectEvents
	if opts.Backward {
		text, first = selectBackward, max(first, last-limit+1)
	} else {
		last = min(last, first+limit-1)
	}
	position, err := s.positions(c, first)
	if err != nil {
		return err
	}
	page.Events = make([]storage.Event, 0, limit)
	bytes := 0
	st := s.use(text)
	st.int(c.eventID(first))
	st.int(c.eventID(last))
	for st.next() {
		size := len(st.ColumnRawBlob(4))
		if bytes += size; opts.MaxBytes > 0 && bytes > opts.MaxBytes && len(page.Events) > 0 {
			page.More = true
			break
		}
		page.Events = append(page.Events, st.event(c.name))
		ev := &page.Events[len(page.Events)-1]
		ev.Position, ev.Prev = position(st.ColumnInt64(0) & maxNumber)
	}
	return st.done()
}

// event returns the event in the row of selectEvents, without its position.
func (st *statement) event(ch storage.ChannelID) storage.Event {
	flags := st.ColumnInt64(5)
	return storage.Event{
		ID:        st.ColumnText(2),
		Name:      st.ColumnText(3),
		Channel:   ch.Name,
		Data:      st.ColumnBlob(4, nil),
		JSON:      flags&flagJSON != 0,
		Retracted: flags&flagRetracted != 0,
		Amends:    storage.AmendKind(flags / flagAmends),
		Time:      time.UnixMicro(1000*st.ColumnInt64(1) + st.ColumnInt64(6)),
		UserID:    st.ColumnText(7),
		SocketID:  st.ColumnText(8),
		Exclude:   st.ColumnText(9),
		Target:    st.ColumnText(10),
		Version:   uint64(st.ColumnInt64(11)),
	}
}
