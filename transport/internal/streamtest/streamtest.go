// Package streamtest is what the harnesses of the transports over HTTP have in
// common, for package transporttest.
package streamtest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/carillon-rt/carillon/transport"
)

// Harness is a server whose clients connect below a path of their own. Their
// transport knows no close code of a client's.
type Harness struct {
	// HTTP is the server.
	HTTP *httptest.Server

	shutdown func(context.Context) error

	mu      sync.Mutex
	opens   []transport.Open // guarded by mu
	cancels []func()         // guarded by mu
}

// New returns a harness whose requests are answered by serve, with the ID of the
// client, the rest of the path and what opens the client's connection.
func New(serve func(w http.ResponseWriter, r *http.Request, id, action string, open transport.Open), shutdown func(context.Context) error) *Harness {
	h := &Harness{shutdown: shutdown}
	h.HTTP = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, action, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		n, err := strconv.Atoi(id)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		h.mu.Lock()
		open := h.opens[n]
		h.mu.Unlock()
		serve(w, r, id, action, open)
	}))
	return h
}

// Client returns the URL of a new client, and the context of its requests, which
// ends with the harness.
func (h *Harness) Client(open transport.Open) (url string, ctx context.Context, cancel context.CancelFunc) {
	ctx, cancel = context.WithCancel(context.Background())
	h.mu.Lock()
	defer h.mu.Unlock()
	url = h.HTTP.URL + "/" + strconv.Itoa(len(h.opens))
	h.opens = append(h.opens, open)
	h.cancels = append(h.cancels, cancel)
	return url, ctx, cancel
}

// Wordless implements transporttest.Wordless.
func (*Harness) Wordless() {}

// Close ends the server and all clients.
func (h *Harness) Close() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = h.shutdown(ctx)
	h.mu.Lock()
	for _, cancel := range h.cancels {
		cancel()
	}
	h.mu.Unlock()
	h.HTTP.Client().CloseIdleConnections()
	h.HTTP.Close()
	// Shutdown waits for those it has cut off no longer than ShutdownGrace.
	ctx, cancel = context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = h.shutdown(ctx)
}

// patience is how long receivers may take until they were told of the end.
const patience = 30 * time.Second
