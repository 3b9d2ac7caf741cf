package websocket

import "github.com/carillon-rt/carillon/transport"

// watches are those of frames in a queue. Nearly no connection has any, at any time.
type watches struct {
	popped int // how many frames have left the queue since there are watches
	all    []watch
}

type watch struct {
	last int // how many have left once the frame has
	transport.Watch
}

// watch notes that the frame which is queued next is watched. The caller holds mu.
func (c *conn) watch(w transport.Watch) {
	if c.watches == nil {
		c.watches = new(watches)
	}
	c.watches.all = append(c.watches.all, watch{c.watches.popped + int(c.queue.count) + 1, w})
}

// leave notes that a frame has left the queue.
func (w *watches) leave() {
	if w != nil {
		w.popped++
	}
}

// watchesDone takes out the watches of frames that have left the queue. The caller holds mu, and
// tells them without it.
func (c *conn) watchesDone() []watch {
	w := c.watches
	if w == nil {
		return nil
	}
	n := 0
	for n < len(w.all) && w.all[n].last <= w.popped {
		n++
	}
	done := w.all[:n:n]
	if w.all = w.all[n:]; len(w.all) == 0 {
		c.watches = nil
	}
	return done
}
