package websocket

import (
	"errors"
	"net"
	"os"
	"time"

	"github.com/carillon-rt/carillon/transport/internal/progress"
)

// errCloseTimeout says that a peer was cut off for not ending a closed connection
// in time.
var errCloseTimeout = errors.New("peer did not close in time")

// linger ends a connection that was closed, after its receiver was told: it sees
// that the close frame goes out, says that nothing will follow, and reads until the
// peer has said goodbye too or is gone. A socket that is closed on unread input
// resets the connection, which may take the close frame back.
func (c *conn) linger() {
	if c.flushed() && !c.saidGoodbye() {
		closeWrite(c.nc)
		if below := progress.Below(c.nc); below != c.nc {
			closeWrite(below)
		}
		_ = c.nc.SetReadDeadline(c.closeBy)
		c.readErr = nil
		var err error
		for err == nil && !c.saidGoodbye() {
			err = c.fill()
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.server.counters.closeTimeouts.Add(1)
		}
	}
	c.end()
	c.server.remove(c)
}

// saidGoodbye says that the peer's close frame has come in. Where the peer has broken the
// protocol, what looks like one may be anything.
func (c *conn) saidGoodbye() bool { return c.scan.goodbye && !c.garbled }

// flushed waits until all is written, which it reports, or the connection is cut.
func (c *conn) flushed() bool {
	c.mu.Lock()
	if c.gone || c.size == 0 {
		defer c.mu.Unlock()
		return !c.gone
	}
	sent := make(chan struct{})
	c.waiter = sent
	c.mu.Unlock()
	patience := time.NewTimer(time.Until(c.closeBy))
	defer patience.Stop()
	select {
	case <-sent:
	case <-patience.C:
		c.server.counters.closeTimeouts.Add(1)
		c.cut(errCloseTimeout)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.gone
}

// closeWrite tells the peer that nothing will follow, in TLS and in TCP: it need not
// wait for more to end the connection.
func closeWrite(nc net.Conn) {
	if half, ok := nc.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
