// The fifth step: messages with files. What comes is judged by what is in it, is kept
// under a name that nobody has given, and goes out so that nothing of it can run in the
// page.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/examples/chat/steps/page"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/sqlite"
)

const (
	room   = "presence-room"
	schema = `
CREATE TABLE IF NOT EXISTS people (token TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS messages (
	id INTEGER PRIMARY KEY AUTOINCREMENT, sender TEXT NOT NULL, text TEXT NOT NULL,
	edited INTEGER NOT NULL DEFAULT 0, client_id TEXT NOT NULL, UNIQUE (sender, client_id));
CREATE TABLE IF NOT EXISTS files (
	id TEXT PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL, type TEXT NOT NULL, message INTEGER NOT NULL DEFAULT 0);`
)

type message struct {
	ID     int64  `json:"id"`
	From   string `json:"from"`
	Text   string `json:"text"`
	Edited bool   `json:"edited"`
	File   *file  `json:"file"`
}

type chat struct {
	files   *os.Root
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
	row := c.store.DB().QueryRowContext(ctx, selectMessages+`WHERE sender = ? AND client_id = ?`, from, clientID)
	m, err := scan(row.Scan)
	return m, err == nil
}

const selectMessages = `SELECT m.id, sender, text, edited, coalesce(f.id, ''), coalesce(f.name, ''), coalesce(f.type, '')
	FROM messages m LEFT JOIN files f ON f.message = m.id `

func scan(row func(...any) error) (m message, err error) {
	var f file
	err = row(&m.ID, &m.From, &m.Text, &m.Edited, &f.ID, &f.Name, &f.Type)
	if f.ID != "" {
		m.File = &f
	}
	return m, err
}

// post stores a message and publishes it, both or neither. The connection that sent it
// does not get the event: its page shows the answer.
func (c *chat) post(ctx context.Context, from, text, fileID, clientID, socketID string) (m message, err error) {
	m = message{From: from, Text: text}
	err = c.store.InTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `INSERT INTO messages (sender, text, client_id) VALUES (?, ?, ?)`, from, text, clientID)
		if err != nil {
			return err
		}
		if m.ID, err = done.LastInsertId(); err != nil {
			return err
		}
		if fileID != "" {
			if err := attach(ctx, tx, &m, fileID); err != nil {
				return err
			}
		}
		data, err := json.Marshal(m)
		if err != nil {
			return err
		}
		event, err := c.events.Prepare(ctx, room, "new-message", data, broker.Exclude(socketID), broker.WithID(eventID(m.ID)))
		if err != nil {
			return err
		}
		_, err = c.store.AppendTx(ctx, tx, event)
		return err
	})
	return m, err
}

// eventID is the ID of the event that brought a message.
func eventID(id int64) string { return strconv.FormatInt(id, 10) }

// edit replaces the text of somebody's own message.
func (c *chat) edit(ctx context.Context, from, text string, id int64) error {
	return c.change(ctx, `UPDATE messages SET text = ?, edited = 1 WHERE id = ? AND sender = ?`, []any{text, id, from},
		func(ctx context.Context, tx *sql.Tx) (storage.Prepared, error) {
			m, err := scan(tx.QueryRowContext(ctx, selectMessages+`WHERE m.id = ?`, id).Scan)
			if err != nil {
				return storage.Prepared{}, err
			}
			data, err := json.Marshal(m)
			if err != nil {
				return storage.Prepared{}, err
			}
			return c.events.PrepareEdit(ctx, room, eventID(id), data)
		})
}

// remove takes back somebody's own message, with its file.
func (c *chat) remove(ctx context.Context, from string, id int64) error {
	var fileID string
	err := c.change(ctx, `DELETE FROM messages WHERE id = ? AND sender = ?`, []any{id, from},
		func(ctx context.Context, tx *sql.Tx) (storage.Prepared, error) {
			err := tx.QueryRowContext(ctx, `DELETE FROM files WHERE message = ? RETURNING id`, id).Scan(&fileID)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return storage.Prepared{}, err
			}
			return c.events.PrepareRetract(ctx, room, eventID(id))
		})
	if err != nil || fileID == "" {
		return err
	}
	return c.files.Remove(fileID)
}

// change runs a statement that changes one message, and amends the event that brought it.
func (c *chat) change(ctx context.Context, statement string, args []any, amend func(context.Context, *sql.Tx) (storage.Prepared, error)) error {
	return c.store.InTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, statement, args...)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return cmp.Or(err, errNotYours)
		}
		amendment, err := amend(ctx, tx)
		if errors.Is(err, storage.ErrNoTarget) {
			return nil // so old that its event is no longer kept
		}
		if err != nil {
			return err
		}
		_, err = c.store.AppendTx(ctx, tx, amendment)
		return err
	})
}

var errNotYours = errors.New("there is no such message of yours")

// history returns up to 50 messages before one, the oldest first.
func (c *chat) history(ctx context.Context, before int64) (page []message, err error) {
	rows, err := c.store.DB().QueryContext(ctx, selectMessages+`WHERE ?1 = 0 OR m.id < ?1 ORDER BY m.id DESC LIMIT 50`, before)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	page = []message{}
	for rows.Next() {
		m, err := scan(rows.Scan)
		if err != nil {
			return nil, err
		}
		page = append(page, m)
	}
	slices.Reverse(page)
	return page, rows.Err()
}

func main() {
	folder := filepath.Join(os.TempDir(), "carillon-chat-5-files")
	log.Println("messages and files are kept in", folder)
	if err := os.MkdirAll(filepath.Join(folder, "files"), 0o700); err != nil {
		log.Fatal(err)
	}
	files, err := os.OpenRoot(filepath.Join(folder, "files"))
	if err != nil {
		log.Fatal(err)
	}
	defer files.Close()
	store, err := sqlite.Open(filepath.Join(folder, "chat.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if _, err := store.DB().Exec(schema); err != nil {
		log.Fatal(err)
	}
	names := broker.AmendmentNames{Edited: "message-edited", Retracted: "message-retracted", Appended: "message-appended"}
	b, err := broker.New(broker.WithHistory(store), broker.WithAmendmentNames(names), broker.WithChannelRules(broker.ChannelRule{
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
	c := &chat{files: files, store: store, events: b.App(app.ID), buckets: ratelimit.NewMemory()}

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
				m, err = c.post(r.Context(), name, r.FormValue("text"), r.FormValue("file"), clientID, r.Header.Get("X-Socket-ID"))
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(m)
	})
	mux.HandleFunc("POST /files", func(w http.ResponseWriter, r *http.Request) {
		name, ok := c.user(r)
		if !ok {
			http.Error(w, "Sign in first.", http.StatusUnauthorized)
			return
		}
		f, err := c.receive(r.Context(), name, r.URL.Query().Get("name"), http.MaxBytesReader(w, r.Body, maxFile))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(f)
	})
	mux.HandleFunc("GET /files/{id}", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := c.user(r); !ok {
			http.Error(w, "Sign in first.", http.StatusUnauthorized)
			return
		}
		c.send(w, r)
	})
	for method, do := range map[string]func(r *http.Request, name string, id int64) error{
		"PATCH": func(r *http.Request, name string, id int64) error {
			return c.edit(r.Context(), name, r.FormValue("text"), id)
		},
		"DELETE": func(r *http.Request, name string, id int64) error { return c.remove(r.Context(), name, id) },
	} {
		mux.HandleFunc(method+" /messages/{id}", func(w http.ResponseWriter, r *http.Request) {
			name, ok := c.user(r)
			if !ok {
				http.Error(w, "Sign in first.", http.StatusUnauthorized)
				return
			}
			id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
			if err := do(r, name, id); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
			}
		})
	}
	if err := page.Serve(mux, realtime); err != nil {
		log.Fatal(err)
	}
}
