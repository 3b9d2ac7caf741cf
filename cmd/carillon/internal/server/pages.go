package server

import (
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
)

// Documentation is where people read on.
const Documentation = "https://github.com/carillon-rt/carillon/blob/main/docs/server.md"

// routes are the pages that clients and load balancers see.
func (s *server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle(s.config.Prefix+"/", s.handler)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			s.handler.ServeHTTP(w, r) // which says where to connect instead
			return
		}
		s.front(w, r)
	})
	mux.HandleFunc("GET /up", up)
	mux.HandleFunc("GET /ready", s.health.ready)
	return mux
}

var page = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem;color-scheme:light dark}</style>
<h1>{{.Title}}</h1>
<p>{{.Text}}</p>
<ul>{{range .Links}}
<li><a href="{{.URL}}">{{.Text}}</a></li>{{end}}
</ul>
</html>
`))

type link struct{ URL, Text string }

func writePage(w http.ResponseWriter, title, text string, links ...link) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	_ = page.Execute(w, struct {
		Title, Text string
		Links       []link
	}{title, text, links})
}

// front says what this is. Where the console is, it tells those on this machine only.
func (s *server) front(w http.ResponseWriter, r *http.Request) {
	links := []link{{Documentation, "Documentation"}}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() && s.admin != nil {
		if at, ok := s.admin.listener.Addr().(*net.TCPAddr); ok && at.IP.IsLoopback() {
			links = append(links, link{"http://" + at.String() + "/console/", "Console"})
		}
	}
	writePage(w, "Carillon", "This is a realtime server: pusher-js, Laravel Echo and other clients of the Pusher protocol connect to it.", links...)
}

// up says that the process lives.
func up(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) }

// health knows whether clients should be sent here.
type health struct {
	broker   *broker.Broker
	log      *slog.Logger
	store    storage.History // nil for the memory of this process, which does not fail
	draining atomic.Bool

	mu      sync.Mutex
	err     error     // of the store, when it was last asked; guarded by mu
	checked time.Time // guarded by mu
}

// The store is asked at most once in storeFresh, and has storePatience to answer.
const (
	storeFresh    = time.Second
	storePatience = 2 * time.Second
)

// ready answers 503 while no clients should come.
func (h *health) ready(w http.ResponseWriter, r *http.Request) {
	problem := ""
	if h.draining.Load() || h.broker.Draining() {
		problem = "shutting down"
	} else if err := h.askStore(r.Context()); err != nil {
		problem = "storage does not answer"
	}
	w.Header().Set("Content-Type", "application/json")
	if problem != "" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(struct {
		Ready   bool   `json:"ready"`
		Problem string `json:"problem,omitempty"`
	}{problem == "", problem})
}

// askStore reports whether the store answers.
func (h *health) askStore(ctx context.Context) error {
	if h.store == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.checked) < storeFresh {
		return h.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storePatience)
	defer cancel()
	_, err := storage.LatestOf(ctx, h.store, storage.ChannelID{App: "carillon", Name: "health"})
	if (err == nil) != (h.err == nil) {
		if err != nil {
			h.log.Error("not ready: storage does not answer", "error", err)
		} else {
			h.log.Info("ready again: storage answers")
		}
	}
	h.err, h.checked = err, time.Now()
	return err
}

// adminRoutes are the pages of operators.
func (s *server) adminRoutes(more map[string]http.Handler) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		links := []link{{Documentation, "Documentation"}, {"/ready", "Is it ready?"}}
		for _, path := range slices.Sorted(maps.Keys(more)) {
			links = append(links, link{path, path})
		}
		writePage(w, "Carillon, for operators", fmt.Sprintf("%d connections.", s.broker.Stats().Sessions), links...)
	})
	mux.HandleFunc("GET /up", up)
	mux.HandleFunc("GET /ready", s.health.ready)
	for path, h := range more {
		mux.Handle(path, h)
	}
	return mux
}
