// Package sse carries messages one way over Server-Sent Events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html), to
// EventSource in browsers and to tools such as curl -N.
//
// It knows blocks and their ids, not what they mean; clients that have something
// to say need another transport. Payloads are whole blocks: see Block.
//
//	s := sse.NewServer()
//	err := s.Serve(w, r, func(conn transport.Conn) transport.Receiver { … })
package sse

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-rt/carillon/internal/responsewriter"
	"github.com/carillon-rt/carillon/internal/wheel"
	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/internal/stream"
)

// Name is what Info.Transport says of these connections.
const Name = "sse"

// Defaults of a Server's options.
const (
	// DefaultHeartbeat is the longest silence on a connection; proxies close
	// silent ones.
	DefaultHeartbeat = 25 * time.Second
	// DefaultWriteTimeout is how long a client may take to take in a write.
	DefaultWriteTimeout = 10 * time.Second
	// DefaultMaxConnections bounds the connections of a server.
	DefaultMaxConnections = 100_000
)

// Server holds the connections. It is safe for concurrent use.
type Server struct {
	heartbeat, writeTimeout   time.Duration
	queueMessages, queueBytes int
	budget                    *transport.Budget
	maxConnections            int
	wheel                     *wheel.Wheel

	mu       sync.Mutex
	conns    map[*conn]struct{} // guarded by mu
	lifetime *stream.Lifetime   // entered and left under mu

	refused, slow, dropped, writeErrors atomic.Int64
}

// Option changes a server.
type Option func(*Server)

// WithHeartbeat sets the longest silence on a connection, at least 1 s.
func WithHeartbeat(d time.Duration) Option {
	return func(s *Server) { s.heartbeat = max(d, time.Second) }
}

// WithWriteTimeout sets how long a client may take to take in a write, before its
// connection ends. The default is DefaultWriteTimeout, the least is 1 ms.
func WithWriteTimeout(d time.Duration) Option {
	return func(s *Server) { s.writeTimeout = max(d, time.Millisecond) }
}

// WithBudget makes the queues of all clients together, and whatever else takes part
// in b, hold no more than that: see transport.Budget. The default is none.
func WithBudget(b *transport.Budget) Option { return func(s *Server) { s.budget = b } }

// WithQueueLimits bounds what may wait for one client: so many messages, and so
// many bytes as they are on the wire. Values below 1 leave the defaults,
// transport.DefaultQueueMessages and transport.DefaultQueueBytes.
func WithQueueLimits(messages, bytes int) Option {
	return func(s *Server) {
		if messages > 0 {
			s.queueMessages = messages
		}
		if bytes > 0 {
			s.queueBytes = bytes
		}
	}
}

// WithMaxConnections bounds the number of connections; clients over it get a 503.
// The default is DefaultMaxConnections; values below 1 count as 1.
func WithMaxConnections(n int) Option { return func(s *Server) { s.maxConnections = max(n, 1) } }

// NewServer returns a server without connections. It has no goroutine of its own
// but while a heartbeat is due.
func NewServer(opts ...Option) *Server {
	s := &Server{
		heartbeat: DefaultHeartbeat, writeTimeout: DefaultWriteTimeout, maxConnections: DefaultMaxConnections,
		queueMessages: transport.DefaultQueueMessages, queueBytes: transport.DefaultQueueBytes,
		wheel: wheel.New(250*time.Millisecond, 512),
		conns: make(map[*conn]struct{}),
	}
	s.lifetime = stream.NewLifetime(s.wheel.Stop)
	for _, opt := range opts {
		opt(s)
	}
	return s
}

// Queue is the queue of a new connection, in which nothing waits.
func (s *Server) Queue() transport.Queue {
	return transport.Queue{MessageLimit: s.queueMessages, ByteLimit: s.queueBytes}
}

// Stats are the numbers of a server since it was made. All but Connections only
// grow.
type Stats struct {
	// Connections is how many there are now.
	Connections int
	// Refused is how many clients found no room.
	Refused int64
	// Slow are connections whose queue was full at least once.
	Slow int64
	// Dropped are messages that were queued, or being written, when their
	// connection ended.
	Dropped int64
	// WriteErrors are connections that ended because their client did not take
	// in what was written.
	WriteErrors int64
}

// Stats returns the server's numbers.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	n := len(s.conns)
	s.mu.Unlock()
	return Stats{Connections: n, Refused: s.refused.Load(), Slow: s.slow.Load(),
		Dropped: s.dropped.Load(), WriteErrors: s.writeErrors.Load()}
}

// ErrFull says that a server has no room for another connection, or is shutting
// down.
var ErrFull = errors.New("server has no room for another connection")

// Serve answers r with a stream, and returns when that has ended. Where open
// returns no receiver, nothing has been written, and the caller answers. Serve
// returns an error that wraps ErrFull, and has written nothing either, if there
// is no room, and one that wraps http.ErrNotSupported if w, or a writer that
// wraps net/http's, keeps back what is written.
func (s *Server) Serve(w http.ResponseWriter, r *http.Request, open transport.Open) error {
	if !responsewriter.CanFlush(w) {
		return fmt.Errorf("stream: %T keeps back what is written, it is no http.Flusher: "+
			"take the middleware that made it off this path: %w", w, http.ErrNotSupported)
	}
	c := newConn(s, w, r)
	s.mu.Lock()
	if !s.lifetime.Enter(s.maxConnections) {
		s.mu.Unlock()
		s.refused.Add(1)
		return fmt.Errorf("%w: the limit is %d", ErrFull, s.maxConnections)
	}
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	defer s.remove(c)

	watchPeer(r.Context(), s.heartbeat+s.writeTimeout)
	receiver := open(c)
	if receiver == nil {
		return nil
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	code, err := c.write(w, r)
	_ = transport.DeliverClosed(receiver, code, err)
	return nil
}

func (s *Server) remove(c *conn) {
	s.wheel.Cancel(&c.heartbeat)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.lifetime.Leave()
}

// Shutdown takes no further connections, waits until all have ended, and cuts off
// those that are left when ctx ends. It returns transport.ShutdownGrace after that
// at the latest; an open or a receiver that does not return delays only the end of
// the server's goroutines.
func (s *Server) Shutdown(ctx context.Context) error {
	return s.lifetime.Shutdown(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.conns {
			c.cut(errors.New("server is shut down"))
		}
	})
}
