package websocket

import (
	"net"
	"time"

	"github.com/carillon-rt/carillon/transport"
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
	// held says what the system holds for a peer.
	held func(net.Conn) int
}

func defaults() options {
	return options{
		maxConnections: DefaultMaxConnections,
		queueMessages:  transport.DefaultQueueMessages,
		queueBytes:     transport.DefaultQueueBytes,
		readLimit:      DefaultReadLimit,
		writeTimeout:   DefaultWriteTimeout,
		closeTimeout:   DefaultCloseTimeout,
		held:           heldBytes,
	}
}

// Option changes a server.
type Option func(*options)

// WithQueueLimits bounds what may wait for one peer: so many messages, and so
// many bytes as they are on the wire. A ping counts as a message; a pong and the
// close frame, of which there is one each, do too, but are queued whatever the
// bounds. Send returns a *transport.QueueError over either. Values below 1 leave the
// defaults, transport.DefaultQueueMessages and transport.DefaultQueueBytes.
func WithQueueLimits(messages, bytes int) Option {
	return func(o *options) {
		setPositive(&o.queueMessages, messages)
		setPositive(&o.queueBytes, bytes)
	}
}

// WithMaxConnections bounds the number of connections, those in their handshake or
// ending included; clients over it get a 503. Values below 1 leave
// DefaultMaxConnections.
func WithMaxConnections(n int) Option {
	return func(o *options) { setPositive(&o.maxConnections, n) }
}

// WithBudget makes the queues of all connections together, and whatever else takes
// part in b, hold no more than that: see transport.Budget. A connection that is cut
// off for it ends with transport.ErrBudget. The default is none.
func WithBudget(b *transport.Budget) Option {
	return func(o *options) { o.budget = b }
}

// WithReadLimit sets the largest message in bytes that a peer may send, after
// decompression. Values below 1 leave DefaultReadLimit.
func WithReadLimit(bytes int) Option {
	return func(o *options) { setPositive(&o.readLimit, bytes) }
}

// WithWriteTimeout sets how long a peer may take nothing of what is waiting for
// it before it is cut off. Values below 1 leave DefaultWriteTimeout.
func WithWriteTimeout(d time.Duration) Option {
	return func(o *options) { setPositive(&o.writeTimeout, d) }
}

// WithCloseTimeout sets how long a connection may take to end once Close was
// called: to take all that is queued, and to answer with a close frame. Then it
// is cut off. Values below 1 leave DefaultCloseTimeout.
func WithCloseTimeout(d time.Duration) Option {
	return func(o *options) { setPositive(&o.closeTimeout, d) }
}

// WithCompression offers permessage-deflate (RFC 7692) without context takeover
// to peers that ask for it. Messages of at least minBytes are deflated, once for
// all connections, where that makes them smaller. Values below 1 mean 1.
//
// Deflating costs several times what sending does, and a peer's compressed
// messages cost some 40 KiB of memory while they are read; leave it off unless
// bandwidth is what you are short of.
func WithCompression(minBytes int) Option {
	return func(o *options) {
		o.compress = true
		o.compressFrom = max(minBytes, 1)
	}
}

func setPositive[T int | time.Duration](p *T, v T) {
	if v > 0 {
		*p = v
	}
}
