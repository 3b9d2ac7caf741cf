package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
)

// chat is the application with its broker.
type chat struct {
	realtime *pusher.Handler
	app      *pusher.App
	room     room
	sessions sessions
}

func newChat(secret string) (*chat, error) {
	app := &pusher.App{ID: "1", Key: "chat-key", Secret: secret}
	apps, err := pusher.NewApps(*app)
	if err != nil {
		return nil, err
	}
	b, err := broker.New(broker.WithChannelRules(broker.ChannelRule{
		Pattern:    "presence-room-*",
		History:    broker.Retention{Events: 200, Age: 24 * time.Hour},
		LeaveGrace: 2 * time.Second,
		// What clients send each other would push messages out of the history.
		Publishers: broker.OnlyServer,
	}))
	if err != nil {
		return nil, err
	}
	realtime, err := pusher.NewHandler(b, apps)
	if err != nil {
		return nil, err
	}
	return &chat{
		realtime: realtime,
		app:      app,
		room:     room{app: b.App(app.ID), channel: "presence-room-lobby", typing: "presence-typing-lobby"},
		sessions: newSessions(secret),
	}, nil
}

// routes serves the page, the application's API and the realtime connections.
func (c *chat) routes(page fs.FS) http.Handler {
	own := http.NewServeMux()
	own.Handle("GET /", http.FileServerFS(page))
	own.HandleFunc("POST /api/session", c.sessions.signIn)
	own.HandleFunc("GET /api/session", c.sessions.show)
	own.HandleFunc("DELETE /api/session", c.sessions.signOut)
	own.Handle("GET /api/rooms/lobby/messages", c.sessions.required(c.room.read))
	own.Handle("POST /api/rooms/lobby/messages", c.sessions.required(c.room.post))
	own.Handle("POST /pusher/auth", pusher.NewAuthHandler(c.app, c.authorize))

	mux := http.NewServeMux()
	mux.Handle("/realtime/", c.realtime)
	mux.Handle("/", secured(http.NewCrossOriginProtection().Handler(own)))
	return pusher.MergeSlashes(mux)
}

// authorize lets whoever has a session into the lobby.
func (c *chat) authorize(r *http.Request, req pusher.AuthRequest) (*broker.Member, error) {
	u, ok := c.sessions.user(r)
	if !ok {
		return nil, broker.Refuse(http.StatusUnauthorized, "no session: choose a name first")
	}
	if req.Channel != c.room.channel && req.Channel != c.room.typing {
		return nil, broker.Refuse(http.StatusForbidden, fmt.Sprintf("there is no room %q", req.Channel))
	}
	info, err := json.Marshal(u)
	if err != nil {
		return nil, err
	}
	return &broker.Member{UserID: u.ID, Info: info}, nil
}

// secured keeps the page to what comes from here.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// maxBody bounds the body of a request: 2000 characters and what is around them.
const maxBody = 16 << 10

// readJSON reads the request's body into v, or answers why it cannot.
func readJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(v)
	if err == nil {
		return true
	}
	var tooLarge *http.MaxBytesError
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &tooLarge):
		writeError(w, http.StatusRequestEntityTooLarge, "body", fmt.Sprintf("is too large: the limit is %d bytes", maxBody))
	case errors.As(err, &wrongType) && wrongType.Field != "":
		writeError(w, http.StatusBadRequest, wrongType.Field, fmt.Sprintf("is a %s, not a %s", wrongType.Value, wrongType.Type))
	default:
		writeError(w, http.StatusBadRequest, "body", "is not a JSON object")
	}
	return false
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		slog.Debug("answer was not written", "error", err)
	}
}

// writeError answers with the field that is wrong and what is wrong with it.
func writeError(w http.ResponseWriter, status int, field, problem string) {
	message := problem
	if field != "" {
		message = field + " " + problem
	}
	type problemJSON struct {
		Field   string `json:"field,omitempty"`
		Message string `json:"message"`
	}
	writeJSON(w, status, map[string]problemJSON{"error": {field, message}})
}
