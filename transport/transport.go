// Package transport is the seam between a protocol and the bytes on the wire:
// WebSocket, HTTP streaming, or no socket at all.
//
// A transport accepts a connection, asks the protocol for its Receiver, and from then
// on calls that with every message of the peer, while the protocol sends through the
// Conn. transporttest is the suite that a transport of your own has to pass;
// transport/memory is the shortest example of one.
//
// What a transport of your own has to do, in addition to the methods of Conn:
//
//   - The size of a message is bounded before it is read, and so is the time that
//     a peer may take for a handshake, for a write, and for the end after Close.
//     StatusTooLarge and StatusInvalidData tell it what it did wrong.
//   - Messages are text in UTF-8. Receive is called by Deliver, Closed by
//     DeliverClosed.
//   - It pings a peer only when the protocol calls its Pinger: the protocol closes the
//     connection of a peer whose LastReceived is long ago.
//   - A message is encoded once for all connections: see Message.In and Format.
//   - All queues together are bounded: each has an Account of the Budget that the
//     transport was given.
//   - Messages that were queued when their connection ended are counted.
//   - The Watch of a message that has one is told what becomes of it, holding no lock.
package transport

import (
	"errors"
	"time"
)

// Conn is one client connection after its handshake. All methods are safe for
// concurrent use, never block and never wait for the peer.
type Conn interface {
	// Send queues m to be written. Messages leave in the order in which Send
	// was called. It returns an error that wraps ErrSlow, and queues nothing,
	// when the queue is full, and ErrClosed after Close or after the peer
	// has gone.
	Send(m *Message) error

	// Close writes what is queued, then ends the connection with a close code and a
	// reason of at most 123 bytes (RFC 6455, section 5.5.1). A peer that does not take
	// it all in time is cut off. Further calls do nothing. What the peer sends from
	// then on is read, so that it does not block, but Receive is called for nothing
	// after the message that it is handling, or about to.
	Close(code int, reason string)

	// Queue returns how much waits for the peer, and how much there is room for.
	// Concurrent calls of Send may take that room before the caller does.
	Queue() Queue

	// LastReceived is when the peer last gave a sign of life, control frames and
	// heartbeats included: a complete message or frame, or a part of one that does not
	// take long to arrive. A byte now and then is no sign of life. While Receive runs,
	// and nothing is read, the peer cannot give one: then it is now.
	LastReceived() time.Time

	// Info describes the connection. It returns the same at any time.
	Info() Info
}

// Pinger is an optional interface of a Conn whose transport can ask the peer for a sign
// of life by itself, without a message of the protocol. Some clients answer only one of
// the two.
type Pinger interface {
	// Ping asks the peer for a sign of life, which LastReceived then shows. It does not
	// block, is safe for concurrent use, and does nothing on a connection that is
	// closed.
	Ping()
}

// Info describes a connection for logs, limits and hooks.
type Info struct {
	// Transport is the transport's name, such as "websocket".
	Transport string
	// RemoteAddr is the peer's address as the transport sees it, host and port.
	RemoteAddr string
	// Secure says that the bytes are encrypted on their way to this process.
	Secure bool
}

// Receiver is a protocol's side of one connection. A transport calls its
// methods one after another, never two at once.
type Receiver interface {
	// Receive is called with each complete message. data is only valid during
	// the call. While it runs, nothing further is read from the peer. If it
	// panics, this connection ends with StatusInternal; see Deliver.
	Receive(data []byte)

	// Closed is called once, last, when the connection is gone, also if the peer is
	// half-open and never answers. After Close, or when the transport refuses what the
	// peer sent, it may be called earlier: as soon as Receive is not called any more,
	// while the transport still writes what is queued and gives the peer time to end
	// the connection.
	//
	// code is the one that the peer sent, or, if Close came first, the one given to
	// Close; it is StatusAbnormal for a connection that ended without one. err is for
	// logs: it says why the connection ended, and is nil where the peer has ended it
	// with a code. After a panic it wraps what Deliver has returned. If Closed panics,
	// that is logged; see DeliverClosed.
	Closed(code int, err error)
}

// Watcher is an optional interface of a Receiver that wants to know at once that its
// connection is gone: Closed cannot be called while Receive runs, which may be waiting
// for something on the client's behalf.
type Watcher interface {
	Receiver

	// Gone is called at most once, before Closed, when the transport finds that the
	// connection has ended other than by Close. Receive may be running. It must not
	// block.
	Gone()
}

// Open returns the receiver of a new connection. A transport calls it once for each,
// concurrently for several. Open may already send on conn, and close it; the receiver
// is not called before Open has returned it.
type Open func(conn Conn) Receiver

// Errors of Conn.Send.
var (
	// ErrClosed says that the connection is closed or closing.
	ErrClosed = errors.New("connection is closed")
	// ErrSlow is wrapped by the error for a peer whose queue is full.
	ErrSlow = errors.New("connection's queue is full")
)

// Close codes that transports use themselves (RFC 6455, section 7.4.1).
const (
	// StatusAbnormal is the code that Receiver.Closed gets for a connection that
	// ended without a close code. It is never sent.
	StatusAbnormal = 1006
	// StatusInvalidData ends a connection whose peer sent what is not text.
	StatusInvalidData = 1007
	// StatusTooLarge ends a connection whose peer sent a message over the limit.
	StatusTooLarge = 1009
	// StatusInternal ends a connection whose receiver has panicked.
	StatusInternal = 1011
)

// ShutdownGrace is how long a server's Shutdown goes on after its context has ended,
// for the receivers of connections that it has cut off to be called.
const ShutdownGrace = 100 * time.Millisecond
