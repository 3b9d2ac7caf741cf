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
	// is not a client's. Guarded by mu, like all below.
	busy map[net.Conn]struct{}
	// idle says since when connections wait for another request.
	idle map[net.Conn]time.Time
	// changed is closed and set to nil when either has changed.
	changed chan struct{}
}

// recent is for how long a connection that was idle is expected to bring another request:
// whoever sends one after another does so at once, and is told then to connect anew.
const recent = 250 * time.Millisecond

type connKey struct{}

// pages are the paths of the server's own.
var pages = map[string]bool{"/": true, "/up": true, "/ready": true}

// connContext is an http.Server's ConnContext.
func (in *intake) connContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(pusher.ConnContext(ctx, c), connKey{}, c)
}

// connState is an http.Server's ConnState.
func (in *intake) connState(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew, http.StateActive:
		in.note(c, true, false)
	case http.StateIdle:
		in.note(c, false, true)
	default:
		in.note(c, false, false)
	}
}

func (in *intake) note(c net.Conn, busy, idle bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.busy == nil {
		in.busy, in.idle = make(map[net.Conn]struct{}), make(map[net.Conn]time.Time)
	}
	delete(in.busy, c)
	delete(in.idle, c)
	if busy {
		in.busy[c] = struct{}{}
	}
	if idle {
		in.idle[c] = time.Now()
	}
	if in.changed != nil {
		close(in.changed)
		in.changed = nil
	}
}

// wrap tells the requests of clients, which may last for hours, from those of backends
// and of people.
func (in *intake) wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgrade := r.Header.Get("Upgrade") != ""
		if short := strings.Contains(r.URL.Path, "/apps/") || pages[r.URL.Path]; upgrade || !short {
			if c, ok := r.Context().Value(connKey{}).(net.Conn); ok {
				in.note(c, false, false)
			}
		} else {
			w = &lastAnswer{ResponseWriter: w, closing: &in.closing}
		}
		h.ServeHTTP(w, r)
	})
}

// lastAnswer tells who gets an answer while the server ends to connect anew.
type lastAnswer struct {
	http.ResponseWriter
	closing *atomic.Bool
	begun   bool
}

func (a *lastAnswer) begin() {
	if !a.begun && a.closing.Load() {
		a.Header().Set("Connection", "close")
	}
	a.begun = true
}

// WriteHeader implements http.ResponseWriter.
func (a *lastAnswer) WriteHeader(status int) {
	a.begin()
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *lastAnswer) Write(p []byte) (int, error) {
	a.begin()
	return a.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (a *lastAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// wait returns when no connection is about to bring a request, or after a while.
func (in *intake) wait(atMost time.Duration) {
	end := time.Now().Add(atMost)
	for {
		changed, until := in.expects(end)
		left := time.Until(until)
		if left <= 0 {
			return
		}
		timer := time.NewTimer(left)
		select {
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// expects returns until when another request is waited for, at most until end, unless
// something changes before.
func (in *intake) expects(end time.Time) (changed <-chan struct{}, until time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.changed == nil {
		in.changed = make(chan struct{})
	}
	if len(in.busy) > 0 {
		return in.changed, end
	}
	for _, since := range in.idle {
		if t := since.Add(recent); t.After(until) {
			until = t
		}
	}
	if until.After(end) {
		until = end
	}
	return in.changed, until
}
