package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// errUnchanged ends a change that would change nothing.
var errUnchanged = errors.New("nothing to change")

// amend changes a message that the user may see and that is not deleted, by f, and tells
// of it by done. Where f says that nothing is to be changed, the answer is the message as
// it is.
func (c *chat) amend(r *call, done func(*change, context.Context, *room, int64) (*message, error),
	f func(ctx context.Context, ch *change, rm *room, m *message) error) (any, error) {
	ctx := r.Context()
	var now *message
	err := c.change(ctx, r.socket(), func(ch *change) error {
		rm, err := c.joinedRoomIn(ctx, ch, r.user, r.number("room"))
		if err != nil {
			return err
		}
		m, err := c.message(ctx, ch, rm.ID, r.number("message"))
		if err != nil {
			return err
		}
		now = m
		if m.Type == systemMessage {
			return forbidden("What the chat itself says stays as it is.")
		}
		if m.DeletedAt != 0 {
			return refuse(http.StatusConflict, "deleted", "That message was deleted.")
		}
		if err := f(ctx, ch, rm, m); err != nil {
			return err
		}
		now, err = done(ch, ctx, rm, m.ID)
		return err
	})
	if errors.Is(err, errUnchanged) {
		err = nil
	}
	return map[string]any{"message": now}, err
}

// editMessage lets the author write a message anew.
func (c *chat) editMessage(r *call) (any, error) {
	var body struct {
		Message string
		Rev     int64
	}
	if err := readJSON(r.w, r.Request, &body); err != nil {
		return nil, err
	}
	if err := c.limits.message(r.user); err != nil {
		return nil, err
	}
	return c.amend(r, (*change).messageChanged, func(ctx context.Context, ch *change, rm *room, m *message) error {
		switch {
		case m.SenderID != r.user.ID:
			return forbidden("Only %s can edit this.", m.SenderName)
		case body.Rev != 0 && body.Rev != m.Rev:
			return refuse(http.StatusConflict, "conflict", "The message was changed meanwhile. Look at it again first.")
		}
		if err := checkText(body.Message, m.File != nil); err != nil {
			return err
		}
		members, err := c.members(ctx, ch, rm, 0)
		if err != nil {
			return err
		}
		if _, err := ch.ExecContext(ctx, `UPDATE messages SET text = ?, edited_at = ? WHERE id = ?`, body.Message, now(), m.ID); err != nil {
			return err
		}
		if _, err := ch.ExecContext(ctx, `DELETE FROM mentions WHERE message_id = ?`, m.ID); err != nil {
			return err
		}
		for _, id := range mentioned(body.Message, r.user, members) {
			if _, err := ch.ExecContext(ctx, `INSERT INTO mentions (user_id, room_id, message_id) VALUES (?, ?, ?)`, id, rm.ID, m.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

// deleteMessage takes a message back: its author may, and who manages the room.
// What it said is gone, also where it was quoted, and so is its file.
func (c *chat) deleteMessage(r *call) (any, error) {
	return c.amend(r, (*change).messageDeleted, func(ctx context.Context, ch *change, rm *room, m *message) error {
		author := user{ID: m.SenderID, Name: m.SenderName, Role: m.SenderRole}
		byOther := m.SenderID != r.user.ID
		if byOther && (!rm.Manages || author.outranks(r.user)) {
			return forbidden("Only %s and who manages this room can delete this.", m.SenderName)
		}
		if _, err := ch.ExecContext(ctx, `UPDATE messages SET text = '', deleted_at = ?, deleted_by = ? WHERE id = ?`, now(), r.user.ID, m.ID); err != nil {
			return err
		}
		for _, table := range []string{"mentions", "reactions", "files"} {
			if _, err := ch.ExecContext(ctx, `DELETE FROM `+table+` WHERE message_id = ?`, m.ID); err != nil {
				return err
			}
		}
		if m.File != nil {
			ch.then(func(context.Context) { c.files.remove(m.File.ID) })
		}
		if byOther {
			return ch.act(ctx, rm, r.user, "deleted", fmt.Sprintf("%s removed a message of %s", r.user.Name, m.SenderName))
		}
		return nil
	})
}

const (
	// maxEmoji is in code points, of which the longest emoji have about ten.
	maxEmoji = 16
	// maxKinds is how many different emoji a message takes.
	maxKinds = 20
)

func (c *chat) addReaction(r *call) (any, error) { return c.react(r, true) }

func (c *chat) removeReaction(r *call) (any, error) { return c.react(r, false) }

// react puts the user's emoji under a message or takes it away.
func (c *chat) react(r *call, add bool) (any, error) {
	emoji := r.PathValue("emoji")
	if !isEmoji(emoji) {
		return nil, invalid("emoji", "That is not an emoji.")
	}
	if err := c.limits.react(r.Context(), r.user); err != nil {
		return nil, err
	}
	return c.amend(r, (*change).messageChanged, func(ctx context.Context, ch *change, rm *room, m *message) error {
		isKind := func(one reaction) bool { return one.Emoji == emoji }
		query := `DELETE FROM reactions WHERE message_id = ? AND emoji = ? AND user_id = ?`
		args := []any{m.ID, emoji, r.user.ID}
		if add {
			if len(m.Reactions) >= maxKinds && !slices.ContainsFunc(m.Reactions, isKind) {
				return refuse(http.StatusConflict, "conflict", "There are %d different reactions already; choose one of them.", maxKinds)
			}
			query = `INSERT OR IGNORE INTO reactions (message_id, emoji, user_id, created_at) VALUES (?, ?, ?, ?)`
			args = append(args, now())
		}
		done, err := ch.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return errUnchanged
		}
		return nil
	})
}
