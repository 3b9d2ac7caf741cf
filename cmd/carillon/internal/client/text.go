package client

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable replaces in a text from elsewhere what would steer a terminal or break a line:
// control characters, invisible ones and what is no UTF-8.
func Printable(s string) string {
	if strings.IndexFunc(s, hidden) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if hidden(r) || (r == utf8.RuneError && size == 1) {
			quoted := strconv.QuoteToASCII(s[:size])
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteString(s[:size])
		}
		s = s[size:]
	}
	return b.String()
}

// hidden reports whether a character is not what it looks like. A space is; other
// separators are not told from it.
func hidden(r rune) bool {
	return r != ' ' && !unicode.IsGraphic(r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r)
}
