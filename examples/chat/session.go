package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	cookieName = "carillon_chat"
	cookieAge  = 7 * 24 * time.Hour
)

// login is one signed-in browser.
type login struct {
	id      string
	user    user
	expires moment
}

// signIn claims a name or takes it up again, and gives the browser its cookie.
func (c *chat) signIn(w http.ResponseWriter, r *http.Request) {
	var body struct{ Name, Passphrase, Role, Invite string }
	err := readJSON(w, r, &body)
	var isNew bool
	var u user
	if err == nil {
		u, isNew, err = c.admit(r, body.Name, body.Passphrase, body.Role, body.Invite)
	}
	if err == nil {
		err = c.startSession(w, r, u)
	}
	if err != nil {
		reply(w, r, nil, err)
		return
	}
	answer := c.sessionAnswer(r.Context(), &u, "")
	if isNew {
		reply(w, r, created{answer}, nil)
		return
	}
	reply(w, r, answer, nil)
}

// admit checks what somebody signs in with.
func (c *chat) admit(r *http.Request, name, passphrase, role, invite string) (u user, isNew bool, err error) {
	ctx := r.Context()
	if name, err = cleanName("name", name, maxName); err != nil {
		return user{}, false, err
	}
	if err := checkPassphrase(passphrase); err != nil {
		return user{}, false, err
	}
	if err := c.limits.signIn(ctx, c.address(r), name); err != nil {
		return user{}, false, err
	}
	granted := roles[0]
	switch {
	case invite != "":
		if granted, err = c.invited(ctx, invite); err != nil {
			return user{}, false, err
		}
	case role == "", role == roles[0]:
	case !c.config.demo:
		return user{}, false, invalid("role", "That role needs an invitation link.")
	default:
		if granted = role; !slices.Contains(roles, role) {
			return user{}, false, invalid("role", "There is no role %q.", role)
		}
	}
	u, isNew, err = c.claim(ctx, name, passphrase, granted)
	if err != nil {
		return user{}, false, err
	}
	if banned, err := c.isBanned(ctx, c.db, u.ID); err != nil {
		return user{}, false, err
	} else if banned {
		return user{}, false, wasBanned
	}
	return u, isNew, c.welcome(ctx, u, isNew)
}

// startSession replaces the browser's session, if it has one, by one of u.
func (c *chat) startSession(w http.ResponseWriter, r *http.Request, u user) error {
	ctx := r.Context()
	if old, ok := c.login(r); ok {
		if err := c.endSession(ctx, old.id); err != nil {
			return err
		}
	}
	id, expires := rand.Text(), now()+moment(cookieAge/time.Millisecond)
	if _, err := c.db.ExecContext(ctx, `DELETE FROM sessions WHERE expires_at < ?`, now()); err != nil {
		return err
	}
	if _, err := c.db.ExecContext(ctx, `INSERT INTO sessions (id, user_id, expires_at) VALUES (?, ?, ?)`, id, u.ID, expires); err != nil {
		return err
	}
	c.setCookie(w, r, c.seal(id), int(cookieAge/time.Second))
	return nil
}

// endSession forgets a session and closes its connections.
func (c *chat) endSession(ctx context.Context, id string) error {
	_, err := c.db.ExecContext(ctx, `DELETE FROM sessions WHERE id = ?`, id)
	c.connections.close(id)
	return err
}

func (c *chat) signOut(w http.ResponseWriter, r *http.Request) {
	var err error
	if l, ok := c.login(r); ok {
		err = c.endSession(r.Context(), l.id)
	}
	c.setCookie(w, r, "", -1)
	reply(w, r, nil, err)
}

// showSession answers who is signed in, if anybody is, and what a page has to know
// before anything else. It is no error to be signed out.
func (c *chat) showSession(w http.ResponseWriter, r *http.Request) {
	var u *user
	if l, ok := c.login(r); ok {
		u = &l.user
	}
	invited := ""
	if token := r.FormValue("invite"); token != "" {
		invited, _ = c.invited(r.Context(), token)
	}
	reply(w, r, c.sessionAnswer(r.Context(), u, invited), nil)
}

// signedIn calls next for those who have a session.
func (c *chat) signedIn(next func(*call) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		l, ok := c.login(r)
		if !ok {
			reply(w, r, nil, signedOut)
			return
		}
		r = r.WithContext(context.WithValue(r.Context(), sessionKey{}, l.id))
		answer, err := next(&call{Request: r, w: w, user: l.user, session: l.id})
		if _, done := answer.(written); !done {
			reply(w, r, answer, err)
		}
	}
}

// sessionKey is where the context of a request has the session that it belongs to.
type sessionKey struct{}

// stillSignedIn refuses a request whose session has ended since it came: an upload takes a
// while, and whoever was banned meanwhile has nothing to bring any more.
func (ch *change) stillSignedIn(ctx context.Context) error {
	id, ok := ctx.Value(sessionKey{}).(string)
	if !ok {
		return nil
	}
	if _, err := ch.chat.sessionIn(ctx, ch, id); errors.Is(err, sql.ErrNoRows) {
		return signedOut
	} else if err != nil {
		return err
	}
	return nil
}

// written is the answer of a handler that has written it already.
type written struct{}

func (c *chat) setCookie(w http.ResponseWriter, r *http.Request, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil || strings.HasPrefix(c.config.url, "https://"),
	})
}

// login returns who the request's cookie says it comes from.
func (c *chat) login(r *http.Request) (login, bool) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return login{}, false
	}
	return c.loginOf(r.Context(), cookie.Value)
}

func (c *chat) loginOf(ctx context.Context, cookie string) (login, bool) {
	id, ok := c.open(cookie)
	if !ok {
		return login{}, false
	}
	return c.session(ctx, id)
}

// session returns whose a session is, unless it has ended.
func (c *chat) session(ctx context.Context, id string) (login, bool) {
	l, err := c.sessionIn(ctx, c.db, id)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		c.log.Error("session was not read", "error", err)
	}
	return l, err == nil
}

func (c *chat) sessionIn(ctx context.Context, q querier, id string) (login, error) {
	l := login{id: id}
	err := q.QueryRowContext(ctx, `SELECT u.id, u.name, u.role, s.expires_at FROM sessions s JOIN users u ON u.id = s.user_id
		WHERE s.id = ? AND s.expires_at > ? AND NOT EXISTS (SELECT 1 FROM bans WHERE user_id = u.id)`, id, now()).Scan(&l.user.ID, &l.user.Name, &l.user.Role, &l.expires)
	return l, err
}

// seal returns "id.signature": what is not signed is not even looked up.
func (c *chat) seal(id string) string {
	return id + "." + base64.RawURLEncoding.EncodeToString(c.sign(id))
}

func (c *chat) open(cookie string) (id string, ok bool) {
	id, tail, _ := strings.Cut(cookie, ".")
	signature, err := base64.RawURLEncoding.DecodeString(tail)
	return id, err == nil && hmac.Equal(signature, c.sign(id))
}

func (c *chat) sign(id string) []byte {
	mac := hmac.New(sha256.New, c.keys.session)
	mac.Write([]byte(id))
	return mac.Sum(nil)
}
