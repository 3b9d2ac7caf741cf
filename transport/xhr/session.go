package xhr

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-rt/carillon/internal/wheel"
	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/internal/stream"
)

// closeGap is how long a client may take to come back for the end of a session.
const closeGap = 2 * time.Second

// session is one connection. At any time at most one request receives for it.
type session struct {
	server *Server
	id     string
	info   transport.Info

	lastReceived atomic.Int64
	// handing is how many requests have something for the receiver.
	handing atomic.Int32
	// timer fires when a heartbeat is due, or when the gap has been too long.
	timer wheel.Timer

	// receiving is held while open or the receiver runs. Who has held it calls
	// settle afterwards.
	receiving sync.Mutex
	receiver  transport.Receiver // guarded by receiving
	closed    bool               // guarded by receiving: the receiver has been told
	sends     sends              // guarded by receiving

	mu      sync.Mutex
	outbox  stream.Outbox      // guarded by mu
	opened  bool               // guarded by mu: the open chunk has been written
	beat    bool               // guarded by mu: a heartbeat is due
	closing bool               // guarded by mu: Close was called
	code    int                // guarded by mu
	reason  string             // guarded by mu
	closeBy time.Time          // guarded by mu: when the client is to have come back for all of it
	ended   bool               // guarded by mu
	endCode int                // guarded by mu: what the receiver is to be told, unless Close was called
	told    bool               // guarded by mu: the receiver has returned from that
	removed bool               // guarded by mu: the server no longer has it
	watcher transport.Receiver // guarded by mu: the receiver, once open has returned it
	endErr  error              // guarded by mu
	cause   error              // guarded by mu: the error for which this package called Close
	reader  *reader            // guarded by mu: the request that receives
	answer  answer             // guarded by mu: what that, or the one before, was sent
	failed  error              // guarded by mu: why that may not have arrived
	unsure  int                // guarded by mu: how many messages may not have
}

func newSession(s *Server, id string, mode Mode, r *http.Request) *session {
	c := &session{server: s, id: id, info: transport.Info{Transport: mode.String(), RemoteAddr: r.RemoteAddr, Secure: r.TLS != nil}}
	c.lastReceived.Store(time.Now().UnixNano())
	c.timer.Init(c.due)
	c.outbox.Open(s.Queue(), s.budget, c)
	return c
}

// open asks for the receiver. The caller has locked c.receiving.
func (c *session) open(open transport.Open) {
	defer func() {
		if c.receiver == nil { // open has panicked
			c.end(transport.StatusAbnormal, nil)
		}
		c.receiving.Unlock()
		c.settle()
	}()
	c.receiver = open(c)
	c.mu.Lock()
	c.watcher = c.receiver
	c.mu.Unlock()
}

// Send implements transport.Conn.
func (c *session) Send(m *transport.Message) error {
	m.In(chunks) // not while mu is held
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || c.ended {
		return transport.ErrClosed
	}
	first, err := c.outbox.Add(m)
	if first {
		c.server.counters.slow.Add(1)
	}
	if err != nil {
		return err
	}
	if c.reader != nil {
		c.reader.signal()
	}
	return nil
}

// Queue implements transport.Conn.
func (c *session) Queue() transport.Queue {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.outbox.Queue()
}

// Held implements transport.Holder.
func (c *session) Held(yield func([]byte) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outbox.Held(yield)
}

// Release implements transport.Holder. The receiver may take its time.
func (c *session) Release(err error) { go c.end(transport.StatusAbnormal, err) }

// Close implements transport.Conn.
func (c *session) Close(code int, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || c.ended {
		return
	}
	c.closing, c.code, c.reason = true, code, reason
	c.closeBy = time.Now().Add(c.server.writeTimeout)
	if c.reader != nil {
		c.reader.signal()
	}
	c.await()
	// It hears no more, whenever the client comes for the end. It may take its time.
	go c.settle()
}

// Cut ends the session at once, unless its client is there to hear of a Close.
func (c *session) Cut() {
	c.mu.Lock()
	heard := c.closing && c.reader != nil
	c.mu.Unlock()
	if !heard {
		c.end(transport.StatusAbnormal, errCut)
	}
}

var errCut = errors.New("session was cut off")

// await gives the client time to come back: for the end of a session it does so
// at once, if at all. The caller holds mu.
func (c *session) await() {
	gap := c.server.gap
	if c.closing {
		gap = min(gap, closeGap, time.Until(c.closeBy))
	}
	c.server.wheel.Schedule(&c.timer, gap)
}

// LastReceived implements transport.Conn.
func (c *session) LastReceived() time.Time {
	if c.handing.Load() > 0 { // a client may wait for each before it sends another
		return time.Now()
	}
	return time.Unix(0, c.lastReceived.Load())
}

// Info implements transport.Conn.
func (c *session) Info() transport.Info { return c.info }

// due runs when the timer fires, on the wheel's goroutine.
func (c *session) due() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended:
	case c.reader != nil && c.reader.writing:
		// Writing has a time-out of its own.
		c.server.wheel.Schedule(&c.timer, closeGap)
	case c.reader != nil && !c.closing:
		c.beat = true
		c.reader.signal()
	default:
		if !c.closing && c.failed == nil {
			c.server.counters.expired.Add(1)
		}
		// The receiver may take its time.
		go c.end(transport.StatusAbnormal, fmt.Errorf("no request has come for %v", c.server.gap))
	}
}

// end ends the session, once. The receiver is told code, or the one of Close if
// that came.
func (c *session) end(code int, err error) {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	if c.closing {
		code = c.code
	}
	if c.failed != nil {
		err = c.failed
		c.server.counters.writeErrors.Add(1)
		c.server.counters.dropped.Add(int64(c.unsure))
	}
	if c.cause != nil {
		err = c.cause
	}
	c.answer.forget()
	c.ended, c.endCode, c.endErr = true, code, err
	c.server.counters.dropped.Add(int64(c.outbox.Clear()))
	dropped := c.outbox.Taken()
	if r := c.reader; r != nil {
		c.reader = nil
		r.over = true
		r.signal()
		if r.writing {
			_ = r.control.SetWriteDeadline(time.Now())
		}
	}
	watcher := c.watcher
	if c.closing {
		watcher = nil // it was told already
	}
	c.mu.Unlock()
	stream.TellDropped(dropped)
	transport.DeliverGone(watcher)
	c.server.wheel.Cancel(&c.timer)
	c.settle()
}

// settle calls Closed of the receiver once the session is closing or has ended. If the
// receiver is being called, whoever does that settles afterwards. A session that has
// ended is removed from the server then.
func (c *session) settle() {
	c.mu.Lock()
	code, err := c.endCode, c.endErr
	if !c.ended {
		code, err = c.code, c.cause
	}
	over := c.closing || c.ended
	c.mu.Unlock()
	if !over || !c.receiving.TryLock() {
		return
	}
	first := !c.closed
	c.closed = true
	c.receiving.Unlock()
	if first && c.receiver != nil {
		_ = transport.DeliverClosed(c.receiver, code, err)
	}
	c.mu.Lock()
	c.told = c.told || first
	leaves := c.told && c.ended && !c.removed
	c.removed = c.removed || leaves
	c.mu.Unlock()
	if leaves {
		c.server.remove(c)
	}
}

// receive hands messages to the receiver, unless a request with this mark has
// brought them before. A receiver that takes its time makes the requests wait, of
// which there are no more than a client has under way.
func (c *session) receive(messages []string, m mark) error {
	if !c.heard() {
		return errSessionEnded
	}
	waiting := c.handing.Add(1)
	defer func() {
		c.lastReceived.Store(time.Now().UnixNano())
		c.handing.Add(-1)
	}()
	if waiting > rememberSends {
		c.server.counters.crowded.Add(1)
		return errCrowded
	}
	c.receiving.Lock()
	defer c.settle()
	defer c.receiving.Unlock()
	if !c.heard() {
		return errSessionEnded
	}
	if c.closed { // the client has yet to hear of it
		return nil
	}
	if c.sends.seen(m) {
		c.server.counters.repeated.Add(1)
		return nil
	}
	for i, m := range messages {
		if i > 0 {
			runtime.Gosched() // who sends much at once gets its turns between those of others
		}
		c.mu.Lock()
		over := c.closing || c.ended
		c.mu.Unlock()
		if over {
			break
		}
		if err := transport.Deliver(c.receiver, []byte(m)); err != nil {
			c.fail(transport.StatusInternal, "internal error", err)
			break
		}
	}
	return nil
}

// Errors of receive.
var (
	errSessionEnded = errors.New("session has ended")
	errCrowded      = fmt.Errorf("session has more than %d requests under way", rememberSends)
)

// heard notes a sign of life. It reports whether the session goes on.
func (c *session) heard() bool {
	c.lastReceived.Store(time.Now().UnixNano())
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reader == nil && !c.closing && !c.ended {
		c.await()
	}
	return !c.ended
}

// fail closes the session because of what the client sent, or what became of it.
func (c *session) fail(code int, reason string, err error) {
	c.mu.Lock()
	if c.cause == nil {
		c.cause = err
	}
	c.mu.Unlock()
	c.Close(code, reason)
}
