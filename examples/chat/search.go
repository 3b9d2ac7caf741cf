package main

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/carillon-rt/carillon/storage"
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
)

// search answers with the messages of the user's rooms that have all words of a
// query, the newest first. The last word may be the beginning of one.
func (c *chat) search(r *call) (any, error) {
	text := r.FormValue("q")
	if n := utf8.RuneCountInString(text); n > maxQuery {
		return nil, invalid("q", "That is a long question: %d characters, and %d fit.", n, maxQuery)
	}
	q, err := newQuestion(text)
	var unfit *storage.QueryError
	switch {
	case errors.As(err, &unfit) && unfit.Limit > 0:
		return nil, invalid("q", "That is a long question. Fewer words may do.")
	case err != nil:
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
		if rm.Joined && !rm.Full && (roomID == 0 || rm.ID == roomID) {
			names[rm.ID] = rm.Name
		}
	}
	hits, err := c.find(r.Context(), q, names, before, limit+1)
	return map[string]any{"hits": hits[:min(limit, len(hits))], "has_before": len(hits) > limit}, err
}

// find returns the newest messages before one that answer a question, of the rooms that
// have names.
func (c *chat) find(ctx context.Context, q question, names map[int64]string, before int64, limit int) ([]hit, error) {
	hits := []hit{}
	ids, err := json.Marshal(slices.Collect(maps.Keys(names)))
	if err != nil {
		return hits, err
	}
	rows, err := c.db.QueryContext(ctx, `SELECT m.id, m.room_id, m.text FROM message_words JOIN messages m ON m.id = message_words.rowid
		WHERE message_words MATCH ?1 AND m.room_id IN (SELECT value FROM json_each(?2)) AND (?3 = 0 OR message_words.rowid < ?3)
		ORDER BY message_words.rowid DESC`, q.match(), ids, before)
	if err != nil {
		return hits, err
	}
	defer rows.Close()
	for len(hits) < limit && rows.Next() {
		var id, roomID int64
		var text string
		if err := rows.Scan(&id, &roomID, &text); err != nil {
			return hits, err
		}
		if at := q.highlights(text); len(at) > 0 {
			hits = append(hits, hit{Message: message{ID: id}, RoomName: names[roomID], Highlights: at})
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return hits, err
	}
	for i := range hits {
		found, err := c.messages(ctx, c.db, `WHERE m.id = ?`, hits[i].Message.ID)
		if err != nil {
			return hits, err
		}
		hits[i].Message = found[0] // no message is ever removed
	}
	return hits, nil
}
