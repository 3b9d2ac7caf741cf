package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
)

// drain is what a flood costs by itself: who sends it, the system, and a reader
// that looks at nothing.
type drain struct {
	mu    sync.Mutex
	conns []net.Conn // guarded by mu
}

// Handler implements peer.
func (s *drain) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nc, err := takeOver(w, r)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns = append(s.conns, nc)
		s.mu.Unlock()
		_, _ = io.Copy(io.Discard, nc)
		_ = nc.Close()
	})
}

// Publish implements peer: nobody subscribes.
func (s *drain) Publish(string, []byte) error { return errors.ErrUnsupported }

// Close implements peer.
func (s *drain) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, nc := range s.conns {
		_ = nc.Close()
	}
}
