package main

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText is in characters.
const maxText = 4000

var clientIDForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// checkText refuses what is no message. What is one is stored as it was typed.
func checkText(text string, mayBeEmpty bool) error {
	n := utf8.RuneCountInString(text)
	switch {
	case n > maxText:
		return invalid("message", "That message is too long: %d characters, and %d fit. You can send it as a file.", n, maxText)
	case strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' }):
		return invalid("message", "That message has control characters.")
	case !mayBeEmpty && !strings.ContainsFunc(text, func(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) && !unicode.IsMark(r) }):
		return invalid("message", "That message is empty.")
	}
	return nil
}

// postMessage stores and publishes what a user says. A second post with the same
// client_id answers with what the first has stored.
func (c *chat) postMessage(r *call) (any, error) {
	var body struct {
		ClientID string `json:"client_id"`
		Message  string
		ReplyTo  int64 `json:"reply_to"`
		FileID   int64 `json:"file_id"`
	}
	if err := readJSON(r.w, r.Request, &body); err != nil {
		return nil, err
	}
	if err := checkText(body.Message, body.FileID != 0); err != nil {
		return nil, err
	}
	if !clientIDForm.MatchString(body.ClientID) {
		return nil, invalid("client_id", "client_id is not 1 to 64 letters, digits, _ or -.")
	}
	ctx := r.Context()
	known, err := c.sentBefore(ctx, c.db, r.user, r.number("room"), body.ClientID)
	if err != nil {
		return nil, err
	}
	if known != nil {
		return sent{known, true}, nil
	}
	if err := c.limits.message(r.user); err != nil {
		return nil, err
	}
	m := message{ClientID: body.ClientID, SenderID: r.user.ID, Type: textMessage, Message: body.Message}
	err = c.change(ctx, r.socket(), func(ch *change) error {
		rm, err := c.joinedRoomIn(ctx, ch, r.user, r.number("room"))
		if err != nil {
			return err
		}
		// The same request may have come twice at a time.
		if known, err = c.sentBefore(ctx, ch, r.user, rm.ID, body.ClientID); err != nil || known != nil {
			return err
		}
		if body.ReplyTo != 0 {
			to, err := c.message(ctx, ch, rm.ID, body.ReplyTo)
			if err != nil || to.Type == systemMessage {
				return invalid("reply_to", "The message that you answer is not in this room.")
			}
			m.ReplyTo = &quote{ID: to.ID}
		}
		if body.FileID != 0 {
			if m.File, err = ch.unsentFile(ctx, rm.ID, r.user, body.FileID); err != nil {
				return err
			}
			m.Type = m.File.messageType()
		}
		return ch.say(ctx, rm, r.user, &m)
	})
	switch {
	case err != nil:
		return nil, err
	case known != nil:
		return sent{known, true}, nil
	}
	return created{sent{&m, false}}, nil
}

// sent is the answer to a message.
type sent struct {
	Message   *message `json:"message"`
	Duplicate bool     `json:"duplicate"`
}

// sentBefore returns the message that u has sent with a client ID, nil for none.
func (c *chat) sentBefore(ctx context.Context, q querier, u user, roomID int64, clientID string) (*message, error) {
	var id, in int64
	err := q.QueryRowContext(ctx, `SELECT id, room_id FROM messages WHERE sender_id = ? AND client_id = ?`, u.ID, clientID).Scan(&id, &in)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, err
	case in != roomID:
		return nil, refuse(http.StatusConflict, "conflict", "This was sent to another room before.")
	}
	if _, err := c.joinedRoomIn(ctx, q, u, roomID); err != nil {
		return nil, err
	}
	return c.message(ctx, q, roomID, id)
}

// say stores what u has to say in a room, with all that follows from it.
func (ch *change) say(ctx context.Context, rm *room, u user, m *message) (err error) {
	members, err := ch.chat.members(ctx, ch, rm, 0)
	if err != nil {
		return err
	}
	m.Mentions = mentioned(m.Message, u, members)
	if err := ch.insertMessage(ctx, rm, m); err != nil {
		return err
	}
	// Who writes has read what was there.
	if _, err := ch.ExecContext(ctx, `UPDATE members SET read_id = ? WHERE room_id = ? AND user_id = ?`, m.ID, rm.ID, u.ID); err != nil {
		return err
	}
	if m.File != nil {
		if _, err := ch.ExecContext(ctx, `UPDATE files SET message_id = ? WHERE id = ?`, m.ID, m.File.ID); err != nil {
			return err
		}
		err = ch.note(ctx, rm, u, "upload", u.Name+" shared "+m.File.Name)
	} else {
		err = ch.act(ctx, rm, u, "message", u.Name+" wrote a message")
	}
	ch.then(func(ctx context.Context) { ch.chat.notify(ctx, rm, u, *m, members) })
	return err
}

// mentioned returns the members whose names stand in a text behind an @: of names
// that begin alike, the longest.
func mentioned(text string, by user, members []member) []int64 {
	ids := []int64{}
	before := ' '
	for i, r := range text {
		if r == '@' && !unicode.IsLetter(before) && !unicode.IsDigit(before) {
			var found *member
			for j := range members {
				if m := &members[j]; startsWithName(text[i+1:], m.Name) && (found == nil || len(m.Name) > len(found.Name)) {
					found = m
				}
			}
			if found != nil && found.ID != by.ID && !slices.Contains(ids, found.ID) {
				ids = append(ids, found.ID)
			}
		}
		before = r
	}
	return ids
}

func startsWithName(text, name string) bool {
	n := utf8.RuneCountInString(name)
	end := len(text)
	for i := range text {
		if n == 0 {
			end = i
			break
		}
		n--
	}
	if !strings.EqualFold(text[:end], name) {
		return false
	}
	next, _ := utf8.DecodeRuneInString(text[end:])
	return !unicode.IsLetter(next) && !unicode.IsDigit(next)
}
