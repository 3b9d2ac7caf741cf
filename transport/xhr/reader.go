package xhr

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/carillon-rt/carillon/transport"
)

// restart is how long a streaming response has to be for pusher-js to drop it
// and open another. What a client has not read by then it never reads, so
// nothing is written to a response beyond it.
const restart = 256 << 10

// keepSpare bounds the buffer that a response keeps between writes.
const keepSpare = 64 << 10

// reader is a request that receives.
type reader struct {
	control *http.ResponseController
	wake    chan struct{} // has room for one
	over    bool          // guarded by session.mu: another request has taken its place, or the session ended
	writing bool          // guarded by session.mu: its client is being written to
	taken   int           // how many messages that is
}

func (r *reader) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// attach makes a request the one that receives, and sends away one that did so
// far: its client has given it up. It returns nil if the session has ended.
func (c *session) attach(w http.ResponseWriter) *reader {
	now := &reader{control: http.NewResponseController(w), wake: make(chan struct{}, 1)}
	now.signal()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil
	}
	if c.reader != nil {
		c.reader.over = true
		c.reader.signal()
	}
	c.reader, c.beat = now, false
	c.lastReceived.Store(time.Now().UnixNano())
	if c.closing {
		c.await()
	} else {
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
		c.await()
	}
}

// serve writes to one response until that is complete.
func (c *session) serve(ctx context.Context, w http.ResponseWriter, r *reader, mode Mode) {
	defer c.detach(r)
	defer func() { _ = r.control.SetWriteDeadline(time.Time{}) }()
	written := 0
	var buf []byte
	for {
		select {
		case <-r.wake:
		case <-ctx.Done():
			return
		}
		var last, over bool
		buf = buf[:0]
		if mode == sockJSStreaming && written == 0 {
			buf = append(buf, prelude...)
		}
		buf, last, over = c.take(r, buf, written)
		if len(buf) > 0 {
			if err := c.write(w, r, buf, mode); err != nil {
				// What was taken may not have arrived: nothing can be made good.
				c.server.counters.writeErrors.Add(1)
				c.server.counters.dropped.Add(int64(r.taken))
				c.end(transport.StatusAbnormal, err)
				return
			}
			if last {
				c.end(transport.StatusAbnormal, nil)
			}
			if last || mode.polls() {
				return
			}
			written += length(buf)
			if mode == sockJSStreaming && written > restart {
				return // its client waits for the end, and then comes back
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

// write writes to r's client what take has put into buf.
func (c *session) write(w http.ResponseWriter, r *reader, buf []byte, mode Mode) error {
	if mode.polls() {
		// A response that is cut short is one that its client can tell.
		w.Header().Set("Content-Length", strconv.Itoa(len(buf)))
	}
	_, err := w.Write(buf)
	if err == nil {
		err = r.control.Flush()
	}
	if mode.polls() && errors.Is(err, http.ErrNotSupported) {
		err = nil // the end of the response flushes it
	}
	c.mu.Lock()
	r.writing = false
	c.mu.Unlock()
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// take appends to buf what is to be written next to a response of which so much
// has been written. last says that the session ends with it, over that the
// response is no longer the one that receives.
func (c *session) take(r *reader, buf []byte, written int) (_ []byte, last, over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.over {
		return buf[:0], false, true
	}
	if !c.opened {
		c.opened = true
		buf = append(buf, openChunk...)
		written += len(openChunk)
	}
	r.taken = 0
	for _, m := range c.queue {
		if written > restart {
			break
		}
		chunk := m.In(chunks)
		buf = append(buf, chunk...)
		written += length(chunk)
		c.bytes -= len(chunk)
		r.taken++
	}
	clear(c.queue[:r.taken])
	if c.queue = c.queue[r.taken:]; len(c.queue) == 0 {
		c.queue = nil
	}
	full := written > restart
	if c.closing && len(c.queue) == 0 && !full {
		last = true
		buf = append(buf, closeChunk(c.code, c.reason)...)
	} else if c.beat {
		c.beat = false
		c.server.wheel.Schedule(&c.timer, c.server.heartbeat)
		if len(buf) == 0 && !full {
			buf = append(buf, heartbeatChunk...)
		}
	}
	if r.writing = len(buf) > 0; r.writing {
		_ = r.control.SetWriteDeadline(time.Now().Add(c.server.writeTimeout))
	}
	return buf, last, false
}
