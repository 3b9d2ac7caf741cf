package sqlite

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/words"
)

const (
	// defaultHits is how many hits a page has where the query does not say.
	defaultHits = 50
	// maxSearched is how many events one call looks at that are no hits.
	maxSearched = 20_000
	// maxRankedCalls is how many times as many a ranked search looks at, so that one that
	// finds little of what is common elsewhere ends.
	maxRankedCalls = 10
	// maxChannelTokens is how many channels are looked up in the index; of more, what is
	// found on others is left out afterwards.
	maxChannelTokens = 64
	// maxVisits is how many channels are looked at for those that patterns stand for.
	maxVisits = 1024
)

// Search implements storage.Search, for a file that WithSearch has given an index. Without
// one its error wraps errors.ErrUnsupported. A search that is ranked looks at up to 200 000
// events that are no hits, and ranks what it has found until then.
func (st *Store) Search(ctx context.Context, q storage.SearchQuery) (page storage.SearchPage, err error) {
	if err := ctx.Err(); err != nil {
		return storage.SearchPage{}, err
	}
	query, err := words.Parse(q.Text)
	if err != nil {
		return storage.SearchPage{}, err
	}
	next, err := parseNext(&q)
	if err != nil {
		return storage.SearchPage{}, err
	}
	want := q.MaxHits
	if want <= 0 {
		want = defaultHits
	}
	indexed := false
	err = st.readers.with(ctx, func(s *session) (err error) {
		if indexed, err = s.indexed(); err != nil || !indexed {
			return err
		}
		if err := s.use(`BEGIN`).exec(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.use(`COMMIT`).exec()) }()
		f := &search{session: s, query: query, now: st.config.now().UnixMilli(), channels: make(map[int64]*searched)}
		if none, err := f.begin(&q); err != nil || none {
			return err
		}
		if q.Ranked {
			page, err = f.ranked(int(min(next, storage.MaxRanked)), want)
		} else {
			page, err = f.newest(next, want)
		}
		return err
	})
	if err == nil && !indexed {
		err = fmt.Errorf("sqlite: the file has no index, which WithSearch gives it: %w", errors.ErrUnsupported) // clients see it
	}
	if err != nil {
		return storage.SearchPage{}, err
	}
	return page, nil
}

// indexed reports whether the file has an index. One that is made stays.
func (s *session) indexed() (bool, error) {
	if !s.hasIndex {
		st := s.use(countIndex)
		s.hasIndex = st.next() && st.ColumnInt64(0) == 1
		if err := st.done(); err != nil {
			return false, err
		}
	}
	return s.hasIndex, nil
}

// parseNext returns what a page's Next stands for: how many of the ranked come before, or
// the row before which the search goes on; the greatest number without one.
func parseNext(q *storage.SearchQuery) (int64, error) {
	kind := "n"
	if q.Ranked {
		kind = "r"
	}
	if q.Next == "" {
		if q.Ranked {
			return 0, nil
		}
		return 1<<63 - 1, nil
	}
	text, ok := strings.CutPrefix(q.Next, kind)
	n, err := strconv.ParseUint(text, 36, 63)
	if !ok || err != nil {
		return 0, &storage.QueryError{Text: "next", Problem: "is not that of a page"}
	}
	return int64(n), nil
}

func nextText(kind string, n int64) string { return kind + strconv.FormatInt(n, 36) }

// search is one search, within a transaction.
type search struct {
	session  *session
	query    *words.Query
	match    string // the query of FTS5
	now      int64
	app      string
	amended  bool     // the file has events that were amended
	only     []string // patterns of the channels that are meant; nil if the index says which
	channels map[int64]*searched
}

// searched is a channel in which something was found.
type searched struct {
	channel  channel
	first    int64                                           // the oldest event that the retention keeps
	position func(number int64) (pos, prev storage.Position) // nil until there is a hit
}

// begin makes the query of FTS5. none says that no channel is meant.
func (f *search) begin(q *storage.SearchQuery) (none bool, err error) {
	f.app = q.App
	st := f.session.use(`SELECT EXISTS (SELECT 1 FROM carillon_state)`)
	f.amended = st.next() && st.ColumnInt64(0) == 1
	if err := st.done(); err != nil {
		return false, err
	}
	var match strings.Builder
	for i, t := range f.query.Tokens() {
		if i > 0 {
			match.WriteString(" AND ")
		}
		match.WriteString(`"` + t.Text + `"`)
		if t.Prefix {
			match.WriteByte('*')
		}
	}
	all := len(q.Channels) == 0 || slices.Contains(q.Channels, "*")
	if all {
		others, err := f.otherApps()
		if err == nil && others {
			match.WriteString(` AND "` + tokenOfApp(q.App) + `"`)
		}
		f.match = match.String()
		return false, err
	}
	ids, all, err := f.meant(q.Channels)
	switch {
	case err != nil || len(ids) == 0 && all:
		return true, err
	case !all:
		match.WriteString(` AND "` + tokenOfApp(q.App) + `"`)
		f.only = q.Channels
	default:
		tokens := make([]string, len(ids))
		for i, id := range ids {
			tokens[i] = `"` + tokenOfChannel(id) + `"`
		}
		match.WriteString(" AND (" + strings.Join(tokens, " OR ") + ")")
	}
	f.match = match.String()
	return false, nil
}

// otherApps reports whether the file has channels of another app than the one that is
// searched.
func (f *search) otherApps() (bool, error) {
	st := f.session.use(`SELECT EXISTS (SELECT 1 FROM carillon_channel WHERE app < ?1) OR EXISTS (SELECT 1 FROM carillon_channel WHERE app > ?1)`)
	st.text(f.app)
	others := st.next() && st.ColumnInt64(0) == 1
	return others, st.done()
}

// meant returns the channels that names and patterns stand for, and whether these are all:
// it looks at so many channels only, and for so many.
func (f *search) meant(patterns []string) (ids []int64, all bool, err error) {
	found := make(map[int64]bool)
	visits := 0
	for _, pattern := range patterns {
		prefix, rest, any := strings.Cut(pattern, "*")
		st := f.session.use(`SELECT id, name FROM carillon_channel WHERE app = ? AND name >= ? ORDER BY name`)
		if !any {
			st = f.session.use(`SELECT id, name FROM carillon_channel WHERE app = ? AND name = ?`)
		}
		st.text(f.app)
		st.text(prefix)
		for st.next() {
			name, ok := strings.CutPrefix(st.ColumnText(1), prefix)
			if !ok {
				break // those that begin so stand together
			}
			if !any || matchesRest(rest, name) {
				found[st.ColumnInt64(0)] = true
			}
			if visits++; visits > maxVisits || len(found) > maxChannelTokens {
				return nil, false, st.done()
			}
		}
		if err := st.done(); err != nil {
			return nil, false, err
		}
	}
	return slices.Sorted(maps.Keys(found)), true, nil
}

// matches reports whether a channel's name is a pattern, or what that stands for.
func matches(pattern, name string) bool {
	prefix, rest, any := strings.Cut(pattern, "*")
	if !any {
		return name == pattern
	}
	name, ok := strings.CutPrefix(name, prefix)
	return ok && matchesRest(rest, name)
}

// matchesRest reports whether what follows the first star of a pattern matches what
// follows in a name.
func matchesRest(rest, name string) bool {
	parts := strings.Split(rest, "*")
	for _, part := range parts[:len(parts)-1] {
		at := strings.Index(name, part)
		if at < 0 {
			return false
		}
		name = name[at+len(part):]
	}
	return strings.HasSuffix(name, parts[len(parts)-1])
}

// What is selected of what was found: all of an event, or what ranking needs. Few files
// have amendments, and looking for them takes time.
const (
	allOfEvent  = `e.event, e.name, e.data, e.flags, e.time, e.user, e.socket, e.exclude, e.target, e.version, d.id`
	allOfState  = `e.event, e.name, CASE WHEN s.id IS NULL THEN e.data ELSE s.data END, e.flags, e.time, e.user, e.socket, e.exclude, e.target, coalesce(s.version, e.version), d.id`
	dataOfEvent = `NULL, NULL, e.data, NULL, NULL, NULL, NULL, NULL, NULL, NULL, d.id`
	dataOfState = `NULL, NULL, CASE WHEN s.id IS NULL THEN e.data ELSE s.data END, NULL, NULL, NULL, NULL, NULL, NULL, NULL, d.id`

	fromIndex = ` FROM carillon_words w CROSS JOIN carillon_doc d ON d.id = w.rowid CROSS JOIN carillon_event e ON e.id = d.event`
	withState = ` LEFT JOIN carillon_state s ON s.id = e.id`
	isFound   = ` WHERE w.carillon_words MATCH ? AND w.rowid < ? ORDER BY w.rowid DESC`
)

// found selects what is found before a row.
func (f *search) found(before int64, dataOnly bool) *statement {
	text := `SELECT e.id, e.appended, ` + allOfEvent + fromIndex + isFound
	switch {
	case f.amended && dataOnly:
		text = `SELECT e.id, e.appended, ` + dataOfState + fromIndex + withState + isFound
	case f.amended:
		text = `SELECT e.id, e.appended, ` + allOfState + fromIndex + withState + isFound
	case dataOnly:
		text = `SELECT e.id, e.appended, ` + dataOfEvent + fromIndex + isFound
	}
	st := f.session.use(text)
	st.text(f.match)
	st.int(before)
	return st
}

// each calls yield with every event that is found before a row, newest first, until it
// returns false or too many were no hits; then next is where to go on.
func (f *search) each(before int64, dataOnly bool, yield func(st *statement, c *searched, found words.Found) bool) (next int64, err error) {
	st := f.found(before, dataOnly)
	for missed := 0; st.next(); {
		c, err := f.channel(st.ColumnInt64(0) >> numberBits)
		if err != nil {
			return 0, errors.Join(err, st.done())
		}
		row := st.ColumnInt64(12)
		var found words.Found
		if c != nil && st.ColumnInt64(0)&maxNumber >= c.first {
			found = f.query.Find(st.ColumnRawBlob(4))
		}
		if len(found.Spans) > 0 {
			if !yield(st, c, found) {
				return row, st.done()
			}
		} else if missed++; missed == maxSearched {
			return row, st.done()
		}
	}
	return 0, st.done()
}

// channel returns a channel by its id; nil if it is not meant.
func (f *search) channel(id int64) (*searched, error) {
	if known, ok := f.channels[id]; ok {
		return known, nil
	}
	f.channels[id] = nil
	c, err := f.session.channelByID(id)
	if err != nil || c.name.App != f.app || f.only != nil &&
		!slices.ContainsFunc(f.only, func(pattern string) bool { return matches(pattern, c.name.Name) }) {
		return nil, err
	}
	found := &searched{channel: c}
	if found.first, err = f.session.firstKept(&c, f.now); err != nil {
		return nil, err
	}
	f.channels[id] = found
	return found, nil
}

// hit returns the event in a row of what is found.
func (f *search) hit(st *statement, c *searched, found words.Found) (hit storage.Hit, err error) {
	if c.position == nil {
		if c.position, err = f.session.positions(&c.channel, 1); err != nil {
			return storage.Hit{}, err
		}
	}
	hit = storage.Hit{Event: st.event(c.channel.name), Highlights: found.Spans}
	hit.Event.Position, hit.Event.Prev = c.position(st.ColumnInt64(0) & maxNumber)
	return hit, nil
}

// newest returns the newest hits before a row.
func (f *search) newest(before int64, want int) (page storage.SearchPage, err error) {
	var last int64
	var failed error
	more, err := f.each(before, false, func(st *statement, c *searched, found words.Found) bool {
		if len(page.Hits) == want {
			return false
		}
		hit, err := f.hit(st, c, found)
		page.Hits, last, failed = append(page.Hits, hit), st.ColumnInt64(12), err
		return err == nil
	})
	if err = errors.Join(failed, err); err != nil {
		return storage.SearchPage{}, err
	}
	switch {
	case more > 0 && len(page.Hits) == want:
		page.Next = nextText("n", last)
	case more > 0:
		page.Next = nextText("n", more)
	}
	return page, nil
}

var _ storage.Search = (*Store)(nil)
