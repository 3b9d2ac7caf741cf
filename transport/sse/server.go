// Package sse carries messages one way over Server-Sent Events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html), to
// EventSource in browsers and to tools such as curl -N.
//
// It knows blocks and their ids, not what they mean. It is not for clients that send.
// Payloads are whole blocks: see Block.
//
//	s, err := sse.NewServer()
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
	"github.com/carillon-rt/carillon/transport/internal/option"
	"github.com/carillon-rt/carillon/transport/internal/progress"
	"github.com/carillon-rt/carillon/transport/internal/stream"
)

// Name is what Info.Transport says of these connections.
const Name = "sse"

// Defaults of a Server's options.
const (
	// DefaultHeartbeat is the longest silence on a connection; proxies close
	// silent ones.
	DefaultHeartbeat = 25 * time.Second
	// DefaultWriteTimeout is how long a client may take nothing in.
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
	unsent                    func(*http.Request) func() int // what the system holds for a client

	mu       sync.Mutex
	conns    map[*conn]struct{} // guarded by mu
	lifetime *stream.Lifetime   // entered and left under mu

	refused, slow, dropped, writeErrors atomic.Int64
}

// Option changes a server. One that is not valid makes NewServer fail.
type Option func(*Server) error

// WithHeartbeat sets the longest silence on a connection. It is at least 1 s; the
// default is DefaultHeartbeat.
func WithHeartbeat(d time.Duration) Option {
	return func(s *Server) error { return option.Seconds(&s.heartbeat, "heartbeat", d) }
}

// WithWriteTimeout sets how long a client may take nothing of what is written to it,
// before its connection ends. Without ConnContext, elsewhere than on Linux and over
// HTTP/2 it is how long a client may take over about 32 KiB. It is positive; the
// default is DefaultWriteTimeout.
func WithWriteTimeout(d time.Duration) Option {
	return func(s *Server) error { return option.Positive(&s.writeTimeout, "write time-out", d) }
}

// WithBudget makes the queues of all clients together, and whatever else takes part
// in b, hold no more than that: see transport.Budget. The default is nil, which is no
// bound.
func WithBudget(b *transport.Budget) Option {
	return func(s *Server) error { s.budget = b; return nil }
}

// WithQueueLimits bounds what may wait for one client: so many messages, and so
// many bytes as they are on the wire. 0 stands for the default,
// transport.DefaultQueueMessages or transport.DefaultQueueBytes.
func WithQueueLimits(messages, bytes int) Option {
	return func(s *Server) error { return option.QueueLimits(&s.queueMessages, &s.queueBytes, messages, bytes) }
}

// WithMaxConnections bounds the number of connections; clients over it get a 503.
// It is at least 1; the default is DefaultMaxConnections.
func WithMaxConnections(n int) Option {
	return func(s *Server) error { return option.Positive(&s.maxConnections, "limit of connections", n) }
}

// NewServer returns a server without connections. It has a goroutine of its own only
// while a heartbeat is due. An option that is not valid is a *transport.OptionError.
func NewServer(opts ...Option) (*Server, error) {
	s := &Server{
		heartbeat: DefaultHeartbeat, writeTimeout: DefaultWriteTimeout, maxConnections: DefaultMaxConnections,
		queueMessages: transport.DefaultQueueMessages, queueBytes: transport.DefaultQueueBytes,
		wheel: wheel.New(250*time.Millisecond, 512), unsent: progress.UnsentFor,
		conns: make(map[*conn]struct{}),
	}
	s.lifetime = stream.NewLifetime(s.wheel.Stop)
	for _, opt := range opts {
		if err := opt(s); err != nil {
			return nil, fmt.Errorf("sse: %w", err)
		}
	}
	return s, nil
}

// Queue returns the empty queue of a new connection, with its limits.
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
