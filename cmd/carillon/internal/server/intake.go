package server

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-rt/carillon/pusher"
)

// intake knows which connections may still bring a request of a backend, so that one that
// was let in is answered before the server ends.
type intake struct {
	// closing asks backends to connect anew for their next request.
	closing atomic.Bool

	mu sync.Mutex
	// busy are the connections that have said nothing yet, or that a request is on which
	// is not a client's. Guarded by mu.
	busy map[net.Conn]struct{}
	// quiet is closed and set to nil when busy is empty. Guarded by mu.
	quiet chan struct{}
}

type connKey struct{}

// pages are the paths of the server's own.
var pages = map[string]bool{"/": true, "/up": true, "/ready": true}

// connContext is an http.Server's ConnContext.
func (in *intake) connContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(pusher.ConnContext(ctx, c), connKey{}, c)
}

// connState is an http.Server's ConnState.
func (in *intake) connState(c net.Conn, state http.ConnState) {
	in.note(c, state == http.StateNew || state == http.StateActive)
}

func (in *intake) note(c net.Conn, busy bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if busy {
		if in.busy == nil {
			in.busy = make(map[net.Conn]struct{})
		}
		in.busy[c] = struct{}{}
		return
	}
	delete(in.busy, c)
	if len(in.busy) == 0 && in.quiet != nil {
		close(in.quiet)
		in.quiet = nil
	}
}

// wrap tells the requests of clients, which may last for hours, from those of backends
// and of people.
func (in *intake) wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgrade := r.Header.Get("Upgrade") != ""
		if short := strings.Contains(r.URL.Path, "/apps/") || pages[r.URL.Path]; upgrade || !short {
			if c, ok := r.Context().Value(connKey{}).(net.Conn); ok {
				in.note(c, false)
			}
		}
		if !upgrade && in.closing.Load() {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}

// wait returns when no connection is busy, or after a while.
func (in *intake) wait(atMost time.Duration) {
	in.mu.Lock()
	if len(in.busy) == 0 {
		in.mu.Unlock()
		return
	}
	if in.quiet == nil {
		in.quiet = make(chan struct{})
	}
	quiet := in.quiet
	in.mu.Unlock()
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-quiet:
	case <-timer.C:
	}
}
