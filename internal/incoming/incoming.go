// Package incoming bounds how many bodies of requests are read at once, and keeps none
// of them from delaying the shutdown of an http.Server. It does not bound their size or
// time: the reader does.
//
//	read := set.Begin(w, r, 1000)
//	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
//	if why := read.End(); why != nil { … }
package incoming

import (
	"container/list"
	"errors"
	"net/http"
	"sync"
	"time"
)

// Why a body was given up.
var (
	// ErrSlowest says that too many were coming in, and this one took longest.
	ErrSlowest = errors.New("body was given up: too many are coming in, and this one has taken longest")
	// ErrServerEnds says that the http.Server of the request is shutting down.
	ErrServerEnds = errors.New("server is shutting down")
)

// Set is the bodies that are read at one place. It is safe for concurrent use.
type Set struct {
	mu      sync.Mutex
	reading list.List             // guarded by mu: of *Read, the oldest first
	servers map[*http.Server]bool // guarded by mu: those seen; true if they are shutting down
}

// Read is one body on its way in.
type Read struct {
	set     *Set
	control *http.ResponseController
	server  *http.Server
	element *list.Element // guarded by Set.mu
	why     error         // guarded by Set.mu: set once it is given up
}

// Begin is to be called before the body of r is read, and End afterwards. Reading
// fails as soon as the body is given up. Where more than limit are read, unless that
// is 0, the one that has taken longest is: slow clients cannot keep others out.
func (s *Set) Begin(w http.ResponseWriter, r *http.Request, limit int) *Read {
	b := &Read{set: s, control: http.NewResponseController(w)}
	b.server, _ = r.Context().Value(http.ServerContextKey).(*http.Server)
	s.mu.Lock()
	defer s.mu.Unlock()
	if limit > 0 && s.reading.Len() >= limit {
		s.giveUp(s.reading.Front().Value.(*Read), ErrSlowest)
	}
	b.element = s.reading.PushBack(b)
	if ending, seen := s.servers[b.server]; ending {
		s.giveUp(b, ErrServerEnds)
	} else if !seen && b.server != nil {
		if s.servers == nil {
			s.servers = make(map[*http.Server]bool)
		}
		s.servers[b.server] = false
		b.server.RegisterOnShutdown(func() { s.serverEnds(b.server) })
	}
	return b
}

// End returns why the body was given up, or nil.
func (b *Read) End() error {
	b.set.mu.Lock()
	defer b.set.mu.Unlock()
	b.set.reading.Remove(b.element)
	return b.why
}

// Len is how many bodies are being read.
func (s *Set) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reading.Len()
}

func (s *Set) serverEnds(server *http.Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.servers[server] = true
	for element := s.reading.Front(); element != nil; {
		b := element.Value.(*Read)
		element = element.Next()
		if b.server == server {
			s.giveUp(b, ErrServerEnds)
		}
	}
}

// giveUp makes the reading of a body end. The caller holds mu, without which the
// request cannot end, nor its control become invalid.
func (s *Set) giveUp(b *Read, why error) {
	s.reading.Remove(b.element)
	b.why = why
	_ = b.control.SetReadDeadline(time.Unix(1, 0))
}
