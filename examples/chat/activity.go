package main

import (
	"context"
	"database/sql"
	"slices"
)

// activity is something that happened in a room, the data of the event
// new-activity.
type activity struct {
	ID          int64  `json:"id"`
	RoomID      int64  `json:"room_id"`
	Action      string `json:"action"`
	UserID      int64  `json:"user_id"`
	UserName    string `json:"user_name"`
	Role        string `json:"role"`
	Description string `json:"description"`
	Timestamp   moment `json:"timestamp"`
}

// act stores what a user did, and publishes it.
func (ch *change) act(ctx context.Context, rm *room, by user, action, description string) error {
	a := activity{RoomID: rm.ID, Action: action, UserID: by.ID, UserName: by.Name, Role: by.Role, Description: description, Timestamp: now()}
	done, err := ch.ExecContext(ctx, `INSERT INTO activity (room_id, action, user_id, description, created_at) VALUES (?, ?, ?, ?, ?)`,
		rm.ID, action, by.ID, description, a.Timestamp)
	if err != nil {
		return err
	}
	if a.ID, err = done.LastInsertId(); err != nil {
		return err
	}
	return ch.publish(rm.Channel, "new-activity", a)
}

// listActivity answers with what happened in a room, the newest first.
func (c *chat) listActivity(r *call) (any, error) {
	before, limit, err := r.page()
	if err != nil {
		return nil, err
	}
	rm, err := c.joinedRoom(r.Context(), r.user, r.number("room"))
	if err != nil {
		return nil, err
	}
	found, err := collect(r.Context(), c.db, func(rows *sql.Rows, a *activity) error {
		return rows.Scan(&a.ID, &a.RoomID, &a.Action, &a.UserID, &a.UserName, &a.Role, &a.Description, &a.Timestamp)
	}, `SELECT a.id, a.room_id, a.action, a.user_id, coalesce(u.name, ''), coalesce(u.role, ''), a.description, a.created_at
		FROM activity a LEFT JOIN users u ON u.id = a.user_id WHERE a.room_id = ?1 AND (?2 = 0 OR a.id < ?2) ORDER BY a.id DESC LIMIT ?3`,
		rm.ID, before, limit+1)
	if err != nil {
		return nil, err
	}
	more := len(found) > limit
	return map[string]any{"activity": slices.Clip(found[:min(limit, len(found))]), "has_before": more}, nil
}
