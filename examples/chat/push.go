package main

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/SherClockHolmes/webpush-go"

	"github.com/carillon-rt/carillon/examples/chat/internal/publicnet"
)

// notification is what a service worker is told.
type notification struct {
	Title     string `json:"title"`
	Body      string `json:"body"`
	RoomID    int64  `json:"room_id"`
	MessageID int64  `json:"message_id"`
	URL       string `json:"url"`
	Tag       string `json:"tag"`
}

const (
	pushTimeout = 10 * time.Second
	pushWorkers = 4
	pushQueue   = 1000
	// pushBrowsers is how many browsers a user may have notified.
	pushBrowsers = 10
	// pushAge is how long, in seconds, a push service keeps a notification for a
	// browser that is not there.
	pushAge = 24 * 3600
)

// pushes sends notifications through the push services of browsers.
type pushes struct {
	chat   *chat
	client *http.Client
	queue  chan push
	wait   sync.WaitGroup
	ctx    context.Context
	stop   context.CancelFunc
}

type push struct {
	to   webpush.Subscription
	text []byte
}

func newPushes(c *chat) *pushes {
	p := &pushes{chat: c, client: publicnet.Client(pushTimeout), queue: make(chan push, pushQueue)}
	if c.config.pushAnywhere {
		p.client = &http.Client{Timeout: pushTimeout, Transport: &http.Transport{}}
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	for range pushWorkers {
		p.wait.Go(p.work)
	}
	return p
}

// close ends the sending; what has not gone out by now does not.
func (p *pushes) close() {
	p.stop()
	p.wait.Wait()
	p.client.CloseIdleConnections()
}

func (p *pushes) work() {
	for {
		select {
		case <-p.ctx.Done():
			return
		case one := <-p.queue:
			p.send(one)
		}
	}
}

// send hands one notification to a push service, and forgets browsers that want
// none any more.
func (p *pushes) send(one push) {
	resp, err := webpush.SendNotificationWithContext(p.ctx, one.text, &one.to, &webpush.Options{
		HTTPClient: p.client, Subscriber: p.subscriber(), TTL: pushAge, Urgency: webpush.UrgencyHigh,
		VAPIDPublicKey: p.chat.keys.pushPublic, VAPIDPrivateKey: p.chat.keys.pushPrivate,
	})
	if err != nil {
		p.chat.log.Warn("notification was not sent", "error", err)
		return
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
	switch {
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusGone:
		_, err = p.chat.db.ExecContext(p.ctx, `DELETE FROM push_subscriptions WHERE endpoint = ?`, one.to.Endpoint)
	case resp.StatusCode >= 300:
		err = fmt.Errorf("the push service says %s", resp.Status)
	}
	if err != nil {
		p.chat.log.Warn("notification was not taken", "error", err)
	}
}

// subscriber is where a push service can complain.
func (p *pushes) subscriber() string {
	if p.chat.config.url != "" {
		return p.chat.config.url
	}
	return "https://localhost"
}

// notify tells those a message is for, unless they look at the chat: the other one
// of a direct room, those it mentions, and the author of what it answers.
func (c *chat) notify(ctx context.Context, rm *room, by user, m message, members []member) {
	text := m.Message
	if text == "" && m.File != nil {
		text = m.File.Name
	}
	where := by.Name
	if rm.Kind != directRoom {
		where += " in " + rm.Name
	}
	note, err := json.Marshal(notification{
		Title: where, Body: shorten(text, 200), RoomID: rm.ID, MessageID: m.ID,
		URL: fmt.Sprintf("/room/%d/message/%d", rm.ID, m.ID), Tag: fmt.Sprintf("room-%d", rm.ID),
	})
	if err != nil {
		c.log.Error("notification was not encoded", "error", err)
		return
	}
	for _, to := range members {
		isMentioned := slices.Contains(m.Mentions, to.ID)
		if isMentioned {
			c.tell(ctx, to.ID, "", "mentioned", map[string]any{"room_id": rm.ID, "room_name": rm.Name, "message": m})
		}
		answered := m.ReplyTo != nil && m.ReplyTo.SenderID == to.ID
		if to.ID == by.ID || !isMentioned && !answered && rm.Kind != directRoom || c.connections.lookedAt(to.ID) {
			continue
		}
		c.push.enqueue(ctx, to.ID, note)
	}
}

func (p *pushes) enqueue(ctx context.Context, userID int64, text []byte) {
	browsers, err := collect(ctx, p.chat.db, func(rows *sql.Rows, s *webpush.Subscription) error {
		return rows.Scan(&s.Endpoint, &s.Keys.P256dh, &s.Keys.Auth)
	}, `SELECT p.endpoint, p.p256dh, p.auth FROM push_subscriptions p JOIN sessions s ON s.id = p.session_id
		WHERE p.user_id = ? AND s.expires_at > ?`, userID, now())
	if err != nil {
		p.chat.log.Error("push subscriptions were not read", "user", userID, "error", err)
	}
	for _, to := range browsers {
		select {
		case p.queue <- push{to, text}:
		default:
			p.chat.log.Warn("notification was dropped: too many wait", "user", userID, "limit", pushQueue)
		}
	}
}

// subscribePush notes that a browser wants notifications, for as long as its session lasts.
func (c *chat) subscribePush(r *call) (any, error) {
	var s webpush.Subscription
	if err := readJSON(r.w, r.Request, &s); err != nil {
		return nil, err
	}
	if err := c.checkPush(&s); err != nil {
		return nil, err
	}
	ctx := r.Context()
	return created{map[string]any{}}, c.change(ctx, "", func(ch *change) error {
		if _, err := ch.ExecContext(ctx, `INSERT INTO push_subscriptions (endpoint, user_id, p256dh, auth, created_at, session_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
			ON CONFLICT (endpoint) DO UPDATE SET user_id = ?2, p256dh = ?3, auth = ?4, created_at = ?5, session_id = ?6`,
			s.Endpoint, r.user.ID, s.Keys.P256dh, s.Keys.Auth, now(), r.session); err != nil {
			return err
		}
		_, err := ch.ExecContext(ctx, `DELETE FROM push_subscriptions WHERE user_id = ?1 AND endpoint NOT IN
			(SELECT endpoint FROM push_subscriptions WHERE user_id = ?1 ORDER BY created_at DESC LIMIT ?2)`, r.user.ID, pushBrowsers)
		return err
	})
}

// checkPush refuses what no browser would send, and addresses that are not those of
// a public push service.
func (c *chat) checkPush(s *webpush.Subscription) error {
	if err := publicnet.CheckURL(s.Endpoint); err != nil && !c.config.pushAnywhere {
		return invalid("endpoint", "That is not the address of a push service.")
	}
	for field, want := range map[string]struct {
		text  string
		bytes int
	}{"p256dh": {s.Keys.P256dh, 65}, "auth": {s.Keys.Auth, 16}} {
		key, err := base64.RawURLEncoding.DecodeString(want.text)
		if err != nil || len(key) != want.bytes {
			return invalid(field, "%s is not a key of %d bytes.", field, want.bytes)
		}
	}
	return nil
}

// unsubscribePush forgets a browser of the user.
func (c *chat) unsubscribePush(r *call) (any, error) {
	var body struct{ Endpoint string }
	if err := readJSON(r.w, r.Request, &body); err != nil {
		return nil, err
	}
	_, err := c.db.ExecContext(r.Context(), `DELETE FROM push_subscriptions WHERE endpoint = ? AND user_id = ?`, body.Endpoint, r.user.ID)
	return nil, err
}

// setLooking notes whether the page of a connection is looked at.
func (c *chat) setLooking(r *call) (any, error) {
	var body struct {
		SocketID string `json:"socket_id"`
		Looking  bool   `json:"looking"`
	}
	if err := readJSON(r.w, r.Request, &body); err != nil {
		return nil, err
	}
	session := c.broker.Session(body.SocketID)
	if session == nil {
		return nil, notFound("connection")
	}
	l, _ := loginIn(session.Context())
	if l.user.ID != r.user.ID {
		return nil, notFound("connection")
	}
	c.connections.look(l, session, body.Looking)
	return nil, nil
}
