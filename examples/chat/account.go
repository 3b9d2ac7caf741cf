package main

import (
	"context"
	"fmt"
	"net/http"

	"golang.org/x/crypto/bcrypt"
)

// changeAccount gives a user another name or passphrase. Whoever changes the passphrase
// is signed out everywhere else.
func (c *chat) changeAccount(r *call) (any, error) {
	var body struct {
		Name                *string
		Passphrase, Current string
	}
	if err := readJSON(r.w, r.Request, &body); err != nil {
		return nil, err
	}
	ctx, u := r.Context(), r.user
	name, key := u.Name, ""
	var err error
	if body.Name != nil {
		if name, err = cleanName("name", *body.Name, maxName); err != nil {
			return nil, err
		}
	}
	if key, err = nameKey(name); err != nil {
		return nil, err
	}
	if name != u.Name {
		if err := c.limits.rename(ctx, u); err != nil {
			return nil, err
		}
	}
	var hash []byte
	if body.Passphrase != "" {
		if err := checkPassphrase(body.Passphrase); err != nil {
			return nil, err
		}
		if err := c.isPassphrase(r, body.Current, "current"); err != nil {
			return nil, err
		}
		if hash, err = c.passphraseHash(body.Passphrase); err != nil {
			return nil, err
		}
	}
	err = c.change(ctx, r.socket(), func(ch *change) error {
		var taken bool
		if err := ch.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM users WHERE name_key = ? AND id <> ?)`, key, u.ID).Scan(&taken); err != nil {
			return err
		}
		if taken {
			return invalid("name", "“%s” is taken, or looks like a name that is. Choose another one.", name)
		}
		if hash != nil {
			if _, err := ch.ExecContext(ctx, `UPDATE users SET passphrase = ? WHERE id = ?`, hash, u.ID); err != nil {
				return err
			}
			if err := ch.endSessions(ctx, u.ID, r.session); err != nil {
				return err
			}
		}
		if name == u.Name {
			return nil
		}
		was := u
		u.Name = name
		if _, err := ch.ExecContext(ctx, `UPDATE users SET name = ?, name_key = ? WHERE id = ?`, name, key, u.ID); err != nil {
			return err
		}
		// The name that a connection has told others is the old one: it connects again.
		ch.then(func(context.Context) { c.connections.again(u.ID) })
		_, err := ch.noteInRooms(ctx, u, "renamed", fmt.Sprintf("%s is now called %s", was.Name, u.Name))
		return err
	})
	return map[string]any{"user": u}, err
}

// deleteAccount takes a user out of all rooms. What they said stays, under no name.
func (c *chat) deleteAccount(r *call) (any, error) {
	var body struct{ Current string }
	if err := readJSON(r.w, r.Request, &body); err != nil {
		return nil, err
	}
	if err := c.isPassphrase(r, body.Current, "current"); err != nil {
		return nil, err
	}
	ctx, u := r.Context(), r.user
	err := c.change(ctx, r.socket(), func(ch *change) error {
		left, err := ch.noteInRooms(ctx, u, "left", u.Name+" has left the chat for good")
		if err != nil {
			return err
		}
		// No name has a key with capitals, and no passphrase an empty hash.
		if _, err := ch.ExecContext(ctx, `UPDATE users SET name = 'Deleted account', name_key = ?, role = ?, passphrase = '' WHERE id = ?`,
			fmt.Sprint("DELETED ", u.ID), roles[0], u.ID); err != nil {
			return err
		}
		for _, statement := range []string{
			`DELETE FROM mentions WHERE user_id = ?`,
			// Who is left alone in a direct room keeps what was said there.
			`DELETE FROM members WHERE user_id = ? AND room_id NOT IN (SELECT id FROM rooms WHERE kind = 'direct')`,
		} {
			if _, err := ch.ExecContext(ctx, statement, u.ID); err != nil {
				return err
			}
		}
		for _, rm := range left {
			if err := ch.roomChanged(ctx, rm.ID); err != nil {
				return err
			}
			ch.then(func(ctx context.Context) { c.lockOut(ctx, rm, u) })
		}
		return ch.endSessions(ctx, u.ID, "")
	})
	if err == nil {
		c.setCookie(r.w, r.Request, "", -1)
	}
	return nil, err
}

// noteInRooms says something of u in all of u's rooms, and returns these.
func (ch *change) noteInRooms(ctx context.Context, u user, action, text string) (joined []*room, err error) {
	rooms, err := ch.chat.roomsOf(ctx, ch, u)
	if err != nil {
		return nil, err
	}
	for i := range rooms {
		if rm := &rooms[i]; rm.Joined {
			if err := ch.note(ctx, rm, u, action, text); err != nil {
				return nil, err
			}
			joined = append(joined, rm)
		}
	}
	return joined, nil
}

// isPassphrase refuses what is not the user's, a few times a minute.
func (c *chat) isPassphrase(r *call, passphrase, field string) error {
	if err := c.limits.signIn(r.Context(), c.address(r.Request), r.user.Name); err != nil {
		return err
	}
	var hash []byte
	if err := c.db.QueryRowContext(r.Context(), `SELECT passphrase FROM users WHERE id = ?`, r.user.ID).Scan(&hash); err != nil {
		return err
	}
	if bcrypt.CompareHashAndPassword(hash, digest(passphrase)) != nil {
		p := refuse(http.StatusForbidden, "wrong_passphrase", "That is not your passphrase.")
		p.Field = field
		return p
	}
	return nil
}

// endSessions ends a user's sessions but one, and their connections.
func (ch *change) endSessions(ctx context.Context, userID int64, but string) error {
	ended, err := collect(ctx, ch, column[string],
		`DELETE FROM sessions WHERE user_id = ? AND id <> ? RETURNING id`, userID, but)
	ch.then(func(context.Context) {
		for _, id := range ended {
			ch.chat.connections.close(id)
		}
	})
	return err
}
