package console

import (
	"cmp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// compareNames compares names as people look for them, without regard to case first.
func compareNames(a, b string) int {
	return cmp.Or(cmp.Compare(strings.ToLower(a), strings.ToLower(b)), cmp.Compare(a, b))
}

// wanted is a text that is looked for: as part of another, or as a pattern of all of it if
// it has a * or a ?. Case does not matter. The zero value finds everything.
type wanted struct {
	text    string
	pattern bool
	whole   bool // without a pattern, the text has to be all of it
}

// part looks for text within others, whole for others that are text.
func part(text string) wanted {
	return wanted{text: strings.ToLower(text), pattern: strings.ContainsAny(text, "*?")}
}

func whole(text string) wanted {
	w := part(text)
	w.whole = true
	return w
}

func (w wanted) any() bool { return w.text == "" }

func (w wanted) in(text string) bool {
	switch {
	case w.text == "":
		return true
	case w.pattern:
		return matches(w.text, strings.ToLower(text))
	case w.whole:
		return len(text) == len(w.text) && strings.ToLower(text) == w.text || strings.EqualFold(text, w.text)
	}
	return strings.Contains(strings.ToLower(text), w.text)
}

// matches reports whether a pattern, in which * stands for any text and ? for any character,
// is all of a text. It takes at most as many steps as the product of their lengths.
func matches(pattern, text string) bool {
	star, from := -1, 0 // where the last star is, and what of the text it has begun to stand for
	p, t := 0, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, t
			p++
		case p < len(pattern) && pattern[p] == '?':
			_, size := utf8.DecodeRuneInString(text[t:])
			p++
			t += size
		case p < len(pattern) && pattern[p] == text[t]:
			p++
			t++
		case star >= 0:
			from++
			p, t = star+1, from
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// cut shortens a text to so many bytes, and not within a character.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

// number writes one as people read it: 12 345.
func number(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:]
	}
	return digits
}
