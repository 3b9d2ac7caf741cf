package main

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-rt/carillon/internal/arrivals"
)

const (
	// readBuffer is each client's, in bytes.
	readBuffer = 4096
	// connectors is how many clients connect at a time.
	connectors = 64
)

// load is the clients of one server process.
type load struct {
	clients []*client
	readers sync.WaitGroup
	// received counts the events that have come in, ended the connections that
	// the server has ended.
	received atomic.Int64
	ended    atomic.Int64
	closing  atomic.Bool
	// late holds how late each event was; nil where nobody asks.
	late *arrivals.Histogram
}

// loadOptions say what clients to connect.
type loadOptions struct {
	conns int
	// channels is over how many channels they are spread.
	channels int
	// stalled is how many of them never read.
	stalled int
	// latency makes the clients read the time of each publish.
	latency bool
	// members subscribes to channels with members, ten to a channel.
	members bool
}

// membersPerChannel is how many clients share a channel with members.
const membersPerChannel = 10

// connect connects the clients and returns when all subscriptions are in place.
func connect(d *dialer, o loadOptions) (*load, error) {
	l := &load{clients: make([]*client, o.conns)}
	if o.latency {
		l.late = new(arrivals.Histogram)
	}
	var next atomic.Int64
	failures := make([]error, connectors)
	var group sync.WaitGroup
	for w := range connectors {
		group.Go(func() {
			for failures[w] == nil {
				i := int(next.Add(1)) - 1
				if i >= o.conns {
					return
				}
				channel, user := channelName(i%o.channels), ""
				if o.members {
					channel, user = presencePrefix+channelName(i/membersPerChannel), fmt.Sprint("user-", i)
				}
				l.clients[i], failures[w] = d.dial(channel, user, i < o.stalled)
			}
		})
	}
	group.Wait()
	if err := errors.Join(failures...); err != nil {
		l.close()
		return nil, err
	}
	for _, c := range l.clients[o.stalled:] {
		l.readers.Go(func() { l.read(c) })
	}
	return l, nil
}

// read counts what comes in until the connection ends.
func (l *load) read(c *client) {
	events := arrivals.Counter{Late: l.late}
	early, _ := c.br.Peek(c.br.Buffered())
	c.br = nil
	err := l.count(&events, early)
	buf := make([]byte, readBuffer)
	for err == nil {
		var n int
		n, err = c.Read(buf)
		if e := l.count(&events, buf[:n]); e != nil {
			err = e
		}
	}
	if !l.closing.Load() {
		l.ended.Add(1)
	}
}

func (l *load) count(events *arrivals.Counter, p []byte) error {
	n, err := events.Feed(p)
	if n > 0 {
		l.received.Add(int64(n))
	}
	return err
}

// wait returns once so many events have come in, or none has for the time of
// quiet, or limit is over.
func (l *load) wait(events int64, quiet, limit time.Duration) {
	last, seen, end := time.Now(), l.received.Load(), time.Now().Add(limit)
	for seen < events {
		time.Sleep(time.Millisecond)
		now := time.Now()
		if n := l.received.Load(); n != seen {
			last, seen = now, n
		}
		if now.Sub(last) > quiet || now.After(end) {
			return
		}
	}
}

// close ends all connections and waits for the readers.
func (l *load) close() {
	l.closing.Store(true)
	for _, c := range l.clients {
		if c != nil {
			_ = c.Conn.Close()
		}
	}
	l.readers.Wait()
}
