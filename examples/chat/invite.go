package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"net/http"
	"slices"
	"time"
)

// invitationAge is how long an invitation link is good.
const invitationAge = 30 * 24 * time.Hour

type invitation struct {
	URL       string `json:"url"`
	Role      string `json:"role"`
	ExpiresAt moment `json:"expires_at"`
}

// makeInvitation lets an admin invite others to a role.
func (c *chat) makeInvitation(r *call) (any, error) {
	var body struct{ Role string }
	if err := readJSON(r.w, r.Request, &body); err != nil {
		return nil, err
	}
	if !r.user.admin() {
		return nil, forbidden("Only admins invite.")
	}
	if !slices.Contains(roles, body.Role) {
		return nil, invalid("role", "There is no role %q.", body.Role)
	}
	inv, err := c.invite(r.Context(), body.Role)
	return created{inv}, err
}

// invite makes a link that gives a role to whoever has it. The database has only
// its digest.
func (c *chat) invite(ctx context.Context, role string) (invitation, error) {
	token, expires := rand.Text(), now()+moment(invitationAge/time.Millisecond)
	digest := sha256.Sum256([]byte(token))
	_, err := c.db.ExecContext(ctx, `INSERT INTO invitations (token_hash, role, expires_at) VALUES (?, ?, ?)`, digest[:], role, expires)
	return invitation{URL: "/invite/" + token, Role: role, ExpiresAt: expires}, err
}

// invited returns the role that an invitation gives.
func (c *chat) invited(ctx context.Context, token string) (role string, err error) {
	digest := sha256.Sum256([]byte(token))
	err = c.db.QueryRowContext(ctx, `SELECT role FROM invitations WHERE token_hash = ? AND expires_at > ?`, digest[:], now()).Scan(&role)
	if errors.Is(err, sql.ErrNoRows) {
		p := refuse(http.StatusNotFound, "not_found", "This invitation is not good any more. Ask for a new one.")
		p.Field = "invite"
		return "", p
	}
	return role, err
}
