package main

import (
	"database/sql"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// hit is a message that a search has found.
type hit struct {
	Message  message `json:"message"`
	RoomName string  `json:"room_name"`
	// Highlights are the places of the words, in units of UTF-16 as JavaScript
	// counts them.
	Highlights [][2]int `json:"highlights"`
}

const (
	maxQuery = 200
	hitPage  = 20
	// wordStart and wordEnd stand around a word that was found. No message has
	// control characters.
	wordStart, wordEnd = '\x02', '\x03'
)

// search answers with the messages of the user's rooms that have all words of a
// query, the newest first. The last word may be the beginning of one.
func (c *chat) search(r *call) (any, error) {
	q := r.FormValue("q")
	if n := utf8.RuneCountInString(q); n > maxQuery {
		return nil, invalid("q", "That is a long question: %d characters, and %d fit.", n, maxQuery)
	}
	match := matchQuery(q)
	if match == "" {
		return nil, invalid("q", "Type a word to search for.")
	}
	before, err := r.id("before")
	if err != nil {
		return nil, err
	}
	roomID, err := r.id("room_id")
	if err != nil {
		return nil, err
	}
	limit, err := atMost("limit", r.FormValue("limit"), hitPage, maxPageSize)
	if err != nil {
		return nil, err
	}
	if err := c.limits.search(r.Context(), r.user); err != nil {
		return nil, err
	}
	rooms, err := c.roomsOf(r.Context(), c.db, r.user)
	if err != nil {
		return nil, err
	}
	names := make(map[int64]string)
	for _, rm := range rooms {
		names[rm.ID] = rm.Name
	}
	type found struct {
		id     int64
		marked string
	}
	all, err := collect(r.Context(), c.db, func(rows *sql.Rows, f *found) error { return rows.Scan(&f.id, &f.marked) },
		`SELECT words.rowid, highlight(words, 0, char(2), char(3)) FROM words JOIN messages m ON m.id = words.rowid
		WHERE words MATCH ?1 AND m.room_id IN (SELECT room_id FROM members WHERE user_id = ?2)
			AND (?3 = 0 OR m.room_id = ?3) AND (?4 = 0 OR m.id < ?4) ORDER BY words.rowid DESC LIMIT ?5`,
		match, r.user.ID, roomID, before, limit+1)
	if err != nil {
		return nil, err
	}
	hits := []hit{}
	for _, f := range all[:min(limit, len(all))] {
		m, err := c.messages(r.Context(), c.db, `WHERE m.id = ?`, f.id)
		if err != nil {
			return nil, err
		}
		if len(m) == 1 {
			hits = append(hits, hit{Message: m[0], RoomName: names[m[0].RoomID], Highlights: highlights(f.marked)})
		}
	}
	return map[string]any{"hits": hits, "has_before": len(all) > limit}, nil
}

// matchQuery is the words of a text as FTS5 wants them: each in quotes, so that
// none of them says anything else than itself.
func matchQuery(text string) string {
	words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r) })
	if len(words) == 0 {
		return ""
	}
	return `"` + strings.Join(words, `" "`) + `" *`
}

// highlights returns where the marks stood in a text that has none.
func highlights(marked string) [][2]int {
	at, start := 0, 0
	all := [][2]int{}
	for _, r := range marked {
		switch r {
		case wordStart:
			start = at
		case wordEnd:
			all = append(all, [2]int{start, at})
		default:
			at += utf16.RuneLen(r)
		}
	}
	return all
}
