// Package xhr carries connections over plain HTTP requests, for browsers whose
// WebSocket is blocked: the xhr_streaming and xhr_polling transports of
// pusher-js. The client receives through one long response (streaming) or one
// response after another (polling), and sends with requests of their own.
//
// It knows the framing and the sessions, not what the messages mean: package
// pusher mounts it at {prefix}/app/{key}/{server}/{session}/….
//
//	s := xhr.NewServer()
//	s.ServeReceive(w, r, sessionID, xhr.Streaming, open)
//	s.ServeSend(w, r, sessionID)
package xhr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-rt/carillon/internal/wheel"
	"github.com/carillon-rt/carillon/transport"
)

// Mode is how a session receives.
type Mode int

// The modes, with the names that pusher-js has for them.
const (
	// Streaming sends everything through one response, until that is so long
	// that the client opens another.
	Streaming Mode = iota
	// Polling ends a response with the first messages.
	Polling
)

// String returns the name of the transport.
func (m Mode) String() string {
	if m == Polling {
		return "xhr_polling"
	}
	return "xhr_streaming"
}

// Defaults of a Server's options.
const (
	// DefaultMaxSessions bounds the sessions of a server.
	DefaultMaxSessions = 100_000
	// DefaultReadLimit bounds the body of a request that sends.
	DefaultReadLimit = 64 << 10
	// DefaultHeartbeat is the longest silence on an open response.
	DefaultHeartbeat = 25 * time.Second
	// DefaultGap is how long a session lives without a request.
	DefaultGap = 10 * time.Second
	// DefaultWriteTimeout is how long a client may take to take in a write.
	DefaultWriteTimeout = 10 * time.Second
)

// Server holds the sessions. It is safe for concurrent use.
type Server struct {
	maxSessions   int
	readLimit     int64
	heartbeat     time.Duration
	gap           time.Duration
	writeTimeout  time.Duration
	queueMessages int
	queueBytes    int
	wheel         *wheel.Wheel

	mu       sync.Mutex
	sessions map[string]*session // guarded by mu
	closed   bool                // guarded by mu
	empty    chan struct{}       // guarded by mu; closed when closed is set and the last session has ended
	serving  sync.WaitGroup

	refused atomic.Int64
}

// Option changes a server.
type Option func(*Server)

// WithMaxSessions bounds the number of sessions; clients over it get a 503.
func WithMaxSessions(n int) Option { return func(s *Server) { s.maxSessions = max(n, 1) } }

// WithReadLimit bounds the body of a request that sends, in bytes; longer ones
// get a 413.
func WithReadLimit(bytes int64) Option { return func(s *Server) { s.readLimit = max(bytes, 1) } }

// WithHeartbeat sets the longest silence on an open response; proxies close
// silent ones.
func WithHeartbeat(d time.Duration) Option {
	return func(s *Server) { s.heartbeat = max(d, time.Second) }
}

// WithGap sets how long a session lives without a request: between two polls, or
// while the client opens another response.
func WithGap(d time.Duration) Option { return func(s *Server) { s.gap = max(d, time.Second) } }

// WithWriteTimeout sets how long a client may take to take in a write.
func WithWriteTimeout(d time.Duration) Option {
	return func(s *Server) { s.writeTimeout = max(d, time.Millisecond) }
}

// WithQueueLimits sets the bounds of a session's queue.
func WithQueueLimits(messages, bytes int) Option {
	return func(s *Server) { s.queueMessages, s.queueBytes = max(messages, 1), max(bytes, 1) }
}

// NewServer returns a server without sessions. It has no goroutine of its own
// but while a heartbeat or a gap is due.
func NewServer(opts ...Option) *Server {
	s := &Server{
		maxSessions: DefaultMaxSessions, readLimit: DefaultReadLimit, heartbeat: DefaultHeartbeat,
		gap: DefaultGap, writeTimeout: DefaultWriteTimeout,
		queueMessages: transport.DefaultQueueMessages, queueBytes: transport.DefaultQueueBytes,
		wheel:    wheel.New(250*time.Millisecond, 512),
		sessions: make(map[string]*session),
		empty:    make(chan struct{}),
	}
	for _, opt := range opts {
		opt(s)
	}
	return s
}

// Stats are the numbers of a server.
type Stats struct {
	// Sessions is how many there are now.
	Sessions int
	// Refused is how many clients found no room.
	Refused int64
}

// Stats returns the server's numbers.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Sessions: len(s.sessions), Refused: s.refused.Load()}
}

// errFull refuses a session for which there is no room.
var errFull = errors.New("server has no room for another session")

// session returns the session with this ID, made with open if there is none.
func (s *Server) session(id string, mode Mode, r *http.Request, open transport.Open) (*session, error) {
	s.mu.Lock()
	if c := s.sessions[id]; c != nil {
		s.mu.Unlock()
		return c, nil
	}
	if s.closed || len(s.sessions) >= s.maxSessions {
		s.mu.Unlock()
		s.refused.Add(1)
		return nil, fmt.Errorf("%w: the limit is %d", errFull, s.maxSessions)
	}
	c := newSession(s, id, mode, r)
	s.sessions[id] = c
	// Whoever finds the session waits until open has returned.
	c.receiving.Lock()
	s.mu.Unlock()
	receiver := open(c)
	c.start(receiver)
	c.receiving.Unlock()
	return c, nil
}

func (s *Server) remove(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[c.id] == c {
		delete(s.sessions, c.id)
		if s.closed && len(s.sessions) == 0 {
			close(s.empty)
		}
	}
}

// ServeReceive answers a request that receives for the session with this ID,
// which the client chose; a session that does not exist is made with open. It
// returns when the response is complete.
func (s *Server) ServeReceive(w http.ResponseWriter, r *http.Request, id string, mode Mode, open transport.Open) {
	if !s.prepare(w, r) {
		return
	}
	s.serving.Add(1)
	defer s.serving.Done()
	_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, s.readLimit))
	c, err := s.session(id, mode, r, open)
	if err != nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/javascript; charset=UTF-8")
	h.Set("Cache-Control", "no-store, no-transform, must-revalidate, max-age=0")
	h.Set("X-Accel-Buffering", "no")
	c.serve(w, r, mode)
}

// ServeSend hands the messages in the request's body, a JSON array of strings, to
// the session with this ID, and answers 204. A session that does not exist gets
// a 404.
func (s *Server) ServeSend(w http.ResponseWriter, r *http.Request, id string) {
	if !s.prepare(w, r) {
		return
	}
	s.mu.Lock()
	c := s.sessions[id]
	s.mu.Unlock()
	if c == nil {
		http.Error(w, "session does not exist", http.StatusNotFound)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.readLimit))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			http.Error(w, fmt.Sprintf("body is too large: the limit is %d bytes", tooLarge.Limit), http.StatusRequestEntityTooLarge)
		}
		return
	}
	var messages []string
	if err := json.Unmarshal(body, &messages); err != nil {
		http.Error(w, "body is not a JSON array of strings: "+err.Error(), http.StatusBadRequest)
		return
	}
	if !c.receive(messages) {
		http.Error(w, "session has ended", http.StatusNotFound)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// prepare answers what every request has in common: whose page may read the
// answer, and what a browser asks beforehand. It reports whether to go on. The
// answers hold no credentials, so any page may; whether a page may connect is
// for open to say.
func (s *Server) prepare(w http.ResponseWriter, r *http.Request) bool {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	switch r.Method {
	case http.MethodPost:
		return true
	case http.MethodOptions:
		h.Set("Access-Control-Allow-Methods", "POST, OPTIONS")
		h.Set("Access-Control-Allow-Headers", "Content-Type, X-Requested-With")
		h.Set("Access-Control-Max-Age", "86400")
		w.WriteHeader(http.StatusNoContent)
	default:
		h.Set("Allow", "POST, OPTIONS")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	}
	return false
}

// Shutdown takes no further sessions, waits until all have ended, and cuts off
// those that are left when ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		if len(s.sessions) == 0 {
			close(s.empty)
		}
	}
	s.mu.Unlock()
	var err error
	select {
	case <-s.empty:
	case <-ctx.Done():
		err = ctx.Err()
		s.mu.Lock()
		left := make([]*session, 0, len(s.sessions))
		for _, c := range s.sessions {
			left = append(left, c)
		}
		s.mu.Unlock()
		for _, c := range left {
			c.end(c.closeCode(), ctx.Err())
		}
	}
	s.serving.Wait()
	s.wheel.Stop()
	return err
}
