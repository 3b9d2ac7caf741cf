package main

import (
	"context"
	"encoding/json"

	"github.com/carillon-rt/carillon/broker"
)

// reading says how far somebody has read a room.
type reading struct {
	RoomID   int64 `json:"room_id"`
	ReadID   int64 `json:"read_id"`
	Unread   int   `json:"unread"`
	Mentions int   `json:"mentions"`
}

// readMarker is the data of the event read-marker.
type readMarker struct {
	RoomID    int64  `json:"room_id"`
	UserID    int64  `json:"user_id"`
	UserName  string `json:"user_name"`
	MessageID int64  `json:"message_id"`
	Timestamp moment `json:"timestamp"`
}

// markRead moves on the mark of what a user has read; it never goes back.
func (c *chat) markRead(r *call) (any, error) {
	var body struct {
		MessageID int64 `json:"message_id"`
	}
	if err := readJSON(r.w, r.Request, &body); err != nil {
		return nil, err
	}
	if body.MessageID < 1 {
		return nil, invalid("message_id", "message_id is not an ID.")
	}
	ctx := r.Context()
	var rm *room
	moved := false
	err := c.change(ctx, r.socket(), func(ch *change) (err error) {
		if rm, err = c.joinedRoomIn(ctx, ch, r.user, r.number("room")); err != nil {
			return err
		}
		done, err := ch.ExecContext(ctx, `UPDATE members SET read_id = new.id
			FROM (SELECT max(id) AS id FROM messages WHERE room_id = ?1 AND id <= ?2) new
			WHERE room_id = ?1 AND user_id = ?3 AND read_id < new.id`, rm.ID, body.MessageID, r.user.ID)
		if err != nil {
			return err
		}
		n, err := done.RowsAffected()
		if moved = n == 1; err != nil || !moved {
			return err
		}
		rm, err = c.room(ctx, ch, r.user, rm.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	now := reading{rm.ID, rm.ReadID, rm.Unread, rm.Mentions}
	if moved {
		c.tell(ctx, r.user.ID, r.socket(), "room-read", now)
		c.showReader(ctx, rm, r.user, r.socket())
	}
	return now, nil
}

// showReader tells those who look at a room how far somebody has read.
func (c *chat) showReader(ctx context.Context, rm *room, u user, exclude string) {
	text, err := json.Marshal(readMarker{RoomID: rm.ID, UserID: u.ID, UserName: u.Name, MessageID: rm.ReadID, Timestamp: now()})
	if err == nil {
		_, err = c.events.Publish(ctx, rm.Presence, "read-marker", text, broker.Exclude(exclude))
	}
	if err != nil && ctx.Err() == nil {
		c.log.Warn("read marker was not shown", "room", rm.ID, "error", err)
	}
}
