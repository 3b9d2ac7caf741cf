package memory

import (
	"cmp"
	"container/heap"
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/words"
)

const (
	// defaultHits is how many hits a page has where the query does not say.
	defaultHits = 50
	// maxSearched is how many events one call looks at.
	maxSearched = 200_000
)

// Search implements storage.Search. It has no index: it looks at the events of all
// channels that are meant, newest first, at up to 200 000 with one call.
func (s *Store) Search(ctx context.Context, q storage.SearchQuery) (storage.SearchPage, error) {
	if err := ctx.Err(); err != nil {
		return storage.SearchPage{}, err
	}
	query, err := words.Parse(q.Text)
	if err != nil {
		return storage.SearchPage{}, err
	}
	after, err := parseNext(&q)
	if err != nil {
		return storage.SearchPage{}, err
	}
	want := q.MaxHits
	if want <= 0 {
		want = defaultHits
	}
	search := search{store: s, query: query, now: s.now()}
	if !q.Ranked {
		search.begin(&q, after.place)
		return search.page(ctx, want)
	}
	search.begin(&q, place{})
	all, err := search.page(ctx, storage.MaxRanked)
	if err != nil {
		return storage.SearchPage{}, err
	}
	type scored struct {
		hit   int
		score float64
	}
	scores := make([]scored, len(all.Hits))
	for i := range all.Hits {
		scores[i] = scored{i, query.Find(all.Hits[i].Event.Data).Score}
	}
	slices.SortStableFunc(scores, func(a, b scored) int { return cmp.Compare(b.score, a.score) })
	scores = scores[min(after.Rank, len(scores)):]
	page := storage.SearchPage{}
	if len(scores) > want {
		scores, page.Next = scores[:want], next{Rank: after.Rank + want}.String()
	}
	for _, s := range scores {
		page.Hits = append(page.Hits, all.Hits[s.hit])
	}
	return page, nil
}

// place is where a search has come to: it goes on with what is older.
type place struct {
	At       time.Duration
	Channel  string
	Position storage.Position
}

// after reports whether p comes after q in a search, which begins with the newest.
func (p place) after(q place) bool {
	if p.At != q.At {
		return p.At < q.At
	}
	if p.Channel != q.Channel {
		return p.Channel < q.Channel
	}
	return p.Position.Before(q.Position)
}

// next is what SearchPage.Next says.
type next struct {
	place
	Rank int
}

// String returns the text of n.
func (n next) String() string {
	text, _ := json.Marshal(n) // has no values that cannot be encoded
	return base64.RawURLEncoding.EncodeToString(text)
}

func parseNext(q *storage.SearchQuery) (n next, err error) {
	if q.Next == "" {
		return next{}, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(q.Next)
	if err == nil {
		err = json.Unmarshal(text, &n)
	}
	if err != nil || n.Rank < 0 || q.Ranked != (n.Rank > 0) {
		return next{}, &storage.QueryError{Text: "next", Problem: "is not that of a page"}
	}
	return n, nil
}

// search looks at the events of several channels together, newest first.
type search struct {
	store *Store
	query *words.Query
	now   time.Duration
	from  sources
}

// source is a channel in a search, and its event that comes next in it.
type source struct {
	h *history
	place
	event storage.Event
}

// begin finds the channels that have events behind a place; the zero place is before all.
func (s *search) begin(q *storage.SearchQuery, after place) {
	s.store.histories.Range(func(id storage.ChannelID, h *history) bool {
		if id.App == q.App && matchesAny(q.Channels, id.Name) {
			src := &source{h: h, place: after}
			if src.advance(s.now) {
				s.from = append(s.from, src)
			}
		}
		return true
	})
	heap.Init(&s.from)
}

// advance goes on to the next older event, and reports whether there is one.
func (s *source) advance(now time.Duration) bool {
	h := s.h
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gone {
		return false
	}
	h.expire(now, 0)
	for i := h.newestBefore(s.place); i >= 0; i-- {
		e := h.entry(i)
		if e == nil {
			return false
		}
		s.At, s.Channel, s.Position = e.at, h.id.Name, e.event.Position
		if e.event.Amends == 0 && !e.event.Retracted {
			s.event = e.current()
			return true
		}
	}
	return false
}

// page returns what is found next.
func (s *search) page(ctx context.Context, want int) (storage.SearchPage, error) {
	var page storage.SearchPage
	var last place
	for looked := 0; len(s.from) > 0; looked++ {
		if looked%1024 == 1023 && ctx.Err() != nil {
			return storage.SearchPage{}, ctx.Err()
		}
		if len(page.Hits) == want || looked == maxSearched {
			page.Next = next{place: last}.String()
			break
		}
		src := s.from[0]
		last = src.place
		if found := s.query.Find(src.event.Data); len(found.Spans) > 0 {
			ev := src.event
			page.Hits = append(page.Hits, storage.Hit{Event: ev, Highlights: found.Spans})
		}
		if src.advance(s.now) {
			heap.Fix(&s.from, 0)
		} else {
			heap.Pop(&s.from)
		}
	}
	return page, nil
}

// newestBefore returns the index of the newest entry that comes after a place in a
// search; -1 if there is none. The caller holds h.mu.
func (h *history) newestBefore(p place) int {
	n := h.entries()
	if p == (place{}) {
		return n - 1
	}
	lo, hi := 0, n // entries below lo come after p, those from hi on do not
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		e := h.entryAt(mid)
		if (place{At: e.at, Channel: h.id.Name, Position: e.event.Position}).after(p) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo - 1
}

// entries is how many events and amendments there are, hidden ones included.
func (h *history) entries() int {
	if h.amended != nil {
		return h.amended.old.n + h.events.n
	}
	return h.events.n
}

// entryAt returns the i-th oldest of them.
func (h *history) entryAt(i int) *entry {
	if h.amended != nil {
		if i < h.amended.old.n {
			return h.amended.old.at(i)
		}
		i -= h.amended.old.n
	}
	return h.events.at(i)
}

// entry is entryAt, and nil for one that is hidden.
func (h *history) entry(i int) *entry {
	hidden := 0
	if oldest := h.oldest(); h.hidden >= oldest {
		hidden = h.entries() - h.events.n + int(h.hidden-oldest+1)
	}
	if i < hidden {
		return nil
	}
	return h.entryAt(i)
}

// matchesAny reports whether a channel is meant by one of the patterns, or there is none.
func matchesAny(patterns []string, name string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return matches(p, name) })
}

// matches reports whether a pattern, in which "*" stands for any text, matches a name.
func matches(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == name
	}
	name, ok := strings.CutPrefix(name, parts[0])
	if !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(name, part)
		if at < 0 {
			return false
		}
		name = name[at+len(part):]
	}
	return strings.HasSuffix(name, parts[len(parts)-1])
}

// sources is a heap with the newest event on top.
type sources []*source

func (s sources) Len() int           { return len(s) }
func (s sources) Less(i, j int) bool { return s[j].place.after(s[i].place) }
func (s sources) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }

// Push is for heap.Push only.
func (s *sources) Push(x any) { *s = append(*s, x.(*source)) }

// Pop is for heap.Pop only.
func (s *sources) Pop() any {
	old := *s
	last := old[len(old)-1]
	*s = old[:len(old)-1]
	return last
}
