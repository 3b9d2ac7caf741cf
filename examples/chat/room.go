package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
)

// room is one channel and its history.
type room struct {
	app     *broker.App
	channel string
	// typing is the channel on which clients tell each other that they write; it
	// has no history.
	typing string
}

// messageEvent is the name of the channel's events that are messages.
const messageEvent = "message"

// message is their data.
type message struct {
	UserID string `json:"user_id"`
	// ClientID is the sender's own name for the message.
	ClientID string `json:"client_id"`
	Name     string `json:"name"`
	Text     string `json:"text"`
	// SentAt is in milliseconds since 1970.
	SentAt int64 `json:"sent_at"`
}

const (
	// maxText is in characters.
	maxText  = 2000
	maxLimit = 100
)

var clientIDForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// post publishes what a user says to everyone in the room but the connection
// that sent it. A second post with the same client_id changes nothing.
func (rm room) post(w http.ResponseWriter, r *http.Request, u user) {
	var body struct {
		Text     string `json:"text"`
		ClientID string `json:"client_id"`
	}
	if !readJSON(w, r, &body) {
		return
	}
	text := strings.TrimSpace(body.Text)
	switch n := utf8.RuneCountInString(text); {
	case n == 0:
		writeError(w, http.StatusBadRequest, "text", "is empty")
		return
	case n > maxText:
		writeError(w, http.StatusBadRequest, "text", fmt.Sprintf("is too long: %d characters, the limit is %d", n, maxText))
		return
	case !clientIDForm.MatchString(body.ClientID):
		writeError(w, http.StatusBadRequest, "client_id", "is not 1 to 64 letters, digits, _ or -")
		return
	}
	m := message{UserID: u.ID, ClientID: body.ClientID, Name: u.Name, Text: text, SentAt: time.Now().UnixMilli()}
	data, err := json.Marshal(m)
	if err != nil {
		rm.fail(w, "message was not encoded", err)
		return
	}
	// The key has the user in it: nobody can use up somebody else's.
	done, err := rm.app.Publish(r.Context(), rm.channel, messageEvent, data,
		broker.IdempotencyKey(u.ID+"/"+body.ClientID), broker.Exclude(r.Header.Get("X-Socket-ID")))
	// A retry says another time, which makes it another event to the broker.
	duplicate := done.Duplicate || errors.Is(err, storage.ErrKeyReused)
	if err != nil && !duplicate {
		rm.fail(w, "message was not published", err)
		return
	}
	status := http.StatusCreated
	if duplicate {
		status = http.StatusOK
	}
	writeJSON(w, status, struct {
		Message   message `json:"message"`
		Duplicate bool    `json:"duplicate"`
	}{m, duplicate})
}

// read answers with the newest messages, or those before a position, newest
// first.
func (rm room) read(w http.ResponseWriter, r *http.Request, _ user) {
	q := r.URL.Query()
	limit := 50
	if s := q.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxLimit {
			writeError(w, http.StatusBadRequest, "limit", fmt.Sprintf("is not a number from 1 to %d", maxLimit))
			return
		}
		limit = n
	}
	before, err := storage.ParsePosition(q.Get("before"))
	if err != nil {
		writeError(w, http.StatusBadRequest, "before", "is not what an earlier answer had as next")
		return
	}
	page := struct {
		Messages []json.RawMessage `json:"messages"`
		Next     string            `json:"next"`
	}{Messages: []json.RawMessage{}}
	var last broker.Position
	for ev, err := range rm.app.History(r.Context(), rm.channel, broker.Backward(), broker.From(before)) {
		switch {
		case errors.Is(err, storage.ErrGap):
			writeError(w, http.StatusGone, "before", "is a position that is no longer known")
			return
		case err != nil:
			rm.fail(w, "history was not read", err)
			return
		}
		if len(page.Messages) == limit {
			page.Next = last.String()
			break
		}
		page.Messages = append(page.Messages, ev.Data)
		last = ev.Position
	}
	writeJSON(w, http.StatusOK, page)
}

func (rm room) fail(w http.ResponseWriter, what string, err error) {
	if errors.Is(err, broker.ErrShutdown) {
		writeError(w, http.StatusServiceUnavailable, "", "the server is restarting")
		return
	}
	slog.Error(what, "channel", rm.channel, "error", err)
	writeError(w, http.StatusInternalServerError, "", "internal error")
}
