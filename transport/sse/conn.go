package sse

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/carillon-rt/carillon/internal/wheel"
	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/internal/progress"
	"github.com/carillon-rt/carillon/transport/internal/stream"
)

// conn is one stream. It is written by the goroutine of its request.
type conn struct {
	server    *Server
	info      transport.Info
	opened    time.Time
	heartbeat wheel.Timer
	wake      chan struct{} // has room for one

	mu      sync.Mutex
	outbox  stream.Outbox // guarded by mu
	beat    bool          // guarded by mu: a heartbeat is due
	closing bool          // guarded by mu: Close was called
	code    int           // guarded by mu
	reason  string        // guarded by mu
	closeBy time.Time     // guarded by mu: when all is to be written after Close
	ended   bool          // guarded by mu
	cause   error         // guarded by mu until ended is set: why it was cut
	writing int           // guarded by mu: how many messages are being written; -1 for none
	control *http.ResponseController
	unsent  func() int

	// ids are the latest of each channel, in the order they came; only the
	// writer uses them.
	ids []latest
}

// latest is the position of a channel's last event.
type latest struct{ channel, position []byte }

func newConn(s *Server, w http.ResponseWriter, r *http.Request) *conn {
	c := &conn{server: s, opened: time.Now(), wake: make(chan struct{}, 1), writing: -1,
		control: http.NewResponseController(w), unsent: s.unsent(r),
		info: transport.Info{Transport: Name, RemoteAddr: r.RemoteAddr, Secure: r.TLS != nil}}
	c.heartbeat.Init(c.due)
	c.outbox.Open(s.Queue(), s.budget, c)
	return c
}

// Send implements transport.Conn. The payload is a block; see Block.
func (c *conn) Send(m *transport.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || c.ended {
		return transport.ErrClosed
	}
	first, err := c.outbox.Add(m)
	if first {
		c.server.slow.Add(1)
	}
	if err != nil {
		return err
	}
	c.signal()
	return nil
}

// Queue implements transport.Conn.
func (c *conn) Queue() transport.Queue {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.outbox.Queue()
}

func (c *conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Held implements transport.Holder.
func (c *conn) Held(yield func([]byte) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outbox.Held(yield)
}

// Release implements transport.Holder.
func (c *conn) Release(err error) { c.cut(err) }

// Close implements transport.Conn. The client is told the code and the reason in
// an event named "close".
func (c *conn) Close(code int, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing && !c.ended {
		c.closing, c.code, c.reason = true, code, reason
		c.closeBy = time.Now().Add(c.server.writeTimeout)
		c.signal()
	}
}

// cut ends the stream without a word, for the reason err.
func (c *conn) cut(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended, c.cause = true, err
	c.server.dropped.Add(int64(c.outbox.Clear()))
	if c.writing >= 0 {
		_ = c.control.SetWriteDeadline(time.Now())
	}
	c.signal()
}

// LastReceived implements transport.Conn: a client says nothing after its
// request.
func (c *conn) LastReceived() time.Time { return c.opened }

// Info implements transport.Conn.
func (c *conn) Info() transport.Info { return c.info }

// due runs when the stream has been silent for long.
func (c *conn) due() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.beat = true
	c.signal()
}

var errGone = errors.New("client has gone")

// write writes until the stream has ended, and returns how.
func (c *conn) write(w http.ResponseWriter, r *http.Request) (code int, err error) {
	// The server's own time-outs are for requests that end soon.
	_ = c.control.SetReadDeadline(time.Time{})
	defer func() { _ = c.control.SetWriteDeadline(time.Time{}) }()
	c.signal() // the header
	var buf []byte
	for {
		select {
		case <-c.wake:
		case <-r.Context().Done():
			return c.end(), errGone
		}
		buf = buf[:0]
		last, cut := false, false
		if buf, last, cut = c.take(buf); cut {
			return c.end(), c.cause
		}
		c.server.wheel.Schedule(&c.heartbeat, c.server.heartbeat)
		watch := progress.Begin(c.server.writeTimeout, c.unsent, c.control.SetWriteDeadline)
		_, err := w.Write(buf)
		if err == nil {
			err = c.control.Flush()
		}
		watch.Stop()
		if err != nil {
			c.server.writeErrors.Add(1)
			code := c.end()
			if c.cause != nil {
				return code, c.cause
			}
			return code, fmt.Errorf("write: %w", err)
		}
		c.wrote()
		if last {
			return c.end(), nil
		}
		if cap(buf) > keepSpare {
			buf = nil
		}
	}
}

const (
	// keepSpare bounds the buffer that a connection keeps between writes.
	keepSpare = 64 << 10
	// writeBytes is about the most that is written at once: a client that takes
	// that much in time is not too slow, however much waits for it.
	writeBytes = 32 << 10
)

// wrote notes that what take returned was written.
func (c *conn) wrote() {
	c.mu.Lock()
	c.writing = -1
	if c.outbox.Len() > 0 {
		c.signal()
	}
	var written []transport.Watch
	if !c.ended { // else some of them were dropped meanwhile
		written = c.outbox.Taken()
	}
	c.mu.Unlock()
	stream.TellWritten(written)
}

// end forgets what is queued, and returns the code that the stream has ended
// with: that of Close, if it came.
func (c *conn) end() (code int) {
	c.mu.Lock()
	c.ended = true
	c.server.dropped.Add(int64(c.outbox.Clear() + max(c.writing, 0)))
	dropped := c.outbox.Taken()
	c.writing = -1
	code = transport.StatusAbnormal
	if c.closing {
		code = c.code
	}
	c.mu.Unlock()
	stream.TellDropped(dropped)
	return code
}

// take appends to buf what is to be written. last says that the stream ends with
// it, cut that it is to end at once.
func (c *conn) take(buf []byte) (_ []byte, last, cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return buf, false, true
	}
	n, waiting := 0, c.outbox.Messages()
	for ; n < len(waiting) && len(buf) < writeBytes; n++ {
		buf = c.appendBlock(buf, waiting[n].Payload())
	}
	c.outbox.Drop(n)
	if c.closing && c.outbox.Len() == 0 {
		last = true
		buf = appendClose(buf, c.code, c.reason)
	} else if c.beat && len(buf) == 0 {
		buf = append(buf, ":\n\n"...)
	}
	c.beat = false
	c.writing = n
	var deadline time.Time // none: watched over
	if c.closing {
		deadline = c.closeBy
	}
	_ = c.control.SetWriteDeadline(deadline)
	return buf, last, false
}

// appendBlock appends a block. Since a client keeps only the last id, an id
// names the positions of all channels of the connection.
func (c *conn) appendBlock(buf, block []byte) []byte {
	id, rest, ok := cutID(block)
	if !ok {
		return append(buf, block...)
	}
	for part := range bytes.SplitSeq(id, []byte("&")) {
		channel, position, _ := bytes.Cut(part, []byte("="))
		i := slices.IndexFunc(c.ids, func(l latest) bool { return bytes.Equal(l.channel, channel) })
		if i < 0 {
			c.ids = append(c.ids, latest{channel: bytes.Clone(channel)})
			i = len(c.ids) - 1
		}
		c.ids[i].position = append(c.ids[i].position[:0], position...)
	}
	if len(c.ids) == 1 {
		return append(buf, block...)
	}
	buf = append(buf, idField...)
	for i, l := range c.ids {
		if i > 0 {
			buf = append(buf, '&')
		}
		buf = append(append(append(buf, l.channel...), '='), l.position...)
	}
	buf = append(buf, '\n')
	return append(buf, rest...)
}

// appendClose says how the stream ends. Clients reconnect by themselves: the
// time until then is drawn, so that not all come back at once.
func appendClose(buf []byte, code int, reason string) []byte {
	wait := 500 + rand.IntN(2500)
	text, err := json.Marshal(reason)
	if err != nil {
		panic(err) // a string always marshals
	}
	return fmt.Appendf(buf, "retry: %d\nevent: close\ndata: {\"code\":%d,\"reason\":%s}\n\n", wait, code, text)
}
