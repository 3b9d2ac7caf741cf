package websocket

import (
	"time"

	"github.com/carillon-rt/carillon/transport"
)

// Senders write for a flusher that has nothing to do: loneBurst messages at once,
// and one in loneEvery in the long run. Who sends more leaves the writing to
// flushers: they put what comes in meanwhile into one write, and run beside the
// sender.
const (
	loneBurst = 8
	loneEvery = 50 * time.Microsecond
)

var started = time.Now()

// spare says whether a sender may do the flusher's work this once.
func (f *flusher) spare() bool {
	if f.working.Load() {
		return false
	}
	now := int64(time.Since(started))
	used := f.used.Load()
	from := max(used, now-int64(loneBurst*loneEvery))
	return from < now && f.used.CompareAndSwap(used, from+int64(loneEvery))
}

// SendLone implements transport.LoneSender.
func (c *conn) SendLone(m *transport.Message) (later bool, err error) {
	if c.raw == nil || !c.flusher.spare() {
		return false, c.Send(m)
	}
	frame := m.In(c.format)
	c.mu.Lock()
	if err := c.room(frame); err != nil {
		c.mu.Unlock()
		return false, err
	}
	c.push(frame)
	later = !c.writing
	c.writing = true
	c.mu.Unlock()
	return later, nil
}

// Flush implements transport.LoneSender. The caller is c's writer.
func (c *conn) Flush() {
	buf := c.server.batches.Get().(*[]byte)
	defer c.server.batches.Put(buf)
	data := c.gather(*buf, true)
	if len(data) == 0 {
		return
	}
	n, err := c.writeNow(data)
	c.written(n, len(data), err, &c.server.counters.out)
}

// writeNow writes what the socket takes without waiting.
func (c *conn) writeNow(data []byte) (n int, err error) {
	failed := c.raw.Control(func(fd uintptr) { n, err = writeFD(fd, data) })
	if failed != nil {
		err = failed
	}
	return n, err
}
