package server

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/config"
	"github.com/carillon-rt/carillon/console"
	"github.com/carillon-rt/carillon/observe/prometheus"
)

// admin is what operators see, on a socket of its own: this is where console and metrics
// are mounted. Where there is none, neither observes anything.
type admin struct {
	listener net.Listener
	http     *http.Server
	console  *console.Console
}

// newAdmin is called before anybody is served: what observes the broker sees all of it.
func (s *server) newAdmin(l net.Listener) (*admin, error) {
	allowed, err := s.whoMay(l)
	if err != nil {
		return nil, err
	}
	c, err := console.New(allowed, console.WithLogger(s.log), console.WithApps(s.named(s.config.Apps)...))
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	if err := errors.Join(s.broker.AddObserver(c), c.Attach(s.broker, s.handler)); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	metrics, err := prometheus.New(s.broker)
	if err != nil {
		return nil, err
	}
	registry := prom.NewRegistry()
	if err := errors.Join(registry.Register(metrics), registry.Register(handlerStats{s}), registry.Register(collectors.NewGoCollector()),
		registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	pages := map[string]http.Handler{
		"/metrics":  s.guard(promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelError)})),
		"/console/": http.StripPrefix("/console", c),
	}
	return &admin{listener: l, console: c, http: &http.Server{
		Handler: s.adminRoutes(pages), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}}, nil
}

// named are apps as the console knows them.
func (s *server) named(apps []config.App) []console.App {
	all := make([]console.App, len(apps))
	at := s.apiURL()
	for i := range all {
		a := &apps[i]
		all[i] = console.App{ID: a.ID, Name: a.Name}
		if at != "" {
			all[i].Key, all[i].Secret, all[i].URL = a.Key, a.Secret, at
		}
	}
	return all
}

// apiURL is where somebody on this machine reaches the HTTP API; empty where only Unix
// sockets lead to it.
func (s *server) apiURL() string {
	for _, l := range s.listeners {
		at, ok := l.Addr().(*net.TCPAddr)
		if !ok {
			continue
		}
		host, scheme := at.IP.String(), "http"
		if at.IP.IsUnspecified() {
			host = "127.0.0.1"
		}
		if s.certificate != nil {
			scheme = "https"
		}
		return scheme + "://" + net.JoinHostPort(host, strconv.Itoa(at.Port)) + s.config.Prefix
	}
	return ""
}

// whoMay says who may use the console: who has the token, else who is on this machine, or
// may open the file of a Unix socket.
func (s *server) whoMay(l net.Listener) (console.Option, error) {
	switch at := l.Addr().(type) {
	case *net.UnixAddr:
		if s.config.AdminToken == "" {
			return console.WithAuthorization(func(*http.Request) error { return nil }), nil
		}
	case *net.TCPAddr:
		if s.config.AdminToken == "" && at.IP.IsLoopback() {
			return console.WithLoopbackOnly(), nil
		}
	}
	if s.config.AdminToken == "" {
		return nil, fmt.Errorf("%w: admin: the socket %s can be reached from other machines: give an admin_token", ErrConfig, l.Addr())
	}
	return console.WithToken(s.config.AdminToken), nil
}

// close ends the streams of those who look at the console.
func (a *admin) close() { a.console.Close() }

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
