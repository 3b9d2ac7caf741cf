package xhr

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-rt/carillon/internal/wheel"
	"github.com/carillon-rt/carillon/transport"
)

// restart is how long a streaming response has to be for pusher-js to drop it
// and open another. What a client has not read by then it never reads, so
// nothing is written to a response beyond it.
const restart = 256 << 10

// closeGap is how long a client may take to come back for the end of a session.
const closeGap = 2 * time.Second

// keepSpare bounds the buffer that a response keeps between writes.
const keepSpare = 64 << 10

// session is one connection. At any time at most one request receives for it.
type session struct {
	server *Server
	id     string
	info   transport.Info

	lastReceived atomic.Int64
	// timer fires when a heartbeat is due, or when the gap has been too long.
	timer wheel.Timer

	// receiving is held while the receiver runs.
	receiving sync.Mutex
	receiver  transport.Receiver // guarded by receiving
	closed    bool               // guarded by receiving: the receiver has been told

	mu        sync.Mutex
	queue     []*transport.Message // guarded by mu
	bytes     int                  // guarded by mu
	opened    bool                 // guarded by mu: the open chunk has been written
	beat      bool                 // guarded by mu: a heartbeat is due
	closing   bool                 // guarded by mu: Close was called
	code      int                  // guarded by mu
	reason    string               // guarded by mu
	ended     bool                 // guarded by mu
	reader    *reader              // guarded by mu: the request that receives
	closeSent bool                 // guarded by mu
}

// reader is a request that receives.
type reader struct {
	wake chan struct{} // has room for one
	over bool          // guarded by session.mu: another request has taken its place, or the session ended
}

func (r *reader) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func newSession(s *Server, id string, mode Mode, r *http.Request) *session {
	c := &session{server: s, id: id, info: transport.Info{Transport: mode.String(), RemoteAddr: r.RemoteAddr, Secure: r.TLS != nil}}
	c.lastReceived.Store(time.Now().UnixNano())
	c.timer.Init(c.due)
	return c
}

// start sets the receiver. The caller holds c.receiving.
func (c *session) start(r transport.Receiver) { c.receiver = r }

// Send implements transport.Conn.
func (c *session) Send(m *transport.Message) error {
	size := len(m.In(chunks))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || c.ended {
		return transport.ErrClosed
	}
	if len(c.queue) >= c.server.queueMessages || c.bytes+size > c.server.queueBytes {
		return &transport.QueueError{Messages: len(c.queue), MessageLimit: c.server.queueMessages,
			Bytes: c.bytes, ByteLimit: c.server.queueBytes}
	}
	c.queue = append(c.queue, m)
	c.bytes += size
	if c.reader != nil {
		c.reader.signal()
	}
	return nil
}

// Close implements transport.Conn.
func (c *session) Close(code int, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || c.ended {
		return
	}
	c.closing, c.code, c.reason = true, code, reason
	if c.reader != nil {
		c.reader.signal()
	}
	// A client that polls comes back for the rest at once, if at all.
	c.server.wheel.Schedule(&c.timer, min(c.server.gap, closeGap))
}

// LastReceived implements transport.Conn.
func (c *session) LastReceived() time.Time { return time.Unix(0, c.lastReceived.Load()) }

// Info implements transport.Conn.
func (c *session) Info() transport.Info { return c.info }

// due runs when the timer fires.
func (c *session) due() {
	c.mu.Lock()
	if c.reader != nil && !c.closing {
		c.beat = true
		c.reader.signal()
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	c.end(c.closeCode(), fmt.Errorf("no request has come for %v", c.server.gap))
}

// end ends the session, once.
func (c *session) end(code int, err error) {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	c.ended = true
	c.queue, c.bytes = nil, 0
	if c.reader != nil {
		c.reader.over = true
		c.reader.signal()
	}
	c.mu.Unlock()
	c.server.wheel.Cancel(&c.timer)
	c.receiving.Lock()
	c.closed = true
	c.receiver.Closed(code, err)
	c.receiving.Unlock()
	c.server.remove(c)
}

// receive hands messages to the receiver.
func (c *session) receive(messages []string) bool {
	c.receiving.Lock()
	defer c.receiving.Unlock()
	if c.closed {
		return false
	}
	c.lastReceived.Store(time.Now().UnixNano())
	c.mu.Lock()
	if c.reader == nil && !c.closing && !c.ended {
		c.server.wheel.Schedule(&c.timer, c.server.gap)
	}
	c.mu.Unlock()
	for _, m := range messages {
		c.mu.Lock()
		over := c.closing || c.ended
		c.mu.Unlock()
		if over {
			break
		}
		c.receiver.Receive([]byte(m))
	}
	return true
}

// attach makes r's the request that receives, and sends away one that did so far:
// its client has given it up.
func (c *session) attach() *reader {
	now := &reader{wake: make(chan struct{}, 1)}
	now.signal()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reader != nil {
		c.reader.over = true
		c.reader.signal()
	}
	c.reader = now
	if c.ended {
		now.over = true
	}
	c.lastReceived.Store(time.Now().UnixNano())
	if !c.closing && !c.ended {
		c.server.wheel.Schedule(&c.timer, c.server.heartbeat)
	}
	return now
}

// detach ends r's receiving; the client has the gap's time to come back.
func (c *session) detach(r *reader) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reader != r {
		return
	}
	c.reader = nil
	if !c.ended {
		c.server.wheel.Schedule(&c.timer, c.server.gap)
	}
}

// serve writes to one response until that is complete.
func (c *session) serve(w http.ResponseWriter, r *http.Request, mode Mode) {
	// Open may still be running for another request of the same session.
	c.receiving.Lock()
	reader := c.attach()
	c.receiving.Unlock()
	control := http.NewResponseController(w)
	// The server's own time-outs are for requests that end soon.
	_ = control.SetReadDeadline(time.Time{})
	defer func() { _ = control.SetWriteDeadline(time.Time{}) }()
	written := 0
	var buf []byte
	for {
		select {
		case <-reader.wake:
		case <-r.Context().Done():
			c.detach(reader)
			return
		}
		var last, over bool
		buf, last, over = c.take(reader, buf[:0], written)
		if len(buf) > 0 {
			_ = control.SetWriteDeadline(time.Now().Add(c.server.writeTimeout))
			_, err := w.Write(buf)
			if err == nil {
				err = control.Flush()
			}
			if err != nil {
				// What was taken may not have arrived: nothing can be made good.
				c.detach(reader)
				c.end(c.closeCode(), err)
				return
			}
			written += length(buf)
			if last {
				c.detach(reader)
				c.end(c.closeCode(), nil)
				return
			}
			if mode == Polling {
				c.detach(reader)
				return
			}
			if cap(buf) > keepSpare {
				buf = nil
			}
		}
		if over {
			return
		}
	}
}

// closeCode is what the session ends with: the code of Close, if that came.
func (c *session) closeCode() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		return transport.StatusAbnormal
	}
	return c.code
}

// take appends to buf what is to be written next to a response of which so much
// has been written. last says that the session ends with it, over that the
// response is no longer the one that receives.
func (c *session) take(r *reader, buf []byte, written int) (_ []byte, last, over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.over {
		return buf, false, true
	}
	if !c.opened {
		c.opened = true
		buf = append(buf, openChunk...)
	}
	n := 0
	for _, m := range c.queue {
		if written+length(buf) > restart {
			break
		}
		chunk := m.In(chunks)
		buf = append(buf, chunk...)
		c.bytes -= len(chunk)
		n++
	}
	if n == len(c.queue) {
		c.queue = nil
	} else {
		c.queue = c.queue[n:]
	}
	full := written+length(buf) > restart
	if c.closing && len(c.queue) == 0 && !c.closeSent && !full {
		c.closeSent = true
		return append(buf, closeChunk(c.code, c.reason)...), true, false
	}
	if c.beat {
		if len(buf) == 0 && !full {
			buf = append(buf, heartbeatChunk...)
		}
		c.beat = false
		c.server.wheel.Schedule(&c.timer, c.server.heartbeat)
	}
	return buf, false, false
}
