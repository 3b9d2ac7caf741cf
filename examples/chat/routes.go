package main

import (
	"io/fs"
	"net/http"

	"github.com/carillon-rt/carillon/examples/chat/internal/webroot"
	"github.com/carillon-rt/carillon/pusher"
)

// routes serves the page, the application's API and the realtime connections.
func (c *chat) routes(page fs.FS) http.Handler {
	own := http.NewServeMux()
	own.HandleFunc("GET /up", c.up)
	own.HandleFunc("GET /api/session", c.showSession)
	own.HandleFunc("POST /api/session", c.signIn)
	own.HandleFunc("DELETE /api/session", c.signOut)
	own.Handle("POST /pusher/auth", pusher.NewAuthHandler(c.app, c.authorize))
	own.Handle("POST /pusher/user-auth", pusher.NewUserAuthHandler(c.app, c.authenticate))
	for pattern, handler := range map[string]func(*call) (any, error){
		"POST /api/invitations": c.makeInvitation,
		"PATCH /api/account":    c.changeAccount,
		"DELETE /api/account":   c.deleteAccount,
		"GET /api/users":        c.listUsers,

		"GET /api/bans":                c.listBans,
		"PUT /api/users/{user}/ban":    c.ban,
		"DELETE /api/users/{user}/ban": c.unban,

		"GET /api/rooms":                                                c.listRooms,
		"POST /api/rooms":                                               c.createRoom,
		"POST /api/direct":                                              c.openDirect,
		"GET /api/rooms/{room}":                                         c.showRoom,
		"PATCH /api/rooms/{room}":                                       c.renameRoom,
		"POST /api/rooms/{room}/join":                                   c.joinRoom,
		"POST /api/rooms/{room}/leave":                                  c.leaveRoom,
		"GET /api/rooms/{room}/members":                                 c.listMembers,
		"POST /api/rooms/{room}/members":                                c.addMember,
		"DELETE /api/rooms/{room}/members/{user}":                       c.removeMember,
		"PUT /api/rooms/{room}/read":                                    c.markRead,
		"GET /api/rooms/{room}/activity":                                c.listActivity,
		"GET /api/rooms/{room}/messages":                                c.listMessages,
		"POST /api/rooms/{room}/messages":                               c.postMessage,
		"PATCH /api/rooms/{room}/messages/{message}":                    c.editMessage,
		"DELETE /api/rooms/{room}/messages/{message}":                   c.deleteMessage,
		"PUT /api/rooms/{room}/messages/{message}/reactions/{emoji}":    c.addReaction,
		"DELETE /api/rooms/{room}/messages/{message}/reactions/{emoji}": c.removeReaction,
		"GET /api/search":                                               c.search,

		"POST /api/rooms/{room}/uploads": c.upload,
		"DELETE /api/uploads/{file}":     c.discardUpload,
		"GET /files/{file}/thumb":        c.sendThumb,
		"GET /files/{file}/{name}":       c.sendFile,

		"POST /api/push/subscriptions":   c.subscribePush,
		"DELETE /api/push/subscriptions": c.unsubscribePush,
		"PUT /api/looking":               c.setLooking,
	} {
		own.HandleFunc(pattern, c.signedIn(handler))
	}
	for _, prefix := range []string{"/api/", "/files/", "/pusher/"} {
		own.HandleFunc(prefix, func(w http.ResponseWriter, r *http.Request) { reply(w, r, nil, notFound("address")) })
	}
	own.Handle("/", webroot.Handler(page))

	guard := http.NewCrossOriginProtection()
	if c.config.url != "" {
		if err := guard.AddTrustedOrigin(c.config.url); err != nil {
			c.log.Error("-url is not trusted", "error", err) // parseFlags has checked it
		}
	}
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reply(w, r, nil, refuse(http.StatusForbidden, "cross_origin", "Another site asked for this. Open the chat itself."))
	}))
	mux := http.NewServeMux()
	mux.Handle("/realtime/", c.withLogin(c.realtime))
	mux.Handle("/", secured(guard.Handler(own)))
	return pusher.MergeSlashes(mux)
}

// up answers a load balancer's question whether requests are worth while.
func (c *chat) up(w http.ResponseWriter, r *http.Request) {
	var one int
	err := c.db.QueryRowContext(r.Context(), `SELECT 1`).Scan(&one)
	reply(w, r, map[string]bool{"up": err == nil}, err)
}

// policy lets the page use what comes from here, and nothing else.
const policy = "default-src 'self'; img-src 'self' blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"

func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}
