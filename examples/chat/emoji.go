package main

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// oddEmoji are emoji that Unicode counts among letters and punctuation.
const oddEmoji = "\u203c\u2049\u2139\u3030\u303d"

// isEmoji says whether text is made of what emoji are made of. Which sequences have
// a picture differs between systems, and is not looked at.
func isEmoji(text string) bool {
	if n := utf8.RuneCountInString(text); n > maxEmoji || !utf8.ValidString(text) {
		return false
	}
	keycap := strings.ContainsRune(text, '\u20e3')
	pictures := 0
	for _, r := range text {
		switch {
		case unicode.In(r, unicode.So, unicode.Sm), strings.ContainsRune(oddEmoji, r), r == '\u20e3':
			pictures++
		case r == '\u200d', r == '\ufe0f', r >= '\U0001f3fb' && r <= '\U0001f3ff', r >= '\U000e0020' && r <= '\U000e007f':
			// They join and colour others, and name flags.
		case keycap && (unicode.IsDigit(r) || r == '#' || r == '*'):
		default:
			return false
		}
	}
	return pictures > 0
}
