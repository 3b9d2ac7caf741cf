package sqlite

import (
	"cmp"
	"container/heap"
	"errors"
	"slices"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/words"
)

// scored is a hit of a ranked search: its row, and its score or what that can be at most.
type scored struct {
	row   int64
	score float64
}

// compare orders the better one first, and the newer of two that are as good.
func (a scored) compare(b scored) int {
	if c := cmp.Compare(b.score, a.score); c != 0 {
		return c
	}
	return cmp.Compare(b.row, a.row)
}

// ranked returns the best of the newest hits, but for those that pages before have had.
func (f *search) ranked(skip, want int) (page storage.SearchPage, err error) {
	all, err := f.candidates()
	if err != nil {
		return storage.SearchPage{}, err
	}
	skip = min(skip, len(all)) // it comes from the client
	best := skip + min(len(all)-skip, want)
	if best < len(all) {
		page.Next = nextText("r", int64(best))
	}
	slices.SortFunc(all, scored.compare)
	if all, err = f.best(all, best); err != nil {
		return storage.SearchPage{}, err
	}
	for _, one := range all[skip:] {
		err := f.read(one.row, func(st *statement, c *searched, found words.Found) error {
			hit, err := f.hit(st, c, found)
			page.Hits = append(page.Hits, hit)
			return err
		})
		if err != nil {
			return storage.SearchPage{}, err
		}
	}
	return page, nil
}

// candidates returns the newest hits, with what their scores can be at most; those of a
// query for which the index finds too much are read, and have their scores.
func (f *search) candidates() (all []scored, err error) {
	if f.query.Exact() {
		return f.outlined()
	}
	var more int64 = 1<<63 - 1
	for calls := 0; more > 0 && len(all) < storage.MaxRanked && calls < maxRankedCalls; calls++ {
		if more, err = f.each(more, true, func(st *statement, _ *searched, found words.Found) bool {
			all = append(all, scored{st.ColumnInt64(12), found.Score})
			return len(all) < storage.MaxRanked
		}); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// outlined returns the newest hits of a query for which the index finds nothing else, by
// their outlines.
func (f *search) outlined() (all []scored, err error) {
	st := f.session.use(`SELECT d.event, d.id, d.outline FROM carillon_words w CROSS JOIN carillon_doc d ON d.id = w.rowid
		WHERE w.carillon_words MATCH ? ORDER BY w.rowid DESC`)
	st.text(f.match)
	for missed := 0; len(all) < storage.MaxRanked && missed < maxSearched*maxRankedCalls && st.next(); {
		id := st.ColumnInt64(0)
		c, err := f.channel(id >> numberBits)
		if err != nil {
			return nil, errors.Join(err, st.done())
		}
		if c == nil || id&maxNumber < c.first {
			missed++
			continue
		}
		all = append(all, scored{st.ColumnInt64(1), f.query.Bound(words.Outline(st.ColumnInt64(2)))})
	}
	return all, st.done()
}

// best returns the n best of candidates that are in the order of what they can be at most. It
// reads them until no other can be better.
func (f *search) best(all []scored, n int) ([]scored, error) {
	if !f.query.Exact() {
		return all[:n], nil // they have been read
	}
	top := make(worstFirst, 0, n)
	for _, one := range all {
		if len(top) == n && (n == 0 || top[0].compare(one) < 0) {
			break
		}
		err := f.read(one.row, func(_ *statement, _ *searched, found words.Found) error {
			one.score = found.Score
			return nil
		})
		if err != nil {
			return nil, err
		}
		switch {
		case len(top) < n:
			heap.Push(&top, one)
		case one.compare(top[0]) < 0:
			top[0] = one
			heap.Fix(&top, 0)
		}
	}
	slices.SortFunc(top, scored.compare)
	return top, nil
}

// read calls use with the event of a row of the index.
func (f *search) read(row int64, use func(*statement, *searched, words.Found) error) (err error) {
	st := f.session.use(`SELECT e.id, e.appended, ` + allOfState +
		` FROM carillon_doc d JOIN carillon_event e ON e.id = d.event` + withState + ` WHERE d.id = ?`)
	st.int(row)
	if st.next() {
		err = use(st, f.channels[st.ColumnInt64(0)>>numberBits], f.query.Find(st.ColumnRawBlob(4)))
	}
	return errors.Join(err, st.done())
}

// worstFirst is a heap of the best so far, with the worst of them in front.
type worstFirst []scored

func (h worstFirst) Len() int           { return len(h) }
func (h worstFirst) Less(i, j int) bool { return h[i].compare(h[j]) > 0 }
func (h worstFirst) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *worstFirst) Push(x any)        { *h = append(*h, x.(scored)) }
func (h *worstFirst) Pop() any          { panic("nothing is taken out") }
