package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
)

// message is one message as it is now, the data of the events new-message, message-edited
// and message-changed.
type message struct {
	ID         int64  `json:"id"`
	RoomID     int64  `json:"room_id"`
	ClientID   string `json:"client_id"`
	SenderID   int64  `json:"sender_id"`
	SenderName string `json:"sender_name"`
	SenderRole string `json:"sender_role"`
	Message    string `json:"message"`
	// Type is text, image, file or system.
	Type string `json:"type"`
	// Action says what a system message is about.
	Action    string `json:"action"`
	CreatedAt moment `json:"created_at"`
	EditedAt  moment `json:"edited_at"`
	DeletedAt moment `json:"deleted_at"`
	DeletedBy string `json:"deleted_by"`
	// Rev rises with every change: of two states the one with the higher is newer.
	Rev       int64      `json:"rev"`
	ReplyTo   *quote     `json:"reply_to"`
	File      *file      `json:"file"`
	Reactions []reaction `json:"reactions"`
	Mentions  []int64    `json:"mentions"`
}

const (
	textMessage   = "text"
	systemMessage = "system"
)

// quote is what a reply shows of the message it answers.
type quote struct {
	ID         int64  `json:"id"`
	SenderID   int64  `json:"sender_id"`
	SenderName string `json:"sender_name"`
	Message    string `json:"message"`
	Type       string `json:"type"`
	Deleted    bool   `json:"deleted"`
}

// reaction is an emoji under a message, with the first of those who put it there.
type reaction struct {
	Emoji string    `json:"emoji"`
	Count int       `json:"count"`
	Users []reactor `json:"users"`
}

type reactor struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

// maxReactors is how many of them a message names.
const maxReactors = 50

const selectMessages = `
SELECT m.id, m.room_id, coalesce(m.client_id, ''), m.sender_id, coalesce(s.name, ''), coalesce(s.role, ''), m.text, m.type, m.action,
	m.created_at, m.edited_at, m.deleted_at, coalesce(d.name, ''), m.rev,
	coalesce(q.id, 0), coalesce(q.sender_id, 0), coalesce(qs.name, ''), coalesce(substr(q.text, 1, 200), ''), coalesce(q.type, ''), coalesce(q.deleted_at, 0) > 0,
	(SELECT json_group_array(json_object('emoji', emoji, 'id', user_id, 'name', name)) FROM
		(SELECT r.emoji, r.user_id, u.name FROM reactions r JOIN users u ON u.id = r.user_id WHERE r.message_id = m.id ORDER BY r.created_at, r.user_id)),
	(SELECT json_group_array(user_id) FROM mentions WHERE message_id = m.id),
	coalesce(f.id, 0), coalesce(f.name, ''), coalesce(f.size, 0), coalesce(f.content_type, ''), coalesce(f.kind, ''), coalesce(f.width, 0), coalesce(f.height, 0),
	coalesce(f.thumb_width, 0), coalesce(f.thumb_height, 0), coalesce(f.preview, '')
FROM messages m
LEFT JOIN users s ON s.id = m.sender_id
LEFT JOIN users d ON d.id = m.deleted_by
LEFT JOIN messages q ON q.id = m.reply_to
LEFT JOIN users qs ON qs.id = q.sender_id
LEFT JOIN files f ON f.id = m.file_id AND m.deleted_at = 0
`

func scanMessage(rows *sql.Rows, m *message) error {
	var q quote
	var f file
	var reactions, mentions []byte
	if err := rows.Scan(&m.ID, &m.RoomID, &m.ClientID, &m.SenderID, &m.SenderName, &m.SenderRole, &m.Message, &m.Type, &m.Action,
		&m.CreatedAt, &m.EditedAt, &m.DeletedAt, &m.DeletedBy, &m.Rev,
		&q.ID, &q.SenderID, &q.SenderName, &q.Message, &q.Type, &q.Deleted,
		&reactions, &mentions,
		&f.ID, &f.Name, &f.Size, &f.ContentType, &f.Kind, &f.Width, &f.Height, &f.ThumbWidth, &f.ThumbHeight, &f.Preview); err != nil {
		return err
	}
	if q.ID != 0 {
		m.ReplyTo = &q
	}
	if f.ID != 0 {
		m.File = f.withURLs()
	}
	var all []struct {
		reactor
		Emoji string
	}
	if err := json.Unmarshal(reactions, &all); err != nil {
		return fmt.Errorf("reactions of message %d: %w", m.ID, err)
	}
	m.Reactions = []reaction{}
	for _, one := range all {
		i := slices.IndexFunc(m.Reactions, func(r reaction) bool { return r.Emoji == one.Emoji })
		if i < 0 {
			i = len(m.Reactions)
			m.Reactions = append(m.Reactions, reaction{Emoji: one.Emoji})
		}
		r := &m.Reactions[i]
		if r.Count++; r.Count <= maxReactors {
			r.Users = append(r.Users, one.reactor)
		}
	}
	return json.Unmarshal(mentions, &m.Mentions)
}

func (c *chat) messages(ctx context.Context, q querier, where string, args ...any) ([]message, error) {
	return collect(ctx, q, scanMessage, selectMessages+where, args...)
}

// message returns one message of a room.
func (c *chat) message(ctx context.Context, q querier, roomID, id int64) (*message, error) {
	found, err := c.messages(ctx, q, `WHERE m.id = ? AND m.room_id = ?`, id, roomID)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, notFound("message")
	}
	return &found[0], nil
}

// insertMessage stores a message, and publishes it.
func (ch *change) insertMessage(ctx context.Context, rm *room, m *message) error {
	if m.CreatedAt == 0 {
		m.CreatedAt = now()
	}
	var replyTo, fileID int64
	if m.ReplyTo != nil {
		replyTo = m.ReplyTo.ID
	}
	if m.File != nil {
		fileID = m.File.ID
	}
	clientID := sql.NullString{String: m.ClientID, Valid: m.ClientID != ""}
	done, err := ch.ExecContext(ctx, `INSERT INTO messages (room_id, client_id, sender_id, type, action, text, reply_to, file_id, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`, rm.ID, clientID, m.SenderID, m.Type, m.Action, m.Message, replyTo, fileID, m.CreatedAt)
	if err != nil {
		return err
	}
	id, err := done.LastInsertId()
	if err != nil {
		return err
	}
	for _, mentioned := range m.Mentions {
		if _, err := ch.ExecContext(ctx, `INSERT INTO mentions (user_id, room_id, message_id) VALUES (?, ?, ?)`, mentioned, rm.ID, id); err != nil {
			return err
		}
	}
	stored, err := ch.chat.message(ctx, ch, rm.ID, id)
	if err != nil {
		return err
	}
	*m = *stored
	if m.Type == systemMessage {
		return ch.publish(rm.Channel, "new-message", m, broker.WithID(eventID(id, 0)))
	}
	return ch.publishToOthers(rm.Channel, "new-message", m, broker.WithID(eventID(id, 0)))
}

// note stores a system message and the activity that goes with it.
func (ch *change) note(ctx context.Context, rm *room, by user, action, text string) error {
	m := message{SenderID: by.ID, Type: systemMessage, Action: action, Message: text}
	if err := ch.insertMessage(ctx, rm, &m); err != nil {
		return err
	}
	return ch.act(ctx, rm, by, action, text)
}

// eventID is the ID of the event that brought a message, or has brought it again.
func eventID(messageID int64, again int) string {
	if again == 0 {
		return fmt.Sprintf("message-%d", messageID)
	}
	return fmt.Sprintf("message-%d-%d", messageID, again)
}

// messageChanged raises a message's revision, and edits the event that brought it: so
// those who read the past later find its new state. Where that event is no longer kept,
// only those who are connected are told.
func (ch *change) messageChanged(ctx context.Context, rm *room, id int64) (*message, error) {
	m, again, err := ch.revised(ctx, rm, id)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	err = ch.prepared(ch.chat.events.PrepareEdit(ch.ctx, rm.Channel, eventID(id, again), text))
	if errors.Is(err, storage.ErrNoTarget) {
		err = ch.publishToOthers(rm.Channel, "message-changed", m)
	}
	return m, err
}

// messageDeleted raises a message's revision, and retracts the event that brought it:
// what it said is nowhere any more, and nobody who comes back later gets it.
func (ch *change) messageDeleted(ctx context.Context, rm *room, id int64) (*message, error) {
	m, again, err := ch.revised(ctx, rm, id)
	if err != nil {
		return nil, err
	}
	if _, err := ch.retract(rm, eventID(id, again)); err != nil {
		return nil, err
	}
	if err := ch.publishToOthers(rm.Channel, "message-changed", m); err != nil {
		return nil, err
	}
	return m, ch.quotesGone(ctx, rm, id)
}

// quotesGone retracts the events that quote a deleted message, and says those answers
// again without what it said: an edit would leave the quote among the events.
func (ch *change) quotesGone(ctx context.Context, rm *room, id int64) error {
	answers, err := collect(ctx, ch, column[int64],
		`SELECT id FROM messages WHERE reply_to = ? AND deleted_at = 0 ORDER BY id`, id)
	if err != nil {
		return err
	}
	was := ch.ctx
	ch.ctx = context.WithValue(was, saidBefore{}, true)
	defer func() { ch.ctx = was }()
	for _, answer := range answers {
		m, again, err := ch.revised(ctx, rm, answer)
		if err != nil {
			return err
		}
		kept, err := ch.retract(rm, eventID(answer, again))
		if err != nil {
			return err
		}
		if !kept { // and pages see by the deleted message what to show
			continue
		}
		if _, err := ch.ExecContext(ctx, `UPDATE messages SET again = again + 1 WHERE id = ?`, answer); err != nil {
			return err
		}
		if err := ch.publish(rm.Channel, "new-message", m, broker.WithID(eventID(answer, again+1))); err != nil {
			return err
		}
	}
	return nil
}

// retract retracts the event of a message, unless it is no longer kept.
func (ch *change) retract(rm *room, event string) (kept bool, err error) {
	err = ch.prepared(ch.chat.events.PrepareRetract(ch.ctx, rm.Channel, event))
	if errors.Is(err, storage.ErrNoTarget) {
		return false, nil
	}
	return err == nil, err
}

// revised raises a message's revision, and returns it as it is now, and how often it was
// said again.
func (ch *change) revised(ctx context.Context, rm *room, id int64) (m *message, again int, err error) {
	if err := ch.QueryRowContext(ctx, `UPDATE messages SET rev = rev + 1 WHERE id = ? RETURNING again`, id).Scan(&again); err != nil {
		return nil, 0, err
	}
	m, err = ch.chat.message(ctx, ch, rm.ID, id)
	return m, again, err
}
