package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"

	"github.com/carillon-rt/carillon/broker"
)

// member is a user in a room.
type member struct {
	user
	IsOnline bool   `json:"is_online"`
	LastSeen moment `json:"last_seen"`
	JoinedAt moment `json:"joined_at"`
	// Manages says that the member made the room.
	Manages bool `json:"manages"`
}

var wasRemoved = refuse(http.StatusForbidden, "removed", "You were removed from this room. Ask a teacher to let you back in.")

func (c *chat) isRemoved(ctx context.Context, q querier, roomID, id int64) (removed bool, err error) {
	err = q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM removals WHERE room_id = ? AND user_id = ?)`, roomID, id).Scan(&removed)
	return removed, err
}

// maxMembers is how many people an open room has, here or not.
const maxMembers = 2000

// enter makes u a member of a room, unless the room has as many as it takes. What was
// said before counts as read.
func (ch *change) enter(ctx context.Context, roomID int64, u user) error {
	rm := room{ID: roomID}
	if err := ch.QueryRowContext(ctx, `SELECT kind, capacity FROM rooms WHERE id = ?`, roomID).Scan(&rm.Kind, &rm.Capacity); err != nil {
		return err
	}
	most, full := rm.Capacity, "This room has all of its %d members."
	if rm.Kind == openRoom {
		most, full = maxMembers, "This room has %d members, and no more fit."
	}
	done, err := ch.ExecContext(ctx, `INSERT INTO members (room_id, user_id, joined_at, read_id)
		SELECT ?1, ?2, ?3, coalesce((SELECT max(id) FROM messages WHERE room_id = ?1), 0)
		WHERE (SELECT count(*) FROM members WHERE room_id = ?1) < ?4`, roomID, u.ID, now(), most)
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return roomFull(full, most)
}

// roomChanged tells how many are in a room, and what it is called.
func (ch *change) roomChanged(ctx context.Context, id int64) error {
	changed := struct {
		RoomID  int64  `json:"room_id"`
		Name    string `json:"name"`
		Topic   string `json:"topic"`
		Members int    `json:"members"`
	}{RoomID: id}
	var kind string
	if err := ch.QueryRowContext(ctx, `SELECT name, topic, kind, (SELECT count(*) FROM members WHERE room_id = rooms.id) FROM rooms WHERE id = ?`, id).
		Scan(&changed.Name, &changed.Topic, &kind, &changed.Members); err != nil {
		return err
	}
	return ch.publish(roomChannel(id, kind), "room-changed", changed)
}

// tellAdded tells u of a room that u is in from now on.
func (ch *change) tellAdded(ctx context.Context, roomID int64, u user) error {
	rm, err := ch.chat.room(ctx, ch, u, roomID)
	if err != nil {
		return err
	}
	ch.then(func(ctx context.Context) { ch.chat.tell(ctx, u.ID, "", "room-added", map[string]any{"room": rm}) })
	return nil
}

// joinRoom makes somebody a member of an open room.
func (c *chat) joinRoom(r *call) (any, error) {
	ctx := r.Context()
	var rm *room
	err := c.change(ctx, r.socket(), func(ch *change) (err error) {
		if rm, err = c.room(ctx, ch, r.user, r.number("room")); err != nil {
			return err
		}
		if rm.Joined { // and may have found it full before
			if err := c.seat(rm, r.user); err != nil {
				return err
			}
			rm, err = c.room(ctx, ch, r.user, rm.ID)
			return err
		}
		if removed, err := c.isRemoved(ctx, ch, rm.ID, r.user.ID); err != nil {
			return err
		} else if removed {
			return wasRemoved
		}
		if err := c.seat(rm, r.user); err != nil {
			return err
		}
		if err := ch.enter(ctx, rm.ID, r.user); err != nil {
			return err
		}
		if err := ch.note(ctx, rm, r.user, "joined", r.user.Name+" joined the room"); err != nil {
			return err
		}
		if err := ch.roomChanged(ctx, rm.ID); err != nil {
			return err
		}
		rm, err = c.room(ctx, ch, r.user, rm.ID)
		return err
	})
	return map[string]any{"room": rm}, err
}

// leaveRoom ends a membership.
func (c *chat) leaveRoom(r *call) (any, error) {
	ctx := r.Context()
	return nil, c.change(ctx, r.socket(), func(ch *change) error {
		rm, err := c.memberRoom(ctx, ch, r.user, r.number("room"))
		if err != nil {
			return err
		}
		if rm.Kind == directRoom {
			return forbidden("A direct conversation cannot be left.")
		}
		return ch.takeOut(ctx, rm, r.user, r.user, "left", r.user.Name+" left the room")
	})
}

// takeOut ends u's membership: by says who did it.
func (ch *change) takeOut(ctx context.Context, rm *room, by, u user, action, text string) error {
	if _, err := ch.ExecContext(ctx, `DELETE FROM members WHERE room_id = ? AND user_id = ?`, rm.ID, u.ID); err != nil {
		return err
	}
	if err := ch.note(ctx, rm, by, action, text); err != nil {
		return err
	}
	if err := ch.roomChanged(ctx, rm.ID); err != nil {
		return err
	}
	ch.then(func(ctx context.Context) {
		ch.chat.seats.leave(rm.ID, u.ID)
		ch.chat.lockOut(ctx, rm, u)
		ch.chat.tell(ctx, u.ID, ch.socket, "room-removed", map[string]any{
			"room_id": rm.ID, "reason": action, "by": by.Name, "message": fmt.Sprintf("You are no longer in %s: %s.", rm.Name, text)})
	})
	return nil
}

// lockOut takes a user's connections off a room's channels. The hook mayRead keeps
// them from coming back.
func (c *chat) lockOut(ctx context.Context, rm *room, u user) {
	if rm.Kind == openRoom {
		c.connections.unsubscribe(ctx, u.ID, rm.Channel)
	} else {
		c.revoke(ctx, rm.Channel, u)
	}
	c.revoke(ctx, rm.Presence, u)
}

func (c *chat) revoke(ctx context.Context, channel string, u user) {
	if _, err := c.events.Revoke(ctx, channel, userID(u.ID)); err != nil && !errors.Is(err, broker.ErrShutdown) {
		c.log.Error("subscription was not revoked", "channel", channel, "user", u.ID, "error", err)
	}
}

// listMembers answers with a room's members, those who are online first.
func (c *chat) listMembers(r *call) (any, error) {
	rm, err := c.joinedRoom(r.Context(), r.user, r.number("room"))
	if err != nil {
		return nil, err
	}
	members, err := c.members(r.Context(), c.db, rm, 0)
	return map[string]any{"members": members}, err
}

// members reads those of a room, or the one with an ID.
func (c *chat) members(ctx context.Context, q querier, rm *room, id int64) ([]member, error) {
	return collect(ctx, q, func(rows *sql.Rows, m *member) error {
		if err := rows.Scan(&m.ID, &m.Name, &m.Role, &m.LastSeen, &m.JoinedAt); err != nil {
			return err
		}
		m.Manages = m.ID == rm.madeBy
		if m.IsOnline = c.status.online(m.ID); m.IsOnline {
			m.LastSeen = 0
		}
		return nil
	}, `SELECT u.id, u.name, u.role, u.last_seen, m.joined_at FROM members m JOIN users u ON u.id = m.user_id
		WHERE m.room_id = ?1 AND (?2 = 0 OR u.id = ?2) ORDER BY u.name COLLATE NOCASE`, rm.ID, id)
}

// addMember lets a member of a private room, or who manages an open one, bring in
// somebody; for those who were removed, only who manages the room can.
func (c *chat) addMember(r *call) (any, error) {
	var body struct {
		UserID int64 `json:"user_id"`
	}
	if err := readJSON(r.w, r.Request, &body); err != nil {
		return nil, err
	}
	ctx := r.Context()
	var added []member
	err := c.change(ctx, r.socket(), func(ch *change) error {
		rm, err := c.joinedRoomIn(ctx, ch, r.user, r.number("room"))
		if err != nil {
			return err
		}
		if rm.Kind == directRoom || rm.Kind == openRoom && !rm.Manages {
			return forbidden("Nobody can be added to this room; who wants to come in joins it.")
		}
		if err := ch.add(ctx, rm, r.user, body.UserID); err != nil {
			return err
		}
		added, err = c.members(ctx, ch, rm, body.UserID)
		return err
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{"member": added[0]}, nil
}

// add makes somebody a member who is not yet.
func (ch *change) add(ctx context.Context, rm *room, by user, id int64) error {
	u, err := ch.chat.personByID(ctx, ch, id)
	if err != nil {
		return err
	}
	var there bool
	if err := ch.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM members WHERE room_id = ? AND user_id = ?)`, rm.ID, id).Scan(&there); err != nil || there {
		return err
	}
	if removed, err := ch.chat.isRemoved(ctx, ch, rm.ID, id); err != nil {
		return err
	} else if removed && !rm.Manages {
		return forbidden("%s was removed from this room: only who manages it can let them back in.", u.Name)
	}
	if _, err := ch.ExecContext(ctx, `DELETE FROM removals WHERE room_id = ? AND user_id = ?`, rm.ID, id); err != nil {
		return err
	}
	if err := ch.enter(ctx, rm.ID, u); err != nil {
		return err
	}
	if err := ch.note(ctx, rm, by, "added", fmt.Sprintf("%s added %s", by.Name, u.Name)); err != nil {
		return err
	}
	if err := ch.roomChanged(ctx, rm.ID); err != nil {
		return err
	}
	return ch.tellAdded(ctx, rm.ID, u)
}

// removeMember takes somebody out of a room, who cannot join it again.
func (c *chat) removeMember(r *call) (any, error) {
	ctx := r.Context()
	return nil, c.change(ctx, r.socket(), func(ch *change) error {
		rm, err := c.joinedRoomIn(ctx, ch, r.user, r.number("room"))
		if err != nil {
			return err
		}
		u, err := c.userByID(ctx, ch, r.number("user"))
		switch {
		case err != nil:
			return err
		case u.ID == r.user.ID:
			return forbidden("To go, leave the room.")
		case !rm.Manages || u.outranks(r.user):
			return forbidden("You may not remove %s from this room.", u.Name)
		}
		there, err := c.members(ctx, ch, rm, u.ID)
		if err != nil {
			return err
		}
		if len(there) == 0 {
			return notFound("member")
		}
		if _, err := ch.ExecContext(ctx, `INSERT OR IGNORE INTO removals (room_id, user_id, removed_by, removed_at) VALUES (?, ?, ?, ?)`,
			rm.ID, u.ID, r.user.ID, now()); err != nil {
			return err
		}
		return ch.takeOut(ctx, rm, r.user, u, "removed", fmt.Sprintf("%s removed %s", r.user.Name, u.Name))
	})
}
