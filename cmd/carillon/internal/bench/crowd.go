package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/client"
	"github.com/carillon-rt/carillon/internal/arrivals"
)

const (
	// connectors is how many clients connect at a time.
	connectors = 64
	// readBuffer is each client's, in bytes.
	readBuffer = 4096
	// pongOpcode is that of RFC 6455, section 5.5.3.
	pongOpcode = 10
)

// crowd is the clients that listen.
type crowd struct {
	app      *client.App
	channels []string
	clients  []*connection
	late     arrivals.Histogram
	received atomic.Int64
	// ended counts connections that the server ended.
	ended   atomic.Int64
	closing atomic.Bool
	readers sync.WaitGroup
	// pinged is when the clients last said that they are there.
	pinged time.Time
}

// grow connects clients until there are so many, spread evenly over the channels.
func (c *crowd) grow(ctx context.Context, size int) error {
	from := len(c.clients)
	if size <= from {
		return nil
	}
	if c.pinged.IsZero() {
		c.pinged = time.Now()
	}
	fresh := make([]*connection, size-from)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var group sync.WaitGroup
	for range connectors {
		group.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(fresh) {
					return
				}
				conn, err := connect(ctx, c.app, c.channels[(from+i)%len(c.channels)])
				if err != nil {
					cancel(fmt.Errorf("client %d: %w", from+i+1, err)) // the first counts
					return
				}
				fresh[i] = conn
			}
		})
	}
	group.Wait()
	for _, conn := range fresh {
		if conn != nil {
			c.clients = append(c.clients, conn)
			c.readers.Go(func() { c.read(conn) })
		}
	}
	return context.Cause(ctx)
}

// on is how many clients a channel has.
func (c *crowd) on(channel int) int {
	n := len(c.clients) / len(c.channels)
	if channel < len(c.clients)%len(c.channels) {
		n++
	}
	return n
}

// read counts what comes in until the connection ends.
func (c *crowd) read(conn *connection) {
	counter := arrivals.Counter{Late: &c.late, Ping: func(payload []byte) { _ = conn.say(masked(payload, pongOpcode)) }}
	buf := make([]byte, readBuffer)
	n, err := copy(buf, conn.early), error(nil)
	conn.early = conn.early[n:]
	for {
		events, wrong := counter.Feed(buf[:n])
		if events > 0 {
			c.received.Add(int64(events))
		}
		if err != nil || wrong != nil {
			break
		}
		if len(conn.early) > 0 {
			n = copy(buf, conn.early)
			conn.early = conn.early[n:]
			continue
		}
		n, err = conn.Read(buf)
	}
	if !c.closing.Load() {
		c.ended.Add(1)
	}
	_ = conn.Close()
}

// keep lets the server know that its clients are there, when that is due.
func (c *crowd) keep() {
	if len(c.clients) == 0 || time.Since(c.pinged) < c.clients[0].activity/3 {
		return
	}
	c.pinged = time.Now()
	ping := masked([]byte(`{"event":"pusher:ping","data":{}}`), 1)
	for _, conn := range c.clients {
		_ = conn.say(ping) // its reader notices
	}
}

// settle waits until so many events have come in, or none has for the time of quiet.
func (c *crowd) settle(ctx context.Context, events int64, quiet, limit time.Duration) {
	seen, last, end := c.received.Load(), time.Now(), time.Now().Add(limit)
	for seen < events && ctx.Err() == nil {
		time.Sleep(5 * time.Millisecond)
		now := time.Now()
		if n := c.received.Load(); n != seen {
			seen, last = n, now
		}
		if now.Sub(last) > quiet || now.After(end) {
			return
		}
	}
}

// close ends all connections and waits for the readers.
func (c *crowd) close() {
	c.closing.Store(true)
	for _, conn := range c.clients {
		_ = conn.Close()
	}
	c.readers.Wait()
}
