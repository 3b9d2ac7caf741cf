package main

import (
	"context"
	"database/sql"
	"net/http"
)

var wasBanned = refuse(http.StatusForbidden, "banned", "This account was banned. Ask an admin of this chat.")

func (c *chat) isBanned(ctx context.Context, q querier, id int64) (banned bool, err error) {
	err = q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM bans WHERE user_id = ?)`, id).Scan(&banned)
	return banned, err
}

// banned is somebody who may not come in.
type banned struct {
	user
	By       string `json:"by"`
	BannedAt moment `json:"banned_at"`
}

// listBans answers an admin with who is banned, the last first.
func (c *chat) listBans(r *call) (any, error) {
	if !r.user.admin() {
		return nil, forbidden("Only admins see who is banned.")
	}
	bans, err := collect(r.Context(), c.db, func(rows *sql.Rows, b *banned) error {
		return rows.Scan(&b.ID, &b.Name, &b.Role, &b.By, &b.BannedAt)
	}, `SELECT u.id, u.name, u.role, coalesce(a.name, ''), b.banned_at FROM bans b JOIN users u ON u.id = b.user_id
		LEFT JOIN users a ON a.id = b.banned_by ORDER BY b.banned_at DESC, u.id DESC LIMIT 500`)
	return map[string]any{"bans": bans}, err
}

// ban keeps somebody out of the whole chat: their sessions end, they cannot sign in, and
// no notification goes to them. Their rooms wait for them.
func (c *chat) ban(r *call) (any, error) {
	ctx := r.Context()
	return nil, c.change(ctx, r.socket(), func(ch *change) error {
		u, err := c.mayBan(ctx, ch, r)
		if err != nil {
			return err
		}
		if _, err := ch.ExecContext(ctx, `INSERT OR IGNORE INTO bans (user_id, banned_by, banned_at) VALUES (?, ?, ?)`, u.ID, r.user.ID, now()); err != nil {
			return err
		}
		return ch.endSessions(ctx, u.ID, "")
	})
}

// unban lets somebody in again.
func (c *chat) unban(r *call) (any, error) {
	ctx := r.Context()
	return nil, c.change(ctx, r.socket(), func(ch *change) error {
		u, err := c.mayBan(ctx, ch, r)
		if err != nil {
			return err
		}
		_, err = ch.ExecContext(ctx, `DELETE FROM bans WHERE user_id = ?`, u.ID)
		return err
	})
}

// mayBan returns whom an admin asks to ban, or to let in again.
func (c *chat) mayBan(ctx context.Context, q querier, r *call) (user, error) {
	u, err := c.personByID(ctx, q, r.number("user"))
	switch {
	case !r.user.admin():
		return user{}, forbidden("Only admins can ban somebody from the chat.")
	case err != nil:
		return user{}, err
	case u.ID == r.user.ID:
		return user{}, forbidden("You cannot ban yourself.")
	}
	return u, nil
}
