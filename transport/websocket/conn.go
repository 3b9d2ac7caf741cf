package websocket

import (
	"bufio"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/internal/progress"
)

// conn is one connection. Its reader is a goroutine of its own while it waits,
// and a worker while there is something to handle. Its writer is whoever found
// writing unset and set it: a flusher, who sends or who made the handshake, or
// for a blocked socket a goroutine that runs drain.
type conn struct {
	// What handing out and flushing need comes first, in two cache lines: with
	// many connections, each line that is not in the cache costs a wait.
	server  *Server
	flusher *flusher
	format  *transport.Format
	raw     syscall.RawConn // nil if only nc's own methods may be used

	flushNext *conn // guarded by flusher.mu

	mu sync.Mutex
	// What follows is guarded by mu. queue is what is to be written, control
	// frames included; offset is how much of its first frame has been, and size
	// how many bytes are left in all.
	writing bool // somebody is the writer
	closing bool // a close frame is queued, and nothing behind it
	gone    bool // nothing is written any more
	slow    bool // the queue was full once
	counted bool // account counts what is queued, and is told when it leaves
	queue   queue
	watches *watches // nil for nearly all
	offset  int
	size    int
	// ponging says that queue has a pong. pong is the one to send after it: it answers
	// the latest ping, and with that all before (RFC 6455, section 5.5.3).
	ponging bool
	pong    []byte
	code    int       // the one of closing
	closeBy time.Time // until when the peer has time to end the connection
	err     error
	waiter  chan struct{} // closed when the close frame is sent, or gone set
	account transport.Account

	// Not guarded.
	receiver transport.Receiver // the reader's; set with mu held, since cut reads it
	nc       net.Conn
	secure   bool
	// answered says that coder/websocket has answered a close frame.
	answered atomic.Bool
	received atomic.Int64 // Unix time in nanoseconds, or inReceive

	previous, following *conn // guarded by server.mu

	reading
}

// reading is the part of a conn that belongs to its reader.
type reading struct {
	ws *websocket.Conn
	br *bufio.Reader
	// in is what was read and not yet parsed. It lies in buffer, if that is set.
	in      []byte
	buffer  *[]byte
	small   []byte // what a connection without raw reads into
	onReady func(fd uintptr) bool
	again   func() // wait, made once
	readErr error  // how reading from nc ended
	scan    scan
	refusal error // of scan's: nothing more is parsed

	flooded      bool
	garbled      bool  // the peer has broken the protocol
	window       int64 // when counting control frames began
	controlCount int
}

// take makes nc the connection's own.
func (c *conn) take(nc net.Conn) {
	c.nc = nc
	unblock(nc)
	c.again = c.wait
	if !c.server.options.portable {
		c.raw = rawConn(nc)
	}
	if c.raw != nil {
		c.onReady = c.readReady
	}
}

// Send implements transport.Conn.
func (c *conn) Send(m *transport.Message) error {
	frame := m.In(c.format)
	c.mu.Lock()
	if err := c.room(frame); err != nil {
		c.mu.Unlock()
		return err
	}
	if w := m.Watch(); w != nil {
		c.watch(w)
	}
	c.enqueue(frame)
	return nil
}

// room says why a frame cannot be queued. The caller holds mu.
func (c *conn) room(frame []byte) error {
	limits := &c.server.options
	if c.closing || c.gone {
		return transport.ErrClosed
	}
	if int(c.queue.count) < limits.queueMessages && c.size+len(frame) <= limits.queueBytes {
		return nil
	}
	if !c.slow {
		c.slow = true
		c.server.counters.slow.Add(1)
	}
	q := c.waiting()
	return q.Error()
}

// Queue implements transport.Conn.
func (c *conn) Queue() transport.Queue {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting()
}

// waiting describes the queue. The caller holds mu.
func (c *conn) waiting() transport.Queue {
	limits := &c.server.options
	return transport.Queue{Messages: int(c.queue.count), MessageLimit: limits.queueMessages,
		Bytes: c.size, ByteLimit: limits.queueBytes, Format: c.format}
}

// enqueue queues a frame, sees that it is written, and unlocks mu.
func (c *conn) enqueue(frame []byte) {
	c.push(frame)
	wake := !c.writing
	c.writing = true
	c.mu.Unlock()
	if wake {
		c.flusher.add(c)
	}
}

// push queues a frame. The caller holds mu.
func (c *conn) push(frame []byte) {
	c.queue.push(&c.server.chunks, frame)
	c.size += len(frame)
	if c.size >= transport.BudgetAllowance {
		c.counted = c.account.Set(c.size)
	}
}

// Held implements transport.Holder.
func (c *conn) Held(yield func([]byte) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for frame := range c.queue.all {
		if !yield(frame) {
			return
		}
	}
}

// Release implements transport.Holder.
func (c *conn) Release(err error) {
	c.cut(err)
	c.discard()
}

// discard forgets what is queued. Nothing is written any more.
func (c *conn) discard() {
	c.mu.Lock()
	var watching []watch
	if c.watches != nil {
		watching, c.watches = c.watches.all, nil
	}
	dropped := 0
	for ; c.queue.count > 0; c.queue.pop(&c.server.chunks) {
		if isMessage(c.queue.front()) {
			dropped++
		}
	}
	c.server.counters.dropped.Add(int64(dropped))
	c.size = 0
	c.counted = c.account.Set(0)
	c.mu.Unlock()
	for _, w := range watching {
		w.Dropped()
	}
}

// Close implements transport.Conn.
func (c *conn) Close(code int, reason string) { c.stop(code, reason) }

// stop queues a close frame behind everything else, unless there is one. From
// then on, nothing is handed over, and the connection has until the close time-out
// to end.
func (c *conn) stop(code int, reason string) {
	c.mu.Lock()
	if c.closing || c.gone {
		c.mu.Unlock()
		return
	}
	c.closing = true
	c.code = code
	c.closeBy = time.Now().Add(c.server.options.closeTimeout)
	c.pong = nil
	// The reader is to tell the receiver, and then to linger. It has not seen
	// closing yet, so that this deadline comes before its own.
	_ = c.nc.SetReadDeadline(time.Now())
	c.enqueue(closeFrame(code, reason))
}

// LastReceived implements transport.Conn.
func (c *conn) LastReceived() time.Time {
	received := c.received.Load()
	if received == inReceive {
		return time.Now()
	}
	return time.Unix(0, received)
}

// Info implements transport.Conn.
func (c *conn) Info() transport.Info {
	return transport.Info{Transport: "websocket", RemoteAddr: c.nc.RemoteAddr().String(), Secure: c.secure}
}

// Ping implements transport.Pinger.
func (c *conn) Ping() {
	c.mu.Lock()
	if c.room(pingFrame) != nil {
		c.mu.Unlock()
		return
	}
	c.enqueue(pingFrame)
}

// pinged sees that a pong is sent. What it returns keeps coder/websocket from
// sending one.
func (c *conn) pinged(_ context.Context, payload []byte) bool {
	c.countControl()
	c.mu.Lock()
	if c.closing || c.gone {
		c.mu.Unlock()
		return false
	}
	pong := appendFrame(nil, finPong, payload)
	if c.ponging {
		c.pong = pong
		c.mu.Unlock()
		return false
	}
	c.ponging = true
	c.enqueue(pong)
	return false
}

// countControl counts a ping or pong.
func (c *conn) countControl() {
	now := c.received.Load()
	if now-c.window >= int64(time.Second) {
		c.window, c.controlCount = now, 0
	}
	c.controlCount++
	if c.controlCount > ControlFramesPerSecond {
		c.flooded = true
	}
}

// cut ends the connection at once, for the reason err. It does not wait.
func (c *conn) cut(err error) {
	c.mu.Lock()
	if c.gone {
		c.mu.Unlock()
		return
	}
	c.gone = true
	c.err = err
	c.wakeReader()
	receiver := c.receiver
	c.mu.Unlock()
	transport.DeliverGone(receiver)
	// TLS would say goodbye first, and wait for a full socket to take it.
	_ = progress.Below(c.nc).Close()
}

// wakeReader ends the wait in flushed. The caller holds mu.
func (c *conn) wakeReader() {
	if c.waiter != nil {
		close(c.waiter)
		c.waiter = nil
	}
}

// end closes what is still open. After it the reader only calls Closed.
func (c *conn) end() {
	c.mu.Lock()
	c.gone = true
	c.mu.Unlock()
	c.discard()
	_ = c.nc.Close()
	c.answered.Store(true)
	_ = c.ws.CloseNow()
	c.releaseBuffer()
}

// abandon ends a connection that has no receiver.
func (c *conn) abandon() {
	c.cut(net.ErrClosed)
	c.end()
	c.server.remove(c)
}
