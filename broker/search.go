package broker

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/carillon-rt/carillon/storage"
)

// Limits of searches.
const (
	// MaxHits is the most hits that one page of a search has, and DefaultHits how many it
	// has where HitsAtMost does not say.
	MaxHits, DefaultHits = 200, 50
	// MaxSearched is how many channels or patterns a search may name.
	MaxSearched = 100
)

// SearchPage is a stretch of what a search has found.
type SearchPage = storage.SearchPage

// Hit is an event that a search has found, and where in its data the words are.
type Hit = storage.Hit

// SearchOption says how to search.
type SearchOption func(*storage.SearchQuery)

// Ranked returns the best hits first: those in which the words come more often, in a
// shorter text. Only the newest storage.MaxRanked hits take part. Without it the newest
// come first.
func Ranked() SearchOption { return func(q *storage.SearchQuery) { q.Ranked = true } }

// HitsAtMost sets how many hits a page has, from 1 to MaxHits.
func HitsAtMost(n int) SearchOption { return func(q *storage.SearchQuery) { q.MaxHits = n } }

// NextHits continues after a page, whose Next it is given. The rest of the search must be
// the same.
func NextHits(next string) SearchOption { return func(q *storage.SearchQuery) { q.Next = next } }

// InChannel searches another channel, or the channels of another pattern, as well.
func InChannel(name string) SearchOption {
	return func(q *storage.SearchQuery) { q.Channels = append(q.Channels, name) }
}

// Search returns events whose data has all words of a text, of a channel or of the
// channels whose names match a pattern: "*" stands for any text, and "" for all channels.
// "hel*" finds words that begin with "hel"; in Chinese, Japanese and Thai, which do not
// separate words, any stretch is found. Upper and lower case are the same. Of data that is
// JSON the strings are searched, without the names of fields. Package storage/words has it
// all.
//
// What amendments have made of an event is found, and nothing that was retracted. A page
// may have fewer hits than were asked for, or none, and a Next: a store bounds what it
// does at once. Who may see what is found is up to the caller: no hook is asked, and
// channels that need authorization are searched as all others. Data of encrypted channels
// is sealed, and not found.
//
// Errors wrap ErrInvalid, errors.ErrUnsupported if the store finds nothing by its words,
// or are the store's.
func (a *App) Search(ctx context.Context, channel, text string, opts ...SearchOption) (SearchPage, error) {
	page, err := a.search(ctx, channel, text, opts)
	if h := &a.broker.observers; err != nil && h.want(a.id, ObserveRequestRefused) {
		h.tell(ctx, a.id, RequestRefused{App: a.id, Action: "search", Channel: channel, Err: err})
	}
	return page, err
}

func (a *App) search(ctx context.Context, channel, text string, opts []SearchOption) (SearchPage, error) {
	q := storage.SearchQuery{App: a.id, Text: text, MaxHits: DefaultHits}
	if channel != "" {
		q.Channels = []string{channel}
	}
	for _, opt := range opts {
		opt(&q)
	}
	b := a.broker
	if err := checkSearch(&q); err != nil {
		return SearchPage{}, b.refusal(err)
	}
	page, err := b.history.(storage.Search).Search(ctx, q)
	var bad *storage.QueryError
	switch {
	case errors.As(err, &bad):
		field := "q"
		if bad.Text == "next" {
			field = bad.Text
		}
		return SearchPage{}, b.refusal(&FieldError{Field: field, Problem: bad.Problem, Limit: bad.Limit, Got: bad.Got})
	case errors.Is(err, errors.ErrUnsupported):
		return SearchPage{}, err
	case err != nil:
		return SearchPage{}, b.storeFailed("history search", ChannelID{App: a.id, Name: channel}, err)
	}
	// What is sealed has no words, but what looks like some.
	page.Hits = slices.DeleteFunc(page.Hits, func(h Hit) bool { return KindOf(h.Event.Channel).Base() == Encrypted })
	for i := range page.Hits {
		page.Hits[i].Event.Exclude, page.Hits[i].Event.Prev = "", Position{} // for those who hand it out
	}
	return page, nil
}

// shortPattern makes one star of several, which mean the same and cost more.
func shortPattern(pattern string) string {
	if !strings.Contains(pattern, "**") {
		return pattern
	}
	var short strings.Builder
	for i := range len(pattern) {
		if pattern[i] != '*' || i == 0 || pattern[i-1] != '*' {
			short.WriteByte(pattern[i])
		}
	}
	return short.String()
}

// checkSearch checks a search, and makes its patterns as short as they can be.
func checkSearch(q *storage.SearchQuery) error {
	switch {
	case q.MaxHits < 1 || q.MaxHits > MaxHits:
		return &FieldError{Field: "limit", Problem: "is not between 1 and the limit", Limit: MaxHits, Got: q.MaxHits}
	case len(q.Channels) > MaxSearched:
		return &FieldError{Field: "channel", Problem: "is given too often", Limit: MaxSearched, Got: len(q.Channels)}
	}
	q.Channels = slices.Clone(q.Channels)
	for i, name := range q.Channels {
		name = shortPattern(name)
		q.Channels[i] = name
		plain := strings.ReplaceAll(name, "*", "")
		if plain == "" && name != "" || strings.HasPrefix(plain, serverToUserPrefix) {
			continue
		}
		if err := CheckChannelName(plain); err != nil {
			return &FieldError{Field: "channel", Value: name, Problem: "is neither the name of a channel nor a pattern with *"}
		}
	}
	return nil
}
