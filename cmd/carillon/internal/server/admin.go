package server

import (
	"crypto/subtle"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
)

// admin is what operators see, on a socket of its own: this is where console and metrics
// are mounted.
type admin struct {
	listener net.Listener
	http     *http.Server
}

func (s *server) newAdmin(l net.Listener) (*admin, error) {
	pages := map[string]http.Handler{
		"/metrics": s.guard(s.metrics()),
	}
	return &admin{listener: l, http: &http.Server{
		Handler: s.adminRoutes(pages), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}}, nil
}

// close lets go of what the pages hold, once nobody is served any more.
func (a *admin) close() error { return nil }

// guard asks for the token, where there is one, as "Authorization: Bearer TOKEN".
func (s *server) guard(h http.Handler) http.Handler {
	token := []byte(s.config.AdminToken)
	if len(token) == 0 {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || subtle.ConstantTimeCompare([]byte(given), token) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "the admin_token is needed, as Authorization: Bearer TOKEN", http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}
