// The third step: nothing is said twice, and nobody floods the room. A page may send a
// message again whenever it is not sure that it arrived, and is told how long to wait
// where it sends too much.
package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"
	"log"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/examples/chat/steps/page"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage/sqlite"
)

const (
	room   = "presence-room"
	schema = `
CREATE TABLE IF NOT EXISTS people (token TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS messages (
	id INTEGER PRIMARY KEY AUTOINCREMENT, sender TEXT NOT NULL, text TEXT NOT NULL,
	client_id TEXT NOT NULL, UNIQUE (sender, client_id));`
)

type message struct {
	ID   int64  `json:"id"`
	From string `json:"from"`
	Text string `json:"text"`
}

type chat struct {
	store   *sqlite.Store
	events  *broker.App
	buckets *ratelimit.Memory
}

func (c *chat) user(r *http.Request) (name string, ok bool) {
	cookie, err := r.Cookie("chat")
	if err != nil {
		return "", false
	}
	err = c.store.DB().QueryRowContext(r.Context(), `SELECT name FROM people WHERE token = ?`, cookie.Value).Scan(&name)
	return name, err == nil
}

func (c *chat) signIn(w http.ResponseWriter, r *http.Request) {
	name, token := r.FormValue("name"), rand.Text()
	if name == "" || len(name) > 100 {
		http.Error(w, "A name has 1 to 100 bytes.", http.StatusBadRequest)
		return
	}
	if _, err := c.store.DB().ExecContext(r.Context(), `INSERT INTO people VALUES (?, ?)`, token, name); err != nil {
		http.Error(w, "There is a "+name+" already.", http.StatusConflict)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: "chat", Value: token, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: 7 * 24 * 3600})
}

func (c *chat) authorize(r *http.Request, req pusher.AuthRequest) (*broker.Member, error) {
	name, ok := c.user(r)
	if !ok || req.Channel != room {
		return nil, broker.Refuse(http.StatusForbidden, "sign in, and join "+room)
	}
	return &broker.Member{UserID: name}, nil
}

// perUser is how many messages somebody may send: ten at once, and one more each second.
var perUser = ratelimit.Limit{Rate: 1, Burst: 10}

// tooFast returns how long somebody has to wait who has sent too much.
func (c *chat) tooFast(ctx context.Context, name string) (wait time.Duration, err error) {
	d, err := c.buckets.Take(ctx, name, perUser, 1)
	return d.RetryAfter, err
}

// known returns the message that somebody has sent with a client ID before.
func (c *chat) known(ctx context.Context, from, clientID string) (m message, ok bool) {
	err := c.store.DB().QueryRowContext(ctx, `SELECT id, sender, text FROM messages WHERE sender = ? AND client_id = ?`, from, clientID).
		Scan(&m.ID, &m.From, &m.Text)
	return m, err == nil
}

// post stores a message and publishes it, both or neither. The connection that sent it
// does not get the event: its page shows the answer.
func (c *chat) post(ctx context.Context, from, text, clientID, socketID string) (m message, err error) {
	m = message{From: from, Text: text}
	err = c.store.InTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `INSERT INTO messages (sender, text, client_id) VALUES (?, ?, ?)`, from, text, clientID)
		if err != nil {
			return err
		}
		if m.ID, err = done.LastInsertId(); err != nil {
			return err
		}
		data, err := json.Marshal(m)
		if err != nil {
			return err
		}
		event, err := c.events.Prepare(ctx, room, "new-message", data, broker.Exclude(socketID))
		if err != nil {
			return err
		}
		_, err = c.store.AppendTx(ctx, tx, event)
		return err
	})
	return m, err
}

// history returns up to 50 messages before one, the oldest first.
func (c *chat) history(ctx context.Context, before int64) (page []message, err error) {
	rows, err := c.store.DB().QueryContext(ctx, `SELECT * FROM (SELECT id, sender, text FROM messages
		WHERE ?1 = 0 OR id < ?1 ORDER BY id DESC LIMIT 50) ORDER BY id`, before)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	page = []message{}
	for rows.Next() {
		var m message
		if err := rows.Scan(&m.ID, &m.From, &m.Text); err != nil {
			return nil, err
		}
		page = append(page, m)
	}
	return page, rows.Err()
}

func main() {
	file := filepath.Join(os.TempDir(), "carillon-chat-3-once.db")
	log.Println("messages are kept in", file)
	store, err := sqlite.Open(file)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if _, err := store.DB().Exec(schema); err != nil {
		log.Fatal(err)
	}
	b, err := broker.New(broker.WithHistory(store), broker.WithChannelRules(broker.ChannelRule{
		Pattern: room, LeaveGrace: 2 * time.Second, Publishers: broker.OnlyServer,
		History: broker.Retention{Events: 1000, Age: 24 * time.Hour}, // for those who were away for a while
	}))
	if err != nil {
		log.Fatal(err)
	}
	app := &pusher.App{ID: "1", Key: "app-key", Secret: rand.Text()}
	apps, err := pusher.NewApps(*app)
	if err != nil {
		log.Fatal(err)
	}
	realtime, err := pusher.NewHandler(b, apps)
	if err != nil {
		log.Fatal(err)
	}
	c := &chat{store: store, events: b.App(app.ID), buckets: ratelimit.NewMemory()}

	mux := http.NewServeMux()
	mux.HandleFunc("POST /session", c.signIn)
	mux.HandleFunc("GET /session", func(w http.ResponseWriter, r *http.Request) {
		name, _ := c.user(r)
		_, _ = w.Write([]byte(name))
	})
	mux.Handle("POST /pusher/auth", pusher.NewAuthHandler(app, c.authorize))
	mux.HandleFunc("GET /messages", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := c.user(r); !ok {
			http.Error(w, "Sign in first.", http.StatusUnauthorized)
			return
		}
		before, _ := strconv.ParseInt(r.FormValue("before"), 10, 64)
		messages, err := c.history(r.Context(), before)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(messages)
	})
	mux.HandleFunc("POST /messages", func(w http.ResponseWriter, r *http.Request) {
		name, ok := c.user(r)
		if !ok {
			http.Error(w, "Sign in first.", http.StatusUnauthorized)
			return
		}
		clientID := r.FormValue("client_id")
		m, known := c.known(r.Context(), name, clientID)
		if !known {
			wait, err := c.tooFast(r.Context(), name)
			if wait > 0 {
				seconds := int(math.Ceil(wait.Seconds()))
				w.Header().Set("Retry-After", strconv.Itoa(seconds))
				http.Error(w, fmt.Sprintf("That was fast. Try again in %d s.", seconds), http.StatusTooManyRequests)
				return
			}
			if err == nil {
				m, err = c.post(r.Context(), name, r.FormValue("text"), clientID, r.Header.Get("X-Socket-ID"))
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(m)
	})
	if err := page.Serve(mux, realtime); err != nil {
		log.Fatal(err)
	}
}
