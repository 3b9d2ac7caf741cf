// Package xhr carries connections over plain HTTP requests, for browsers whose
// WebSocket is blocked: the xhr_streaming and xhr_polling transports of
// pusher-js, and its sockjs transport. The client receives through one long
// response (streaming) or one response after another (polling), and sends with
// requests of their own.
//
// It knows the framing and the sessions, not what the messages mean: package
// pusher mounts it at {prefix}/app/{key}/{server}/{session}/…, and for SockJS
// clients at {prefix}/{server}/{session}/….
//
//	s, err := xhr.NewServer()
//	s.ServeReceive(w, r, sessionID, xhr.Streaming, open)
//	s.ServeSend(w, r, sessionID)
//	s.ServeSockJS(w, r, sessionID, "xhr_streaming", open)
package xhr

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net/http"
	"sync"
	"time"

	"github.com/carillon-rt/carillon/internal/incoming"
	"github.com/carillon-rt/carillon/internal/responsewriter"
	"github.com/carillon-rt/carillon/internal/wheel"
	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/internal/progress"
	"github.com/carillon-rt/carillon/transport/internal/stream"
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

	// What ServeSockJS makes of them.
	sockJSStreaming
	sockJSPolling
)

// String returns the name of the transport.
func (m Mode) String() string {
	switch m {
	case Polling:
		return "xhr_polling"
	case sockJSStreaming, sockJSPolling:
		return "sockjs"
	default:
		return "xhr_streaming"
	}
}

func (m Mode) polls() bool { return m == Polling || m == sockJSPolling }

// Server holds the sessions. It is safe for concurrent use.
type Server struct {
	maxSessions   int
	makeRoom      func() bool
	readLimit     int
	heartbeat     time.Duration
	gap           time.Duration
	readTimeout   time.Duration
	writeTimeout  time.Duration
	queueMessages int
	queueBytes    int
	budget        *transport.Budget
	wheel         *wheel.Wheel
	unsent        func(*http.Request) func() int // what the system holds for a client

	mu       sync.Mutex
	sessions map[string]*session // guarded by mu
	lifetime *stream.Lifetime    // of which sessions are the connections; entered and left under mu
	serving  sync.WaitGroup      // requests that receive; added to under mu, unless closed is set

	seed     maphash.Seed // of the hashes in marks
	incoming incoming.Set // bodies on their way in

	counters counters
}

// NewServer returns a server without sessions. It has a goroutine of its own only while
// a heartbeat or a gap is due. An option that is not valid is a *transport.OptionError.
func NewServer(opts ...Option) (*Server, error) {
	s := &Server{
		maxSessions: DefaultMaxSessions, readLimit: DefaultReadLimit, heartbeat: DefaultHeartbeat,
		gap: DefaultGap, readTimeout: DefaultReadTimeout, writeTimeout: DefaultWriteTimeout,
		queueMessages: transport.DefaultQueueMessages, queueBytes: transport.DefaultQueueBytes,
		wheel:    wheel.New(250*time.Millisecond, 512),
		unsent:   progress.UnsentFor,
		sessions: make(map[string]*session),
		seed:     maphash.MakeSeed(),
	}
	s.lifetime = stream.NewLifetime(func() {
		s.serving.Wait()
		s.wheel.Stop()
	})
	for _, opt := range opts {
		if err := opt(s); err != nil {
			return nil, fmt.Errorf("xhr: %w", err)
		}
	}
	return s, nil
}

// Queue returns the empty queue of a new session, with its limits.
func (s *Server) Queue() transport.Queue {
	return transport.Queue{MessageLimit: s.queueMessages, ByteLimit: s.queueBytes, Format: chunks}
}

// errFull refuses a session for which there is no room.
var errFull = errors.New("server has no room for another session")

// session returns the session with this ID. If there was none, it has made one,
// whose open is to be called next. The caller calls s.serving.Done when its
// response is complete.
func (s *Server) session(id string, mode Mode, r *http.Request) (c *session, made bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	spare := 0
	if s.sessions[id] == nil && !s.lifetime.Closed() && len(s.sessions) >= s.maxSessions && s.makeRoom != nil {
		s.mu.Unlock()
		room := s.makeRoom()
		s.mu.Lock()
		if room {
			spare = s.maxSessions/8 + 8 // one that gives way counts until its client was told
		}
	}
	if c = s.sessions[id]; c == nil {
		if !s.lifetime.Enter(s.maxSessions + spare) {
			s.counters.refused.Add(1)
			return nil, false, fmt.Errorf("%w: the limit is %d", errFull, s.maxSessions)
		}
		c, made = newSession(s, id, mode, r), true
		c.receiving.Lock()
		s.sessions[id] = c
	}
	s.serving.Add(1)
	return c, made, nil
}

func (s *Server) remove(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, c.id)
	s.lifetime.Leave()
}

// ServeReceive answers a request that receives for the session with this ID, which the
// client chose; a session that does not exist is made with open. It returns when the
// response is complete. A request that a browser repeats because its connection broke
// before the answer came gets the same answer again.
func (s *Server) ServeReceive(w http.ResponseWriter, r *http.Request, id string, mode Mode, open transport.Open) {
	if s.prepare(w, r, http.MethodPost, "*") {
		s.receive(w, r, id, mode, open)
	}
}

func (s *Server) receive(w http.ResponseWriter, r *http.Request, id string, mode Mode, open transport.Open) {
	if !mode.polls() && !responsewriter.CanFlush(w) {
		http.Error(w, "responses cannot be streamed here", http.StatusNotImplemented)
		return
	}
	if _, err := s.body(w, r); err != nil {
		return
	}
	c, made, err := s.session(id, mode, r)
	if err != nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer s.serving.Done()
	if made {
		c.open(open)
	}
	reader := c.attach(w, s.unsent(r), s.mark(r, nil), mode)
	if reader == nil {
		sessionEnded(w)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/javascript; charset=UTF-8")
	h.Set("Cache-Control", noCache)
	h.Set("X-Accel-Buffering", "no")
	c.serve(r.Context(), w, reader)
}

// noCache also keeps proxies from compressing, for which they would wait.
const noCache = "no-store, no-transform, must-revalidate, max-age=0"

func sessionEnded(w http.ResponseWriter) { http.Error(w, errSessionEnded.Error(), http.StatusNotFound) }

// ServeSend hands the messages in the request's body, a JSON array of strings, to the
// session with this ID, and answers 204. A session that does not exist gets a 404.
// Since the client does not look at answers, a body that is not valid ends the session.
// The messages of a request that a browser sends again are received once.
func (s *Server) ServeSend(w http.ResponseWriter, r *http.Request, id string) {
	if s.prepare(w, r, http.MethodPost, "*") {
		s.send(w, r, id)
	}
}

func (s *Server) send(w http.ResponseWriter, r *http.Request, id string) {
	s.mu.Lock()
	c := s.sessions[id]
	s.mu.Unlock()
	if c == nil {
		http.Error(w, "session does not exist", http.StatusNotFound)
		return
	}
	body, err := s.body(w, r)
	if errors.Is(err, errTooLarge) {
		c.fail(transport.StatusTooLarge, err.Error(), err)
	}
	if err != nil {
		return
	}
	messages, err := parseBody(body)
	if err != nil {
		s.counters.invalids.Add(1)
		c.fail(transport.StatusInvalidData, errInvalid.Error(), err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	switch err := c.receive(messages, s.mark(r, body)); err {
	case nil:
		w.WriteHeader(http.StatusNoContent)
	case errCrowded:
		w.Header().Set("Retry-After", "1")
		http.Error(w, err.Error(), http.StatusTooManyRequests)
	default:
		sessionEnded(w)
	}
}

// prepare answers what every request has in common: which origin's pages may read
// the answer, and what a browser asks beforehand. It reports whether to go on. The
// answers hold no credentials, so any page may; whether a page may connect is
// for open to say.
func (s *Server) prepare(w http.ResponseWriter, r *http.Request, method, origin string) bool {
	// Also for a body that is never looked at, which net/http reads to its end.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.readTimeout))
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	asked := r.Method
	if asked == http.MethodHead && method == http.MethodGet {
		asked = method
	}
	switch asked {
	case method:
		return true
	case http.MethodOptions:
		h.Set("Access-Control-Allow-Methods", method+", OPTIONS")
		h.Set("Access-Control-Allow-Headers", "Content-Type, X-Requested-With")
		h.Set("Access-Control-Max-Age", "86400")
		w.WriteHeader(http.StatusNoContent)
	default:
		h.Set("Allow", method+", OPTIONS")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	}
	return false
}

// Shutdown takes no further sessions, waits until all have ended, and cuts off
// those that are left when ctx ends. It returns transport.ShutdownGrace after that
// at the latest; a receiver that holds on to a session delays only the end of
// the server's goroutines.
func (s *Server) Shutdown(ctx context.Context) error {
	return s.lifetime.Shutdown(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, c := range s.sessions {
			// Receivers may take their time, and must not wait for each other.
			go c.end(transport.StatusAbnormal, ctx.Err())
		}
	})
}
