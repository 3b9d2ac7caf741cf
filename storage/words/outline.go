package words

import (
	"math"
	"slices"
	"unicode/utf8"
)

// Outline says of a text how many words it has, and how often any of them comes at most: a
// store that keeps it beside the tokens can tell which events rank high without reading
// them all. It fits into 63 bits, and is 0 of a text without words.
type Outline uint64

// From the lowest bits on, how many tokens at most are the same, begin with the same three,
// two characters, and with the same one, and then how many words there are.
const (
	outlineBits  = 6
	outlineMax   = 1<<outlineBits - 1 // that many or more
	outlineKinds = 4
	lengthMax    = 1<<24 - 1 // likewise
)

// Index returns the tokens of an event's data, as Tokens does, and its outline.
func Index(data []byte) (tokens []string, outline Outline) {
	tokens, length := tokensOf(data)
	outline = Outline(min(length, lengthMax))
	most := mostAlike(slices.Sorted(slices.Values(tokens)))
	for i := range most {
		outline = outline<<outlineBits | Outline(min(most[i], outlineMax))
	}
	return tokens, outline
}

// mostAlike returns of tokens in order how many at most begin with the same one, two and
// three characters, and are the same.
func mostAlike(tokens []string) (most [outlineKinds]int) {
	var alike [outlineKinds]int // to the last one
	before := ""
	for _, t := range tokens {
		shared := sharedChars(before, t)
		for i := range alike {
			switch {
			case i+1 == outlineKinds && t == before, i+1 < outlineKinds && shared > i:
				alike[i]++
			case i+1 == outlineKinds || utf8.RuneCountInString(t) > i:
				alike[i] = 1
			default:
				alike[i] = 0 // it is shorter
			}
			most[i] = max(most[i], alike[i])
		}
		before = t
	}
	return most
}

// sharedChars returns with how many of the same characters two tokens begin, up to three.
func sharedChars(a, b string) (n int) {
	for n < outlineKinds-1 && a != "" {
		r, size := utf8.DecodeRuneInString(a)
		if other, _ := utf8.DecodeRuneInString(b); b == "" || other != r {
			break
		}
		a, b = a[size:], b[size:]
		n++
	}
	return n
}

// Bound returns the highest score that an event with an outline can have.
func (q *Query) Bound(o Outline) float64 {
	length := o >> (outlineBits * outlineKinds)
	bound := 0.0
	for i := range q.terms {
		t := &q.terms[i]
		same := outlineKinds - 1 // which of the outline's counts
		if t.prefix || t.kind == run && len(t.runes) == 1 {
			same = min(len(t.runes), outlineKinds-1) - 1
		}
		n := float64(o >> (outlineBits * (outlineKinds - 1 - same)) & outlineMax)
		if n == outlineMax {
			n = math.MaxInt32
		}
		bound += score(n, float64(length))
	}
	return bound
}

// score is that of a word that a text of so many words has n times.
func score(n, words float64) float64 { return n / (n + 0.5 + words/20) }

// Exact reports whether Find finds something in every event that has all of Tokens.
func (q *Query) Exact() bool {
	return !slices.ContainsFunc(q.terms, func(t term) bool {
		return t.kind == word && len(t.runes) >= maxToken || t.kind == run && len(t.runes) > 2
	})
}
