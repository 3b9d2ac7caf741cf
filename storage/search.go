package storage

import (
	"context"
	"errors"
	"fmt"
)

// Search is implemented by a History that finds events by the words in them. It
// searches what a current read of History returns: edited events by their newer text,
// and neither retracted ones nor amendments. Package words says what a word is, and
// which text an event has.
type Search interface {
	// Search returns events whose data holds the words of q.Text: the newest first,
	// or the best with q.Ranked. Errors wrap ErrBadQuery, or errors.ErrUnsupported if
	// the store was not set up for it.
	Search(ctx context.Context, q SearchQuery) (SearchPage, error)
}

// SearchQuery says what to search for.
type SearchQuery struct {
	App string
	// Channels are names of channels, or patterns in which "*" stands for any
	// text. Empty means all of the app's.
	Channels []string
	// Text holds the words that an event must have, all of them; a word with "*" behind
	// it is the beginning of one.
	Text string
	// Ranked returns the best of the newest MaxRanked hits first. The newest come first
	// among hits that are equally good, and without it.
	Ranked bool
	// MaxHits is the most hits to return; 0 leaves it to the store.
	MaxHits int
	// Next continues after a page: it is that page's Next. The rest of the query
	// must be the same.
	Next string
}

// MaxRanked is how many of the newest hits a store ranks.
const MaxRanked = 10_000

// SearchPage is a stretch of what was found.
type SearchPage struct {
	Hits []Hit
	// Next continues the search after this page; empty at its end. A store that bounds
	// the work of one call may return a page with fewer hits, or none, and Next.
	Next string
}

// Hit is an event that was found.
type Hit struct {
	// Event is the event as it is now.
	Event Event
	// Highlights are the places of the words in Event.Data, in order and without
	// overlaps. There is one at least.
	Highlights []Span
}

// Span is a stretch of bytes, from Start up to but without End.
type Span struct {
	Start, End int
}

// ErrBadQuery is wrapped by errors that say that a query is not valid.
var ErrBadQuery = errors.New("query is not valid")

// QueryError says what is wrong with a query. It wraps ErrBadQuery.
type QueryError struct {
	// Text is the part that is wrong, where it is short and helps.
	Text string
	// Problem says what is wrong, as in "has no word".
	Problem string
	// Limit and Got are set where a limit is exceeded.
	Limit, Got int
}

// Error implements error.
func (e *QueryError) Error() string {
	s := fmt.Sprintf("%v: it %s", ErrBadQuery, e.Problem)
	if e.Text != "" {
		s = fmt.Sprintf("%v: %q %s", ErrBadQuery, e.Text, e.Problem)
	}
	if e.Limit > 0 {
		s += fmt.Sprintf(": %d, the limit is %d", e.Got, e.Limit)
	}
	return s
}

// Unwrap makes errors.Is(err, ErrBadQuery) true.
func (e *QueryError) Unwrap() error { return ErrBadQuery }
