package xhr

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/internal/progress"
	"github.com/carillon-rt/carillon/transport/internal/stream"
)

// restart is how long a streaming response has to be for pusher-js to drop it
// and open another. What a client has not read by then it never reads, so
// nothing is written to a response beyond it.
const restart = 256 << 10

// keepSpare bounds the buffer that a response keeps between writes.
const keepSpare = 64 << 10

// reader is a request that receives.
type reader struct {
	control  *http.ResponseController
	unsent   func() int // bytes that the system holds for the client
	mode     Mode
	wake     chan struct{} // has room for one
	over     bool          // guarded by session.mu: it is to end: another receives, or the session ended
	again    bool          // guarded by session.mu: it is sent the same as the request before
	repeated bool          // guarded by session.mu: a browser sent it again, and that one receives now
	writing  bool          // guarded by session.mu: its client is being written to
	taken    int           // how many messages are being written
}

func (r *reader) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// attach makes a request the one that receives, and sends away one that did so
// far: its client has given it up. It returns nil if the session has ended.
func (c *session) attach(w http.ResponseWriter, unsent func() int, m mark, mode Mode) *reader {
	now := &reader{control: http.NewResponseController(w), unsent: unsent, mode: mode, wake: make(chan struct{}, 1)}
	now.signal()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil
	}
	again := m.repeats(c.answer.mark)
	if again {
		c.server.counters.repeated.Add(1)
		if c.answer.forgotten {
			c.failed = errForgotten
		} else {
			c.failed, c.unsure = nil, 0
		}
	}
	if c.failed != nil {
		// What was sent before may not have arrived, and is not kept.
		go c.end(transport.StatusAbnormal, nil)
		return nil
	}
	if c.reader != nil {
		c.reader.over, c.reader.repeated = true, again
		c.reader.signal()
	}
	if now.again = again; !again {
		c.answer = answer{mark: m, forgotten: m.hash == 0}
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
func (c *session) serve(ctx context.Context, w http.ResponseWriter, r *reader) {
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
		if r.mode == sockJSStreaming && written == 0 {
			buf = append(buf, prelude...)
		}
		buf, last, over = c.take(r, buf, written)
		if len(buf) > 0 {
			err := c.write(w, r, buf)
			c.wrote(r, last, err)
			if err != nil || last || r.mode.polls() {
				return
			}
			written += length(buf)
			if r.mode == sockJSStreaming && written > restart {
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
func (c *session) write(w http.ResponseWriter, r *reader, buf []byte) error {
	if r.mode.polls() {
		// A response that is cut short is one that its client can tell.
		w.Header().Set("Content-Length", strconv.Itoa(len(buf)))
	}
	watch := progress.Begin(c.server.writeTimeout, r.unsent, r.control.SetWriteDeadline)
	defer watch.Stop()
	_, err := w.Write(buf)
	if err == nil {
		err = r.control.Flush()
	}
	if r.mode.polls() && errors.Is(err, http.ErrNotSupported) {
		err = nil // the end of the response flushes it
	}
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// wrote notes how the write of what take returned has ended; last is as take said.
func (c *session) wrote(r *reader, last bool, err error) {
	var written []transport.Watch
	c.mu.Lock()
	r.writing = false
	if err == nil && !r.repeated && !c.ended {
		written = c.outbox.Taken()
	}
	switch {
	case r.repeated:
		// The request that has taken its place is sent the same.
		last, err = false, nil
	case err == nil:
	case c.ended:
		c.server.counters.writeErrors.Add(1)
		c.server.counters.dropped.Add(int64(r.taken))
	default:
		c.failed, c.unsure = err, r.taken
		if c.reader == r && !c.answer.forgotten {
			// The same request may come again. It does so at once, if at all.
			c.reader, err = nil, nil
			c.server.wheel.Schedule(&c.timer, closeGap)
			last = false
		}
	}
	c.mu.Unlock()
	stream.TellWritten(written)
	if last || err != nil {
		c.end(transport.StatusAbnormal, err)
	}
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
	r.taken = 0
	if r.again {
		r.again = false
		buf = c.repeat(buf)
		if c.answer.last || r.mode.polls() && !c.answer.empty() {
			r.taken, r.writing = len(c.answer.messages), true
			_ = r.control.SetWriteDeadline(time.Time{}) // it is watched over
			return buf, c.answer.last, false
		}
		written += length(buf)
	}
	if !c.opened {
		c.opened, c.answer.open = true, true
		buf = append(buf, openChunk...)
		written += len(openChunk)
	}
	waiting := c.outbox.Messages()
	for _, m := range waiting {
		if written > restart {
			break
		}
		chunk := m.In(chunks)
		buf = append(buf, chunk...)
		written += length(chunk)
		r.taken++
	}
	c.answer.keep(waiting[:r.taken], r.mode, written)
	c.outbox.Drop(r.taken)
	full := written > restart
	if c.closing && c.outbox.Len() == 0 && !full {
		last, c.answer.last = true, true
		buf = append(buf, closeChunk(c.code, c.reason)...)
	} else if c.beat {
		c.beat = false
		if !r.mode.polls() {
			c.answer.forget()
		}
		c.server.wheel.Schedule(&c.timer, c.server.heartbeat)
		if len(buf) == 0 && !full {
			c.answer.beat = true
			buf = append(buf, heartbeatChunk...)
		}
	}
	if r.writing = len(buf) > 0; r.writing {
		_ = r.control.SetWriteDeadline(time.Time{}) // it is watched over
	}
	return buf, last, false
}
