package xhr

import (
	"time"

	"github.com/carillon-rt/carillon/transport"
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
	// DefaultWriteTimeout is how long a client may take to take in a write.
	DefaultWriteTimeout = 10 * time.Second
)

// Option changes a server.
type Option func(*Server)

// WithMaxSessions bounds the number of sessions; clients over it get a 503. The
// default is DefaultMaxSessions; values below 1 count as 1.
func WithMaxSessions(n int) Option { return func(s *Server) { s.maxSessions = max(n, 1) } }

// WithMakeRoom sets what is called when a client finds no room: it may end a
// session that is worth less than a new one, by its Cut, and says whether it has.
// It is called concurrently. The default ends none.
func WithMakeRoom(makeRoom func() bool) Option {
	return func(s *Server) { s.makeRoom = makeRoom }
}

// WithReadLimit bounds the body of a request, in bytes; longer ones get a 413,
// and the session for which they were meant ends with 1009: a client that was
// not heard has to know. The default is DefaultReadLimit; values below 1 count as
// 1.
func WithReadLimit(bytes int64) Option { return func(s *Server) { s.readLimit = max(bytes, 1) } }

// WithHeartbeat sets the longest silence on an open response; proxies close
// silent ones. The default is DefaultHeartbeat, the least is 1 s.
func WithHeartbeat(d time.Duration) Option {
	return func(s *Server) { s.heartbeat = max(d, time.Second) }
}

// WithGap sets how long a session lives without a request: between two polls, or
// while the client opens another response. The default is DefaultGap, the least
// is 1 s.
func WithGap(d time.Duration) Option { return func(s *Server) { s.gap = max(d, time.Second) } }

// WithReadTimeout sets how long a client may take to send a request's body; then
// it gets a 408. The default is DefaultReadTimeout, the least is 1 ms.
func WithReadTimeout(d time.Duration) Option {
	return func(s *Server) { s.readTimeout = max(d, time.Millisecond) }
}

// WithWriteTimeout sets how long a client may take to take in a write, before its
// session ends. The default is DefaultWriteTimeout, the least is 1 ms.
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
