package main

import (
	"strings"
	"unicode/utf16"

	"github.com/ncruces/go-sqlite3"
	"golang.org/x/text/unicode/norm"

	"github.com/carillon-rt/carillon/storage/words"
)

// searchable is a text as it is compared in a search: without accents, and with letters
// of one width. It begins with a dot, so that package words never takes it for JSON. at
// has for each byte of it where its character begins in the text, in units of UTF-16 as
// JavaScript counts them, and behind the last one the length of the text.
func searchable(text string) (plain []byte, at []int) {
	plain, at = append(make([]byte, 0, len(text)+1), '.'), append(make([]int, 0, len(text)+2), 0)
	n := 0
	for _, r := range text {
		plain = append(plain, plainRune(r)...)
		for len(at) < len(plain) {
			at = append(at, n)
		}
		n += utf16.RuneLen(r)
	}
	return plain, append(at, n)
}

func plainRune(r rune) string {
	if r < 0x80 {
		return string(r)
	}
	// The accents of letters only: marks of other scripts say something else without them.
	return norm.NFC.String(strings.Map(func(r rune) rune {
		if 0x300 <= r && r <= 0x36f {
			return -1
		}
		return r
	}, norm.NFKD.String(string(r))))
}

// registerSearch gives a connection the function that the triggers of the index use.
func registerSearch(conn *sqlite3.Conn) error {
	return conn.CreateFunction("searchable", 1, sqlite3.DETERMINISTIC|sqlite3.INNOCUOUS, func(ctx sqlite3.Context, arg ...sqlite3.Value) {
		plain, _ := searchable(arg[0].Text())
		ctx.ResultText(strings.Join(words.Tokens(plain), " "))
	})
}

// question is what somebody searches for.
type question struct{ *words.Query }

// newQuestion takes a text that has all words of which the last may be the beginning of one.
func newQuestion(text string) (question, error) {
	plain, _ := searchable(strings.TrimSpace(text))
	q, err := words.Parse(string(plain) + "*")
	return question{q}, err
}

// match is what the index is asked. It may find more than has the words: where a script
// does not separate them, it knows neighbouring characters only.
func (q question) match() string {
	var all []string
	for _, t := range q.Tokens() {
		token := `"` + t.Text + `"`
		if t.Prefix {
			token += "*"
		}
		all = append(all, token)
	}
	return strings.Join(all, " ")
}

// highlights returns where the words stand in a text, in units of UTF-16; nothing if one
// of them does not.
func (q question) highlights(text string) [][2]int {
	plain, at := searchable(text)
	var all [][2]int
	for _, s := range q.Find(plain).Spans {
		all = append(all, [2]int{at[s.Start], at[s.End]})
	}
	return all
}
