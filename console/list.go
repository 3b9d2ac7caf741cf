package console

import (
	"cmp"
	"encoding/base64"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// sortKey is where something stands in a list: by a number, which may be 0 for all, and by
// two texts, so that no two things are at one place.
type sortKey struct {
	n    int64
	a, b string
}

func (k sortKey) compare(o sortKey, descending bool) int {
	n := cmp.Compare(k.n, o.n)
	text := cmp.Or(cmp.Compare(k.a, o.a), cmp.Compare(k.b, o.b))
	if descending {
		// What is sorted by a number stays in the order of its names where that is the same.
		if k.n == 0 && o.n == 0 {
			return -text
		}
		n = -n
	}
	return cmp.Or(n, text)
}

// String is what the API gives as next.
func (k sortKey) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(k.n, 36) + "\x00" + k.a + "\x00" + k.b))
}

// parseKey reads what String has written.
func parseKey(text string) (sortKey, error) {
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return sortKey{}, invalid("next", "is not what a list has given")
	}
	parts := strings.SplitN(string(data), "\x00", 3)
	if len(parts) != 3 {
		return sortKey{}, invalid("next", "is not what a list has given")
	}
	n, err := strconv.ParseInt(parts[0], 36, 64)
	if err != nil {
		return sortKey{}, invalid("next", "is not what a list has given")
	}
	return sortKey{n, parts[1], parts[2]}, nil
}

// listing is one page of a list.
type listing struct {
	limit      int
	after      *sortKey
	descending bool
}

// listing reads what a call says of a list. by are the words it may be sorted by, of which
// the first is the usual one; a minus before it turns the order.
func (k *call) listing(by ...string) (l listing, sort string, err error) {
	if l.limit, err = k.limit(); err != nil {
		return l, "", err
	}
	sort = by[0]
	if given := k.query.Get("sort"); given != "" {
		sort, l.descending = strings.CutPrefix(given, "-")
		if !slices.Contains(by, sort) {
			return l, "", invalid("sort", "has to be one of "+strings.Join(by, ", "))
		}
	}
	if next := k.query.Get("next"); next != "" {
		key, err := parseKey(next)
		if err != nil {
			return l, "", err
		}
		l.after = &key
	}
	return l, sort, nil
}

type keyed[T any] struct {
	key  sortKey
	item T
}

// pageOf goes through all once, however many there are, and holds one page of them: those
// that come next, what the page after it begins behind, and how many there are in all.
func pageOf[T any](all iter.Seq2[sortKey, T], l listing) (items []T, next string, total int) {
	var page []keyed[T]
	more := false
	compare := func(a keyed[T], b sortKey) int { return a.key.compare(b, l.descending) }
	for key, item := range all {
		total++
		if l.after != nil && key.compare(*l.after, l.descending) <= 0 {
			continue
		}
		if len(page) == l.limit {
			more = true
			if compare(page[len(page)-1], key) <= 0 {
				continue
			}
			page = page[:len(page)-1]
		}
		at, _ := slices.BinarySearchFunc(page, key, compare)
		page = slices.Insert(page, at, keyed[T]{key, item})
	}
	items = make([]T, len(page))
	for i := range page {
		items[i] = page[i].item
	}
	if more && len(page) > 0 {
		next = page[len(page)-1].key.String()
	}
	return items, next, total
}

// answerOf is a page as the API has it, with each thing as item makes it.
func answerOf[T, J any](all iter.Seq2[sortKey, T], l listing, item func(T) J) any {
	some, next, total := pageOf(all, l)
	items := make([]J, len(some))
	for i := range some {
		items[i] = item(some[i])
	}
	return struct {
		Total int    `json:"total"`
		Items []J    `json:"items"`
		Next  string `json:"next,omitempty"`
	}{total, items, next}
}

// scan waits for its turn to go through everything. It fails when the call ends before.
func (c *Console) scan(k *call) (done func(), err error) {
	select {
	case c.scans <- struct{}{}:
		return func() { <-c.scans }, nil
	case <-k.r.Context().Done():
		return nil, k.r.Context().Err()
	}
}
