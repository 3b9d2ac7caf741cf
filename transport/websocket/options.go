package websocket

import (
	"net"
	"time"

	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/internal/option"
	"github.com/carillon-rt/carillon/transport/internal/progress"
)

// Defaults of the options, and bounds that no option changes.
const (
	// DefaultMaxConnections bounds the connections of a server.
	DefaultMaxConnections = 100_000
	// DefaultReadLimit is the largest message in bytes that a peer may send; a
	// larger one ends its connection with 1009.
	DefaultReadLimit = 64 << 10
	// DefaultWriteTimeout is how long a peer may take nothing of what is
	// waiting for it before it is cut off. What counts is what it takes from the
	// system, where that can be asked (on Linux, also below TLS), so that a slow
	// reader is not taken for one that does not read.
	DefaultWriteTimeout = 10 * time.Second
	// DefaultCloseTimeout is how long a connection may take to end once Close
	// was called.
	DefaultCloseTimeout = 5 * time.Second
	// ControlFramesPerSecond is how many pings and pongs a peer may send within
	// a second; more end its connection with 1008.
	ControlFramesPerSecond = 100
)

type options struct {
	maxConnections             int
	queueMessages, queueBytes  int
	readLimit                  int
	writeTimeout, closeTimeout time.Duration
	budget                     *transport.Budget
	compress                   bool
	compressFrom               int
	// portable keeps the server from writing to sockets itself.
	portable bool
	// unsent says what the system holds for a peer.
	unsent func(net.Conn) int
}

func defaults() options {
	return options{
		maxConnections: DefaultMaxConnections,
		queueMessages:  transport.DefaultQueueMessages,
		queueBytes:     transport.DefaultQueueBytes,
		readLimit:      DefaultReadLimit,
		writeTimeout:   DefaultWriteTimeout,
		closeTimeout:   DefaultCloseTimeout,
		unsent:         progress.Unsent,
	}
}

// Option changes a server. One that is not valid makes NewServer fail.
type Option func(*options) error

// WithQueueLimits bounds what may wait for one peer: so many messages, and so
// many bytes as they are on the wire. A ping counts as a message; a pong and the
// close frame, of which there is one each, do too, but are queued whatever the
// bounds. Send returns a *transport.QueueError over either. 0 stands for the default,
// transport.DefaultQueueMessages or transport.DefaultQueueBytes.
func WithQueueLimits(messages, bytes int) Option {
	return func(o *options) error { return option.QueueLimits(&o.queueMessages, &o.queueBytes, messages, bytes) }
}

// WithMaxConnections bounds the number of connections, those in their handshake or
// ending included; clients over it get a 503. It is at least 1; the default is
// DefaultMaxConnections.
func WithMaxConnections(n int) Option {
	return func(o *options) error { return option.Positive(&o.maxConnections, "limit of connections", n) }
}

// WithBudget makes the queues of all connections together, and whatever else takes
// part in b, hold no more than that: see transport.Budget. A connection that is cut
// off for it ends with transport.ErrBudget. The default is nil, which is no bound.
func WithBudget(b *transport.Budget) Option {
	return func(o *options) error { o.budget = b; return nil }
}

// WithReadLimit sets the largest message in bytes that a peer may send, after
// decompression. It is at least 1; the default is DefaultReadLimit.
func WithReadLimit(bytes int) Option {
	return func(o *options) error { return option.Positive(&o.readLimit, "read limit", bytes) }
}

// WithWriteTimeout sets how long a peer may take nothing of what is waiting for
// it before it is cut off. It is positive; the default is DefaultWriteTimeout.
func WithWriteTimeout(d time.Duration) Option {
	return func(o *options) error { return option.Positive(&o.writeTimeout, "write time-out", d) }
}

// WithCloseTimeout sets how long a connection may take to end once Close was
// called: to take all that is queued, and to answer with a close frame. Then it
// is cut off. It is positive; the default is DefaultCloseTimeout.
func WithCloseTimeout(d time.Duration) Option {
	return func(o *options) error { return option.Positive(&o.closeTimeout, "close time-out", d) }
}

// WithCompression offers permessage-deflate (RFC 7692) without context takeover
// to peers that ask for it. Messages of at least minBytes, which is at least 1, are
// deflated, once for all connections, where that makes them smaller. The default is
// no compression.
//
// Deflating costs several times what sending does, and a peer's compressed
// messages cost some 40 KiB of memory while they are read; leave it off unless
// bandwidth is what you are short of.
func WithCompression(minBytes int) Option {
	return func(o *options) error {
		o.compress = true
		return option.Positive(&o.compressFrom, "least size of a compressed message", minBytes)
	}
}
