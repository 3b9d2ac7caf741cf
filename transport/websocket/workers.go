package websocket

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// workers handle what connections have read. Handling a message makes a stack
// grow, which costs time, and which an idle connection has no use for: so it is
// done by goroutines whose stacks have grown before, while a connection that
// waits for its peer has one with a stack of the smallest size.
type workers struct {
	free    chan *conn // to workers that wait for one
	waiting atomic.Int64
	most    int64 // how many may wait
	group   sync.WaitGroup
}

func newWorkers() *workers {
	return &workers{free: make(chan *conn), most: int64(4 * runtime.GOMAXPROCS(0))}
}

// handle gives c to a worker, and never waits for one.
func (w *workers) handle(c *conn) {
	select {
	case w.free <- c:
	default:
		w.group.Add(1)
		go w.run(c)
	}
}

func (w *workers) run(c *conn) {
	defer w.group.Done()
	for c != nil {
		c.handle()
		if w.waiting.Add(1) <= w.most {
			c = <-w.free
		} else {
			c = nil
		}
		w.waiting.Add(-1)
	}
}

// stop ends the workers. All connections have ended.
func (w *workers) stop() {
	close(w.free)
	w.group.Wait()
}
