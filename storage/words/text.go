package words

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// char is a character of the text, folded, and where it stands in the data.
type char struct {
	r          rune
	start, end int
}

// runs takes text apart.
type runs struct {
	yield func(kind, []char)
	kind  kind
	chars []char
}

// eachRun calls yield with every run of characters of one kind in an event's text. The
// characters may be used until yield returns.
func eachRun(data []byte, yield func(kind, []char)) {
	var room [64]char
	r := runs{yield: yield, chars: room[:0]}
	if !isJSON(data) {
		r.plain(data, 0)
		r.end()
		return
	}
	for at := 0; at < len(data); {
		if data[at] != '"' {
			at++
			continue
		}
		end := stringEnd(data, at)
		if !isKey(data, end) {
			r.quoted(data, at+1, end-1)
		}
		at = end
	}
}

// isJSON reports whether data is JSON of the kinds that hold text.
func isJSON(data []byte) bool {
	start := bytes.TrimLeft(data, " \t\r\n")
	return len(start) > 0 && (start[0] == '{' || start[0] == '[' || start[0] == '"') && json.Valid(data)
}

// stringEnd returns where the JSON string that begins at a quote ends.
func stringEnd(data []byte, at int) int {
	for at++; data[at] != '"'; at++ {
		if data[at] == '\\' {
			at++
		}
	}
	return at + 1
}

// isKey reports whether the string that ends there is the name of a value.
func isKey(data []byte, end int) bool {
	rest := bytes.TrimLeft(data[end:], " \t\r\n")
	return len(rest) > 0 && rest[0] == ':'
}

// plain takes text that stands for itself, and begins at an offset.
func (r *runs) plain(data []byte, offset int) {
	for at := 0; at < len(data); {
		c, size := rune(data[at]), 1
		if c >= utf8.RuneSelf {
			c, size = utf8.DecodeRune(data[at:])
		}
		r.add(c, offset+at, offset+at+size)
		at += size
	}
}

// quoted takes the text of a JSON string.
func (r *runs) quoted(data []byte, at, end int) {
	for at < end {
		next := bytes.IndexByte(data[at:end], '\\')
		if next < 0 {
			r.plain(data[at:end], at)
			break
		}
		r.plain(data[at:at+next], at)
		at += next
		c, size := escaped(data[at:end])
		r.add(c, at, at+size)
		at += size
	}
	r.end()
}

// escaped decodes the escape sequence that text begins with.
func escaped(text []byte) (c rune, size int) {
	if text[1] != 'u' {
		return ' ', 2 // a control character, a quote or a slash: none is part of a word
	}
	c = hex(text)
	if utf16.IsSurrogate(c) && len(text) >= 12 && text[6] == '\\' && text[7] == 'u' {
		if both := utf16.DecodeRune(c, hex(text[6:])); both != utf8.RuneError {
			return both, 12
		}
	}
	return c, 6
}

func hex(text []byte) rune {
	n, _ := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(n)
}

func (r *runs) add(c rune, start, end int) {
	k := kindOf(c)
	if k != r.kind {
		r.end()
		r.kind = k
	}
	if k != separator {
		r.chars = append(r.chars, char{fold(c), start, end})
	}
}

func (r *runs) end() {
	if len(r.chars) > 0 {
		r.yield(r.kind, r.chars)
		r.chars = r.chars[:0]
	}
	r.kind = separator
}
