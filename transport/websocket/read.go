package websocket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/carillon-rt/carillon/transport"
)

const (
	// readBytes is the size of the buffers that are read into. They are shared:
	// a connection that waits for its peer has none.
	readBytes = 4 << 10
	// maxPooled is the largest buffer that is kept for another message.
	maxPooled = 64 << 10
	// portableBytes is the buffer of a connection that must have one to wait.
	portableBytes = 128
	// inReceive stands in the place of a time while the receiver is called.
	inReceive = math.MaxInt64
	// directRead is from what size on a payload is read to where it belongs.
	directRead = 512
)

// wait is the goroutine of a connection that waits for its peer. It is a fresh
// one each time, and ends as soon as there is something to handle.
func (c *conn) wait() {
	if len(c.in) == 0 && c.br.Buffered() == 0 {
		_ = c.fill() // notes readErr
	}
	c.server.workers.handle(c)
}

// handle does what there is to do after wait.
func (c *conn) handle() {
	err := c.readErr
	if err == nil {
		err = c.receive()
	}
	if err == errIdle {
		go c.again()
		return
	}
	code, err := c.finish(err)
	c.mu.Lock()
	closing := c.closing && !c.gone
	receiver := c.receiver
	c.receiver = nil // it is called no more
	c.mu.Unlock()
	if !closing {
		c.end()
	}
	if transport.DeliverClosed(receiver, code, err) != nil {
		c.server.counters.panics.Add(1)
	}
	if closing {
		go c.linger()
		return
	}
	c.server.remove(c)
}

// finish closes the connection as it should be, after receive has returned err.
// It returns what Closed is to be told.
func (c *conn) finish(err error) (code int, _ error) {
	var peer websocket.CloseError
	var panicked *transport.PanicError
	switch {
	case errors.As(err, &panicked):
		c.server.counters.panics.Add(1)
		c.stop(transport.StatusInternal, "internal error")
	case errors.As(err, &peer) && !utf8.ValidString(peer.Reason):
		c.server.counters.invalidData.Add(1)
		err = ErrInvalidData
		c.stop(transport.StatusInvalidData, err.Error())
	case errors.As(err, &peer):
		c.stop(int(peer.Code), peer.Reason)
		err = nil
	case c.readErr != nil:
		err = c.lost()
	default:
		var status int
		status, err = c.refused(err)
		c.stop(status, err.Error())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		return transport.StatusAbnormal, err
	}
	return c.code, err
}

// lost returns the error of a connection that ended without a close frame of the peer.
func (c *conn) lost() error {
	c.mu.Lock()
	closing, err := c.closing, c.err
	c.mu.Unlock()
	switch {
	case err != nil: // it was cut
		return err
	case closing && errors.Is(c.readErr, os.ErrDeadlineExceeded):
		return nil // by stop
	}
	return fmt.Errorf("connection lost: %w", c.readErr)
}

// refused says what was wrong with the peer's input, and counts it.
func (c *conn) refused(err error) (int, error) {
	n := &c.server.counters
	switch {
	case c.flooded:
		n.floods.Add(1)
		return int(websocket.StatusPolicyViolation), ErrFlood
	case errors.Is(err, ErrTooLarge):
		n.oversized.Add(1)
		return int(websocket.StatusMessageTooBig), tooLarge(c.server.options.readLimit)
	case errors.Is(err, ErrBinary):
		n.binary.Add(1)
		return int(websocket.StatusUnsupportedData), ErrBinary
	case errors.Is(err, ErrInvalidData):
		n.invalidData.Add(1)
		return int(websocket.StatusInvalidFramePayloadData), ErrInvalidData
	}
	n.protocolErrors.Add(1)
	c.garbled = true
	return int(websocket.StatusProtocolError), fmt.Errorf("%w: %w", ErrProtocol, err)
}

// errIdle says that all that was read is handled.
var errIdle = errors.New("nothing to read yet")

// receive hands over message after message, as long as there is input. Its error
// is never nil.
func (c *conn) receive() error {
	for {
		if err := c.receiveOne(); err != nil {
			return err
		}
		if len(c.in) == 0 && c.br.Buffered() == 0 {
			return errIdle
		}
		// Who sends without pause gets its turns between those of others.
		runtime.Gosched()
	}
}

func (c *conn) receiveOne() error {
	kind, r, err := c.ws.Reader(context.Background())
	if err != nil {
		return err
	}
	buffer := c.server.buffers.Get().(*[]byte)
	defer c.putBuffer(buffer)
	data, err := readAll(r, (*buffer)[:0])
	keep(buffer, data)
	if err == nil {
		err = c.readErr // a connection that ends before the rest of a message looks like its end
	}
	if err != nil {
		return err
	}
	if kind == websocket.MessageBinary { // see scan
		inflated := c.server.buffers.Get().(*[]byte)
		defer c.putBuffer(inflated)
		inflater := c.server.inflaters.Get().(*inflater)
		data, err = inflater.inflate((*inflated)[:0], data, c.server.options.readLimit)
		c.server.inflaters.Put(inflater)
		keep(inflated, data)
		if err != nil {
			return err
		}
	}
	if !utf8.Valid(data) {
		return ErrInvalidData
	}
	c.mu.Lock()
	over := c.closing || c.gone
	c.mu.Unlock()
	if over {
		return nil
	}
	c.server.counters.messagesIn.Inc()
	c.server.counters.bytesIn.Add(int64(len(data)))
	c.received.Store(inReceive)
	defer func() { c.received.Store(time.Now().UnixNano()) }()
	return transport.Deliver(c.receiver, data)
}

// keep makes what data has grown to the buffer.
func keep(buffer *[]byte, data []byte) {
	if cap(data) > cap(*buffer) {
		*buffer = data[:cap(data)]
	}
}

// readAll appends to p what comes from r until it ends.
func readAll(r io.Reader, p []byte) ([]byte, error) {
	for {
		n, err := r.Read(p[len(p):cap(p)])
		p = p[:len(p)+n]
		if err == io.EOF {
			return p, nil
		}
		if err != nil {
			return p, err
		}
		if len(p) == cap(p) {
			p = append(p, 0)[:len(p)]
		}
	}
}

// fill reads what there is into in, which must be empty, and waits if need be.
func (c *conn) fill() error {
	c.releaseBuffer()
	var err error
	if c.raw != nil {
		if err = c.raw.Read(c.onReady); err == nil {
			err = c.readErr
		}
	} else {
		if c.small == nil {
			c.small = make([]byte, portableBytes)
		}
		var n int
		n, err = c.nc.Read(c.small)
		c.in = c.small[:n]
		if n > 0 {
			err = nil
		}
	}
	c.in = c.in[:c.came(c.in, err)]
	return err
}

// readReady reads from a socket, unless it has to wait for that.
func (c *conn) readReady(fd uintptr) bool {
	buffer := c.server.buffers.Get().(*[]byte)
	n, err := readFD(fd, *buffer)
	if n > 0 {
		c.buffer, c.in = buffer, (*buffer)[:n]
		return true
	}
	c.putBuffer(buffer)
	if err == errWouldBlock {
		return false
	}
	c.readErr = err
	return true
}

// came notes what was read, or why nothing was. It returns how much of it is to be
// parsed: all but the end of a header that is refused, and what lies behind it.
func (c *conn) came(p []byte, err error) (parse int) {
	if err != nil {
		c.readErr = err
		return 0
	}
	now := time.Now().UnixNano()
	parse, alive, refusal := c.scan.read(p, now)
	if refusal != nil {
		for rest := p[parse:]; len(rest) > 0; {
			n, _, _ := c.scan.read(rest, now)
			rest = rest[n:]
		}
		parse--
		if c.refusal == nil {
			c.refusal = refusal
		}
	}
	if alive {
		c.received.Store(now)
	}
	return parse
}

func (c *conn) releaseBuffer() {
	if c.buffer != nil {
		c.putBuffer(c.buffer)
		c.buffer = nil
	}
	c.in = nil
}

func (c *conn) putBuffer(b *[]byte) {
	if cap(*b) <= maxPooled {
		c.server.buffers.Put(b)
	}
}
