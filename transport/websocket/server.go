package websocket

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/puzpuzpuz/xsync/v3"

	"github.com/carillon-rt/carillon/transport"
)

// Server turns HTTP requests into connections and carries their messages. It is
// safe for concurrent use.
//
// A connection costs one goroutine, which waits for its peer. What comes in is
// handled by workers, of which a few are kept; what goes out is written by as
// many flushers as the program had processors when the server was made. They
// start when there is something to do and end with Shutdown.
type Server struct {
	options  options
	counters counters
	format   *transport.Format
	flushers []*flusher
	workers  *workers

	chunks  sync.Pool // of *chunk
	buffers sync.Pool // of *[]byte, to read into
	batches sync.Pool // of *[]byte, to write blocked connections from

	inflaters sync.Pool // of *inflater

	writers sync.WaitGroup // goroutines that write blocked connections
	stopped chan struct{}  // closed when no goroutine is left

	mu sync.Mutex
	// What follows is guarded by mu. conns is a list of the open connections;
	// open counts them and those in their handshake.
	conns        *conn
	open         int
	accepted     uint
	closed, over bool
	idle         chan struct{} // closed once closed is set and open is 0
}

// NewServer returns a server. It runs nothing until there is something to send. An
// option that is not valid is a *transport.OptionError.
func NewServer(opts ...Option) (*Server, error) {
	s := &Server{options: defaults(), format: textFrames, workers: newWorkers(), idle: make(chan struct{}), stopped: make(chan struct{})}
	for _, opt := range opts {
		if err := opt(&s.options); err != nil {
			return nil, fmt.Errorf("websocket: %w", err)
		}
	}
	s.counters.messagesIn, s.counters.bytesIn = xsync.NewCounter(), xsync.NewCounter()
	s.chunks.New = func() any { return new(chunk) }
	s.buffers.New = func() any { b := make([]byte, readBytes); return &b }
	s.inflaters.New = func() any { return newInflater() }
	s.batches.New = func() any { b := make([]byte, 0, blockedBytes); return &b }
	if s.options.compress {
		s.format = deflatedFrames(s.options.compressFrom)
	}
	s.flushers = make([]*flusher, runtime.GOMAXPROCS(0))
	for i := range s.flushers {
		s.flushers[i] = newFlusher(s)
	}
	return s, nil
}

// Queue returns the empty queue of a new connection, with its limits.
func (s *Server) Queue() transport.Queue {
	return transport.Queue{MessageLimit: s.options.queueMessages, ByteLimit: s.options.queueBytes, Format: textFrames}
}

// Serve upgrades r to a WebSocket connection, asks open for its receiver and
// returns; from then on the connection lives on a goroutine of its own. r and
// its context are not kept. When the upgrade fails, Serve answers the request
// and returns an error, without having called open; it wraps
// http.ErrNotSupported if w cannot be hijacked.
//
// Serve accepts any origin: check it before, or in open, where a refusal can be
// told by a close code. A browser cannot read the status of a failed upgrade.
// How long a client may take over its request is up to http.Server's
// ReadHeaderTimeout.
func (s *Server) Serve(w http.ResponseWriter, r *http.Request, open transport.Open) error {
	if err := s.enter(); err != nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return err
	}
	c, answer, err := s.upgrade(w, r)
	if err != nil {
		s.mu.Lock()
		s.leave()
		s.mu.Unlock()
		return err
	}
	opened := false
	defer func() {
		if !opened { // open has panicked
			c.abandon()
		}
	}()
	receiver := open(c)
	opened = true
	c.mu.Lock()
	c.receiver = receiver
	c.mu.Unlock()
	c.greet(answer)
	go c.again()
	return nil
}

// Shutdown refuses new connections and waits until the open ones have ended; it
// closes none, since only their protocol knows the code. Once ctx ends, it cuts
// off what is left and returns an error that wraps ErrShutdown and the cause of
// ctx, after transport.ShutdownGrace at the latest. No goroutine of the server is
// left then, unless a receiver holds on to one, and as long as it does.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	idle := s.open == 0
	if !s.closed {
		s.closed = true
		if idle {
			close(s.idle)
		}
		go s.finish()
	}
	s.mu.Unlock()
	select {
	case <-s.stopped:
		return nil
	case <-ctx.Done():
	}
	s.cutOff()
	select {
	case <-s.stopped:
		if idle {
			return nil
		}
	case <-time.After(transport.ShutdownGrace):
	}
	return shutdownError(context.Cause(ctx))
}

// finish ends the server's goroutines when all connections have ended.
func (s *Server) finish() {
	<-s.idle
	s.workers.stop()
	for _, f := range s.flushers {
		f.stop()
	}
	s.writers.Wait()
	close(s.stopped)
}

// cutOff cuts all connections.
func (s *Server) cutOff() {
	s.mu.Lock()
	s.over = true
	var conns []*conn
	for c := s.conns; c != nil; c = c.following {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.cut(ErrShutdown)
	}
}

// enter counts a connection in, unless the server is closed or full.
func (s *Server) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrShutdown
	case s.open >= s.options.maxConnections:
		s.counters.refused.Add(1)
		return fmt.Errorf("%w: the limit is %d", ErrFull, s.options.maxConnections)
	}
	s.open++
	return nil
}

// join adds a connection that has made its handshake. It says whether
// connections are being cut off.
func (s *Server) join(c *conn) (over bool) {
	s.counters.accepted.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	c.flusher = s.flushers[s.accepted%uint(len(s.flushers))]
	s.accepted++
	c.following = s.conns
	if s.conns != nil {
		s.conns.previous = c
	}
	s.conns = c
	return s.over
}

// remove takes out a connection that has ended.
func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.previous != nil {
		c.previous.following = c.following
	} else {
		s.conns = c.following
	}
	if c.following != nil {
		c.following.previous = c.previous
	}
	c.previous, c.following = nil, nil
	s.leave()
}

// leave counts a connection out. The caller holds mu.
func (s *Server) leave() {
	s.open--
	if s.closed && s.open == 0 {
		close(s.idle)
	}
}

func shutdownError(cause error) error { return fmt.Errorf("%w: %w", ErrShutdown, cause) }
