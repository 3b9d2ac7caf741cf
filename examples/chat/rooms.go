package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"
)

// The kinds of rooms: anybody may join an open one; into a private one its members
// let others; a direct one belongs to two people for good.
const (
	openRoom    = "open"
	privateRoom = "private"
	directRoom  = "direct"
)

// room is a room as one user sees it.
type room struct {
	ID       int64  `json:"id"`
	Name     string `json:"name"`
	Topic    string `json:"topic"`
	Kind     string `json:"kind"`
	Capacity int    `json:"capacity"`
	Members  int    `json:"members"`
	Joined   bool   `json:"joined"`
	// Full says that there is no place for the user now, member or not.
	Full bool `json:"full"`
	// Manages says that the user may rename the room, and remove messages and members.
	Manages  bool  `json:"manages"`
	Unread   int   `json:"unread"`
	Mentions int   `json:"mentions"`
	ReadID   int64 `json:"read_id"`
	Last     *last `json:"last"`
	// With is the other one of a direct room.
	With      *user  `json:"with"`
	Channel   string `json:"channel"`
	Presence  string `json:"presence"`
	CreatedAt moment `json:"created_at"`

	madeBy int64
}

// last is what a list of rooms shows of a room's last message.
type last struct {
	ID         int64  `json:"id"`
	SenderName string `json:"sender_name"`
	Message    string `json:"message"`
	Type       string `json:"type"`
	CreatedAt  moment `json:"created_at"`
}

const (
	maxRoomName     = 60
	maxTopic        = 200
	defaultCapacity = 100
	maxCapacity     = 500
	// mostUnread is where counting ends.
	mostUnread = 100
)

// roomChannel is the channel that a room's messages go out on.
func roomChannel(id int64, kind string) string {
	if kind == openRoom {
		return fmt.Sprintf("room-%d", id)
	}
	return fmt.Sprintf("private-room-%d", id)
}

const selectRooms = `
SELECT r.id, r.name, r.topic, r.kind, r.capacity, r.made_by, r.created_at,
	(SELECT count(*) FROM members WHERE room_id = r.id),
	m.user_id IS NOT NULL, coalesce(m.read_id, 0),
	(SELECT count(*) FROM (SELECT 1 FROM messages x WHERE x.room_id = r.id AND x.id > m.read_id
		AND x.sender_id <> m.user_id AND x.type <> 'system' AND x.deleted_at = 0 LIMIT 100)),
	(SELECT count(*) FROM mentions n WHERE n.user_id = m.user_id AND n.room_id = r.id AND n.message_id > m.read_id),
	coalesce(l.id, 0), coalesce(s.name, ''), coalesce(substr(l.text, 1, 200), ''), coalesce(l.type, ''), coalesce(l.created_at, 0),
	coalesce(o.id, 0), coalesce(o.name, ''), coalesce(o.role, '')
FROM rooms r
LEFT JOIN members m ON m.room_id = r.id AND m.user_id = ?
LEFT JOIN messages l ON m.user_id IS NOT NULL AND l.id = (SELECT id FROM messages
	WHERE room_id = r.id AND type <> 'system' AND deleted_at = 0 ORDER BY id DESC LIMIT 1)
LEFT JOIN users s ON s.id = l.sender_id
LEFT JOIN users o ON r.kind = 'direct' AND o.id = (SELECT user_id FROM members WHERE room_id = r.id AND user_id <> m.user_id)
WHERE (m.user_id IS NOT NULL OR r.kind = 'open')`

// rooms reads rooms that u may see: those joined, and open ones.
func (c *chat) rooms(ctx context.Context, q querier, u user, where string, args ...any) ([]room, error) {
	return collect(ctx, q, func(rows *sql.Rows, rm *room) error {
		var l last
		var with user
		if err := rows.Scan(&rm.ID, &rm.Name, &rm.Topic, &rm.Kind, &rm.Capacity, &rm.madeBy, &rm.CreatedAt,
			&rm.Members, &rm.Joined, &rm.ReadID, &rm.Unread, &rm.Mentions,
			&l.ID, &l.SenderName, &l.Message, &l.Type, &l.CreatedAt,
			&with.ID, &with.Name, &with.Role); err != nil {
			return err
		}
		if l.ID != 0 {
			rm.Last = &l
		}
		if rm.Kind == directRoom {
			rm.With, rm.Name = &with, with.Name
		}
		rm.Manages = rm.Kind != directRoom && rm.Joined && (u.moderates() || rm.madeBy == u.ID)
		if rm.Full = rm.Kind == openRoom && !rm.Manages && !c.seats.free(rm, u.ID); rm.Full {
			rm.Last = nil
		}
		rm.Channel = roomChannel(rm.ID, rm.Kind)
		rm.Presence = fmt.Sprintf("presence-room-%d", rm.ID)
		return nil
	}, selectRooms+where, append([]any{u.ID}, args...)...)
}

// roomsOf returns u's rooms, those with the newest messages first, and then those
// that u could join.
func (c *chat) roomsOf(ctx context.Context, q querier, u user) ([]room, error) {
	return c.rooms(ctx, q, u, ` ORDER BY m.user_id IS NULL, coalesce(l.created_at, r.created_at) DESC, r.id`)
}

// room returns a room that u may see.
func (c *chat) room(ctx context.Context, q querier, u user, id int64) (*room, error) {
	found, err := c.rooms(ctx, q, u, ` AND r.id = ?`, id)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, notFound("room")
	}
	return &found[0], nil
}

// joinedRoom returns a room that u is a member of, and in which there is a place for u.
func (c *chat) joinedRoom(ctx context.Context, u user, id int64) (*room, error) {
	return c.joinedRoomIn(ctx, c.db, u, id)
}

func (c *chat) joinedRoomIn(ctx context.Context, q querier, u user, id int64) (*room, error) {
	rm, err := c.memberRoom(ctx, q, u, id)
	if err != nil {
		return nil, err
	}
	return rm, c.seat(rm, u)
}

// memberRoom returns a room that u is a member of, full or not.
func (c *chat) memberRoom(ctx context.Context, q querier, u user, id int64) (*room, error) {
	rm, err := c.room(ctx, q, u, id)
	if err != nil || rm.Joined {
		return rm, err
	}
	if removed, err := c.isRemoved(ctx, q, id, u.ID); err != nil {
		return nil, err
	} else if removed {
		return nil, wasRemoved
	}
	return nil, refuse(http.StatusForbidden, "not_a_member", "Join this room first.")
}

func (c *chat) listRooms(r *call) (any, error) {
	rooms, err := c.roomsOf(r.Context(), c.db, r.user)
	return map[string]any{"rooms": rooms}, err
}

func (c *chat) showRoom(r *call) (any, error) {
	rm, err := c.room(r.Context(), c.db, r.user, r.number("room"))
	return map[string]any{"room": rm}, err
}

func checkTopic(topic string) (string, error) {
	topic = strings.TrimSpace(topic)
	if n := utf8.RuneCountInString(topic); n > maxTopic {
		return "", invalid("topic", "That topic is too long: %d characters, and %d fit.", n, maxTopic)
	}
	return topic, nil
}

// createRoom makes an open or a private room, with its maker and others in it.
func (c *chat) createRoom(r *call) (any, error) {
	body := struct {
		Name, Kind, Topic string
		Capacity          int
		MemberIDs         []int64 `json:"member_ids"`
	}{Capacity: defaultCapacity}
	if err := readJSON(r.w, r.Request, &body); err != nil {
		return nil, err
	}
	name, err := cleanName("name", body.Name, maxRoomName)
	if err != nil {
		return nil, err
	}
	topic, err := checkTopic(body.Topic)
	switch {
	case err != nil:
		return nil, err
	case body.Kind != openRoom && body.Kind != privateRoom:
		return nil, invalid("kind", "A room is open or private.")
	case body.Capacity < 2 || body.Capacity > maxCapacity:
		return nil, invalid("capacity", "A room is for 2 to %d people.", maxCapacity)
	case len(body.MemberIDs) >= body.Capacity:
		return nil, invalid("member_ids", "These are more people than the room is for.")
	}
	if err := c.limits.room(r.Context(), r.user); err != nil {
		return nil, err
	}
	var rm *room
	err = c.change(r.Context(), r.socket(), func(ch *change) error {
		id, err := ch.insertRoom(r.Context(), name, topic, body.Kind, body.Capacity, r.user.ID)
		if err != nil {
			return err
		}
		if err := ch.enter(r.Context(), id, r.user); err != nil {
			return err
		}
		if rm, err = c.room(r.Context(), ch, r.user, id); err != nil {
			return err
		}
		if err := c.seat(rm, r.user); err != nil {
			return err
		}
		if err := ch.note(r.Context(), rm, r.user, "created", fmt.Sprintf("%s made the room", r.user.Name)); err != nil {
			return err
		}
		for _, other := range body.MemberIDs {
			if err := ch.add(r.Context(), rm, r.user, other); err != nil {
				return err
			}
		}
		rm, err = c.room(r.Context(), ch, r.user, id)
		return err
	})
	return created{map[string]any{"room": rm}}, err
}

func (ch *change) insertRoom(ctx context.Context, name, topic, kind string, capacity int, madeBy int64) (int64, error) {
	done, err := ch.ExecContext(ctx, `INSERT INTO rooms (name, topic, kind, capacity, made_by, created_at) VALUES (?, ?, ?, ?, ?, ?)`,
		name, topic, kind, capacity, madeBy, now())
	if err != nil {
		return 0, err
	}
	return done.LastInsertId()
}

// openDirect returns the room of two people, and makes it if this is the first time.
func (c *chat) openDirect(r *call) (any, error) {
	var body struct {
		UserID int64 `json:"user_id"`
	}
	if err := readJSON(r.w, r.Request, &body); err != nil {
		return nil, err
	}
	if body.UserID == r.user.ID {
		return nil, invalid("user_id", "That is you.")
	}
	ctx, isNew := r.Context(), false
	var rm *room
	err := c.change(ctx, r.socket(), func(ch *change) error {
		other, err := c.personByID(ctx, ch, body.UserID)
		if err != nil {
			return err
		}
		pair := fmt.Sprintf("%d:%d", min(r.user.ID, other.ID), max(r.user.ID, other.ID))
		done, err := ch.ExecContext(ctx, `INSERT INTO rooms (name, kind, capacity, made_by, pair, created_at)
			VALUES ('', 'direct', 2, ?, ?, ?) ON CONFLICT DO NOTHING`, r.user.ID, pair, now())
		if err != nil {
			return err
		}
		var id int64
		if err := ch.QueryRowContext(ctx, `SELECT id FROM rooms WHERE pair = ?`, pair).Scan(&id); err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil {
			return err
		} else if isNew = n == 1; isNew {
			for _, u := range []user{r.user, other} {
				if err := ch.enter(ctx, id, u); err != nil {
					return err
				}
			}
			if err := ch.tellAdded(ctx, id, other); err != nil {
				return err
			}
		}
		rm, err = c.room(ctx, ch, r.user, id)
		return err
	})
	if isNew {
		return created{map[string]any{"room": rm}}, err
	}
	return map[string]any{"room": rm}, err
}

// renameRoom changes a room's name or topic.
func (c *chat) renameRoom(r *call) (any, error) {
	var body struct{ Name, Topic *string }
	if err := readJSON(r.w, r.Request, &body); err != nil {
		return nil, err
	}
	ctx := r.Context()
	var rm *room
	err := c.change(ctx, r.socket(), func(ch *change) (err error) {
		if rm, err = c.joinedRoomIn(ctx, ch, r.user, r.number("room")); err != nil {
			return err
		}
		if !rm.Manages {
			return forbidden("Only teachers, admins and who made this room may change it.")
		}
		was := rm.Name
		if body.Name != nil {
			if rm.Name, err = cleanName("name", *body.Name, maxRoomName); err != nil {
				return err
			}
		}
		if body.Topic != nil {
			if rm.Topic, err = checkTopic(*body.Topic); err != nil {
				return err
			}
		}
		if _, err := ch.ExecContext(ctx, `UPDATE rooms SET name = ?, topic = ? WHERE id = ?`, rm.Name, rm.Topic, rm.ID); err != nil {
			return err
		}
		if rm.Name != was {
			if err := ch.note(ctx, rm, r.user, "renamed", fmt.Sprintf("%s renamed the room to %s", r.user.Name, rm.Name)); err != nil {
				return err
			}
		}
		return ch.roomChanged(ctx, rm.ID)
	})
	return map[string]any{"room": rm}, err
}
