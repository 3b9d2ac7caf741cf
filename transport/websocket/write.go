package websocket

import (
	"errors"
	"fmt"
	"os"

	"github.com/carillon-rt/carillon/transport/internal/progress"
)

const (
	// flushBytes is the most that a flusher writes of one connection before it
	// is the next one's turn.
	flushBytes = 64 << 10
	// blockedBytes is the same for the writer of a blocked connection.
	blockedBytes = 32 << 10
)

// gather returns what the writer is to write next, at most cap(buf) bytes: one
// frame where it lies, or several copied into buf. It returns nothing when there
// is nothing; if release is set, the caller then is the writer no longer.
func (c *conn) gather(buf []byte, release bool) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone || c.size == 0 {
		if release {
			c.writing = false
		}
		return nil
	}
	b := batch{buf: buf[:0]}
	written := c.offset
	for frame := range c.queue.all {
		if !b.add(frame[written:]) {
			break
		}
		written = 0
	}
	return b.bytes()
}

// batch is what one write takes.
type batch struct {
	lone []byte // the first piece, until there is a second
	buf  []byte
}

// add says whether there is room left. Only what is longer than any batch is
// split.
func (b *batch) add(p []byte) bool {
	switch {
	case len(b.lone) == 0:
		b.lone = p[:min(len(p), cap(b.buf))]
		return len(p) < cap(b.buf)
	case len(b.buf) == 0 && len(b.lone)+len(p) <= cap(b.buf):
		b.buf = append(append(b.buf, b.lone...), p...)
		return true
	case len(b.buf) > 0 && len(b.buf)+len(p) <= cap(b.buf):
		b.buf = append(b.buf, p...)
		return true
	}
	return false
}

func (b *batch) bytes() []byte {
	if len(b.buf) > 0 {
		return b.buf
	}
	return b.lone
}

// wrote takes n bytes of what gather returned out of the queues, and says
// whether there is more. If not, and release is set, the caller is the writer no
// longer.
func (c *conn) wrote(n int, count *sent, release bool) (more bool) {
	more, written := c.takeOut(n, count, release)
	for _, w := range written {
		w.Written()
	}
	return more
}

func (c *conn) takeOut(n int, count *sent, release bool) (more bool, written []watch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	messages := 0
	if !c.gone {
		messages = c.advance(n)
	}
	count.bytes.Add(int64(n))
	count.messages.Add(int64(messages))
	count.writes.Add(1)
	more = c.size > 0 && !c.gone
	if !more && release {
		c.writing = false
	}
	return more, c.watchesDone()
}

// advance returns how many messages were completed.
func (c *conn) advance(n int) (messages int) {
	c.size -= n
	if c.counted {
		c.counted = c.account.Set(c.size)
	}
	for n > 0 {
		frame := c.queue.front()
		left := len(frame) - c.offset
		if n < left {
			c.offset += n
			return messages
		}
		n -= left
		c.offset = 0
		c.queue.pop(&c.server.chunks)
		c.watches.leave()
		switch {
		case isMessage(frame):
			messages++
		case frame[0] == finPong:
			c.ponging = c.pong != nil
			if c.ponging {
				c.push(c.pong)
				c.pong = nil
			}
		}
	}
	if c.closing && c.size == 0 {
		c.wakeReader()
	}
	return messages
}

// drain is the writer of a connection whose socket is full, or cannot be
// written to without waiting, until all is written.
func (c *conn) drain() {
	defer c.server.writers.Done()
	write := c.writePortable
	if c.raw != nil {
		write = c.writeReady()
	}
	o := &c.server.options
	watch := progress.Begin(o.writeTimeout, func() int { return o.unsent(c.nc) }, c.nc.SetWriteDeadline)
	defer watch.Stop()
	for {
		n, more, err := write()
		if n > 0 {
			watch.Took()
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if n > 0 {
				continue
			}
			c.server.counters.writeTimeouts.Add(1)
			err = ErrWriteTimeout
		}
		if err != nil {
			c.cut(fmt.Errorf("write: %w", err))
		}
		if !more && c.rested() || err != nil {
			return
		}
	}
}

// rested reports whether there is nothing more to write. If so, the caller is the
// writer no longer.
func (c *conn) rested() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size > 0 && !c.gone {
		return false
	}
	c.writing = false
	return true
}

// writePortable writes a batch by the connection's own means.
func (c *conn) writePortable() (n int, more bool, err error) {
	buf := c.server.batches.Get().(*[]byte)
	defer c.server.batches.Put(buf)
	data := c.gather(*buf, false)
	if len(data) == 0 {
		return 0, false, nil
	}
	n, err = c.nc.Write(data)
	return n, c.wrote(n, &c.server.counters.out, false), err
}

// writeReady returns a function that writes a batch once the socket has room.
// While it waits for that, it holds no memory.
func (c *conn) writeReady() func() (n int, more bool, err error) {
	var n int
	var more bool
	var failed error
	attempt := func(fd uintptr) bool {
		buf := c.server.batches.Get().(*[]byte)
		defer c.server.batches.Put(buf)
		data := c.gather(*buf, false)
		if len(data) == 0 {
			more = false
			return true
		}
		n, failed = writeFD(fd, data)
		if failed == errWouldBlock {
			failed = nil
			return false
		}
		more = c.wrote(n, &c.server.counters.out, false)
		return true
	}
	return func() (int, bool, error) {
		n, more, failed = 0, false, nil
		if err := c.raw.Write(attempt); err != nil {
			return 0, false, err
		}
		return n, more, failed
	}
}
