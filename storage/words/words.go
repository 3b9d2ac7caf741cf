// Package words says what a search for words compares, so that every store finds the
// same: which text an event has, what a word is, and when an event has it. It is for
// authors of stores that implement storage.Search.
//
// The text of an event is its data or, where that is a JSON object, list or string, the
// strings in it that are values. Upper and lower case are the same. In scripts that
// separate words a word is a run of letters, digits and marks, and is found as a whole,
// or by its beginning with a query such as "hel*". In scripts that do not (Chinese,
// Japanese, Thai, Lao, Khmer, Burmese, Tibetan) any stretch of a run is found.
//
//	q, err := words.Parse("hello 世界")
//	found := q.Find(event.Data) // found.Spans are what to highlight
//
// A store with an index puts the Tokens of an event into it, looks for events that have
// all of Query.Tokens, and asks Find about those: a token may be there by chance. With
// the Outline of each it need not look at all of them to tell which are the best.
package words

import (
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/carillon-rt/carillon/storage"
)

const (
	// MaxQuery is the most bytes that the text of a query may have.
	MaxQuery = 512
	// MaxTerms is the most words that it may have; a run of a script that does not
	// separate words counts as one.
	MaxTerms = 16
	// maxToken is how many characters of a word are part of its token.
	maxToken = 48
)

// Query is what to search for. It is never changed, and safe for concurrent use.
type Query struct {
	terms []term
}

// term is a word, the beginning of one, or a stretch of a run.
type term struct {
	runes  []rune // folded
	kind   kind
	prefix bool
}

// kind is what a character is part of.
type kind uint8

const (
	separator kind = iota
	word           // of a script that separates words
	run            // of a script that does not
)

// unseparated are the scripts that write words without anything between them.
var unseparated = []*unicode.RangeTable{unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai,
	unicode.Lao, unicode.Khmer, unicode.Myanmar, unicode.Tibetan}

func kindOf(r rune) kind {
	switch {
	case r < utf8.RuneSelf:
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
			return word
		}
		return separator
	case r < 0xe00: // before the first of the unseparated scripts
	case unicode.In(r, unseparated...) || r == 'ー' || r == 'ｰ':
		return run
	}
	if unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r) {
		return word
	}
	return separator
}

func fold(r rune) rune {
	if r < utf8.RuneSelf {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}
	if r = unicode.ToLower(r); r == 'ς' {
		return 'σ'
	}
	return r
}

// Parse returns a query for events that have all words of a text. A "*" behind a word
// makes it the beginning of one. It fails with a *storage.QueryError if there is no word
// in the text, or more than there may be.
func Parse(text string) (*Query, error) {
	if len(text) > MaxQuery {
		return nil, &storage.QueryError{Problem: "is too long, in bytes", Limit: MaxQuery, Got: len(text)}
	}
	q := &Query{}
	var t *term
	for _, r := range text {
		k := kindOf(r)
		if k == separator {
			if r == '*' && t != nil && t.kind == word {
				t.prefix = true
			}
			t = nil
			continue
		}
		if t == nil || t.kind != k {
			q.terms = append(q.terms, term{kind: k})
			t = &q.terms[len(q.terms)-1]
		}
		t.runes = append(t.runes, fold(r))
	}
	q.terms = slices.CompactFunc(q.terms, func(a, b term) bool {
		return a.kind == b.kind && a.prefix == b.prefix && slices.Equal(a.runes, b.runes)
	})
	switch n := len(q.terms); {
	case n == 0:
		return nil, &storage.QueryError{Text: text, Problem: "has no word"}
	case n > MaxTerms:
		return nil, &storage.QueryError{Problem: "has too many words", Limit: MaxTerms, Got: n}
	}
	return q, nil
}

// Found is what Find has found.
type Found struct {
	// Spans are the places of the words in the data, in order and without overlaps.
	Spans []storage.Span
	// Score says how well the words fit, to rank by: the more often they are there, and
	// the shorter the text is, the higher.
	Score float64
}

// Find returns where the words of the query are in an event's data, and no Spans if one
// of them is not.
func (q *Query) Find(data []byte) Found {
	var counts [MaxTerms]int
	var spans []storage.Span
	missing, all := len(q.terms), 0
	found := func(i int, span storage.Span) {
		if counts[i]++; counts[i] == 1 {
			missing--
		}
		spans = append(spans, span)
	}
	eachRun(data, func(k kind, chars []char) {
		all++
		for i := range q.terms {
			t := &q.terms[i]
			switch n := len(t.runes); {
			case t.kind != k || len(chars) < n:
			case k == word:
				if (t.prefix || len(chars) == n) && t.at(chars) {
					found(i, storage.Span{Start: chars[0].start, End: chars[n-1].end})
				}
			default:
				for at := 0; at+n <= len(chars); at++ {
					if t.at(chars[at:]) {
						found(i, storage.Span{Start: chars[at].start, End: chars[at+n-1].end})
						at += n - 1
					}
				}
			}
		}
	})
	if missing > 0 {
		return Found{}
	}
	total := 0.0
	for i := range q.terms {
		total += score(float64(counts[i]), float64(all))
	}
	return Found{Spans: join(spans), Score: total}
}

// at reports whether the term stands where the characters begin.
func (t *term) at(chars []char) bool {
	for i, r := range t.runes {
		if chars[i].r != r {
			return false
		}
	}
	return true
}

// join sorts spans, and makes one of those that overlap.
func join(spans []storage.Span) []storage.Span {
	slices.SortFunc(spans, func(a, b storage.Span) int { return a.Start - b.Start })
	joined := spans[:1]
	for _, s := range spans[1:] {
		if last := &joined[len(joined)-1]; s.Start < last.End {
			last.End = max(last.End, s.End)
		} else {
			joined = append(joined, s)
		}
	}
	return joined
}
