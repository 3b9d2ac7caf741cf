package main

import (
	"context"
	"errors"
)

// sessionAnswer is what a page has to know before anything else.
func (c *chat) sessionAnswer(_ context.Context, u *user, inviteRole string) any {
	choice := []string{}
	if c.config.demo {
		choice = roles
	}
	return map[string]any{
		"user": u, "demo": c.config.demo, "roles": choice, "invite_role": inviteRole,
		"realtime": map[string]any{
			"key": appKey, "path": "/realtime", "auth_endpoint": "/pusher/auth", "user_auth_endpoint": "/pusher/user-auth",
		},
		"limits": map[string]any{
			"message_chars": maxText, "name_chars": maxName, "room_name_chars": maxRoomName, "topic_chars": maxTopic,
			"passphrase_chars": minPassphrase, "upload_bytes": c.config.maxUpload,
			"messages": c.config.messages, "per_seconds": messageSeconds, "page": pageSize,
		},
		"push_key": c.keys.pushPublic,
	}
}

// lobby is the ID of the room that everybody who is new comes into.
const lobby = 1

// firstRooms makes the lobby, unless there are rooms.
func (c *chat) firstRooms(ctx context.Context) error {
	return c.change(ctx, "", func(ch *change) error {
		var some bool
		if err := ch.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM rooms)`).Scan(&some); err != nil || some {
			return err
		}
		_, err := ch.insertRoom(ctx, "Lobby", "Everybody is here", openRoom, c.config.roomSize, 0)
		return err
	})
}

// welcome brings somebody who is new into the lobby, and in a demo into all of its
// rooms, unless they have all the members that they take.
func (c *chat) welcome(ctx context.Context, u user, isNew bool) error {
	if !isNew {
		return nil
	}
	rooms, err := c.roomsOf(ctx, c.db, u)
	if err != nil {
		return err
	}
	for _, rm := range rooms {
		if rm.ID != lobby && !c.config.demo {
			continue
		}
		err := c.change(ctx, "", func(ch *change) error {
			if err := ch.enter(ctx, rm.ID, u); err != nil {
				return err
			}
			if err := ch.note(ctx, &rm, u, "joined", u.Name+" joined the room"); err != nil {
				return err
			}
			c.seats.take(&rm, u.ID) // or wait for one, as a member
			return ch.roomChanged(ctx, rm.ID)
		})
		var p *problem
		if err != nil && !(errors.As(err, &p) && p.Code == "room_full") {
			return err
		}
	}
	return nil
}

// shorten cuts a text to a number of characters.
func shorten(text string, chars int) string {
	r := []rune(text)
	if len(r) <= chars {
		return text
	}
	return string(r[:chars-1]) + "…"
}
