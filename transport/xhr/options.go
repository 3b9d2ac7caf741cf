package xhr

import (
	"time"

	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/internal/option"
)

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
	// DefaultReadTimeout is how long a client may take to send a request's body.
	DefaultReadTimeout = 10 * time.Second
	// DefaultWriteTimeout is how long a client may take nothing in.
	DefaultWriteTimeout = 10 * time.Second
)

// Option changes a server. One that is not valid makes NewServer fail.
type Option func(*Server) error

// WithMaxSessions bounds the number of sessions; clients over it get a 503. It is at
// least 1; the default is DefaultMaxSessions.
func WithMaxSessions(n int) Option {
	return func(s *Server) error { return option.Positive(&s.maxSessions, "limit of sessions", n) }
}

// WithMakeRoom sets a function that is called when there is no room for a new session.
// It may end another one by its connection's Cut method, and reports whether it has. It
// is called concurrently. The default is nil, which ends none.
func WithMakeRoom(makeRoom func() bool) Option {
	return func(s *Server) error { s.makeRoom = makeRoom; return nil }
}

// WithReadLimit bounds the body of a request, in bytes; longer ones get a 413,
// and the session for which they were meant ends with 1009, since the client has to
// know that what it sent was not received. It is at least 1; the default is
// DefaultReadLimit.
func WithReadLimit(bytes int) Option {
	return func(s *Server) error { return option.Positive(&s.readLimit, "read limit", bytes) }
}

// WithHeartbeat sets the longest silence on an open response; proxies close
// silent ones. It is at least 1 s; the default is DefaultHeartbeat.
func WithHeartbeat(d time.Duration) Option {
	return func(s *Server) error { return option.Seconds(&s.heartbeat, "heartbeat", d) }
}

// WithGap sets how long a session lives without a request: between two polls, or
// while the client opens another response. It is at least 1 s; the default is
// DefaultGap.
func WithGap(d time.Duration) Option {
	return func(s *Server) error { return option.Seconds(&s.gap, "gap", d) }
}

// WithReadTimeout sets how long a client may take to send a request's body; then
// it gets a 408. It is positive; the default is DefaultReadTimeout.
func WithReadTimeout(d time.Duration) Option {
	return func(s *Server) error { return option.Positive(&s.readTimeout, "read time-out", d) }
}

// WithWriteTimeout sets how long a client may take nothing of what is written to it,
// before its session ends. Without sse.ConnContext, elsewhere than on Linux and over
// HTTP/2 it is how long a client may take over a write. It is positive; the
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
