package storage

import "context"

// Search is implemented by a History that finds events by the words in them. It
// searches what History keeps, in its current state: edited events by their newer
// text, retracted ones not at all.
type Search interface {
	// Search returns events whose data holds the words of q.Text: the newest first,
	// or the best with q.Ranked.
	Search(ctx context.Context, q SearchQuery) (SearchPage, error)
}

// SearchQuery says what to search for.
type SearchQuery struct {
	App string
	// Channels are names of channels, or patterns in which "*" stands for any
	// text. Empty means all of the app's.
	Channels []string
	// Text holds the words that an event must have, all of them.
	Text string
	// Ranked returns the best hits first instead of the newest. A store may rank
	// no more than a bounded number of the newest hits.
	Ranked bool
	// MaxHits is the most hits to return; 0 leaves it to the store.
	MaxHits int
	// Next continues after a page: it is that page's Next. The rest of the query
	// must be the same.
	Next string
}

// SearchPage is a stretch of what was found.
type SearchPage struct {
	Hits []Hit
	// Next continues the search after this page; empty at its end.
	Next string
}

// Hit is an event that was found.
type Hit struct {
	Event Event
	// Highlights are the places of the words in Event.Data, in order and without
	// overlaps.
	Highlights []Span
}

// Span is a stretch of bytes, from Start up to but without End.
type Span struct {
	Start, End int
}
