package websocket

import (
	"fmt"
	"sync"
)

// flusher writes for the connections on its list, one after another, without
// ever waiting for one.
type flusher struct {
	server *Server
	sent   sent

	mu    sync.Mutex
	added sync.Cond
	// What follows is guarded by mu: the list, and whether run was started and
	// is to end.
	head, tail       *conn
	running, stopped bool
	done             chan struct{}

	// What follows belongs to run. attempt writes data and leaves n and err.
	buf     []byte
	attempt func(fd uintptr)
	data    []byte
	n       int
	err     error
}

func newFlusher(s *Server) *flusher {
	f := &flusher{server: s, done: make(chan struct{})}
	f.added.L = &f.mu
	f.attempt = func(fd uintptr) { f.n, f.err = writeFD(fd, f.data) }
	return f
}

// add puts c on the list. The caller is c's writer, and from now on the flusher is.
func (f *flusher) add(c *conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped { // all connections have ended
		return
	}
	if f.tail == nil {
		f.head = c
		f.added.Signal()
	} else {
		f.tail.flushNext = c
	}
	f.tail = c
	if !f.running {
		f.running = true
		go f.run()
	}
}

// stop ends the flusher and waits for that.
func (f *flusher) stop() {
	f.mu.Lock()
	f.stopped = true
	running := f.running
	f.added.Signal()
	f.mu.Unlock()
	if running {
		<-f.done
	}
}

func (f *flusher) run() {
	defer close(f.done)
	f.buf = make([]byte, 0, flushBytes)
	for {
		f.mu.Lock()
		for f.head == nil && !f.stopped {
			f.added.Wait()
		}
		c := f.head
		f.head, f.tail = nil, nil
		stopped := f.stopped
		f.mu.Unlock()
		if stopped {
			return
		}
		for c != nil {
			next := c.flushNext
			c.flushNext = nil
			f.flush(c)
			c = next
		}
	}
}

// flush writes what c has, as far as its socket takes it.
func (f *flusher) flush(c *conn) {
	if c.raw == nil {
		f.server.writers.Add(1)
		go c.drain()
		return
	}
	f.data = c.gather(f.buf, true)
	size := len(f.data)
	if size == 0 {
		return
	}
	f.n, f.err = 0, nil
	// Control, since Write gets ready to wait for room, which costs something.
	if err := c.raw.Control(f.attempt); err != nil {
		f.err = err
	}
	f.data = nil
	c.written(f.n, size, f.err, &f.sent)
}

// written ends a write of n out of size bytes. The caller is c's writer; whoever
// writes what is left, if anything is, becomes that.
func (c *conn) written(n, size int, err error, count *sent) {
	if err != nil && err != errWouldBlock {
		c.cut(fmt.Errorf("write: %w", err))
	}
	if !c.wrote(n, count, true) {
		return
	}
	if n < size {
		c.server.counters.blocked.Add(1)
		c.server.writers.Add(1)
		go c.drain()
		return
	}
	c.flusher.add(c)
}
