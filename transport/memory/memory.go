// Package memory connects clients and protocols within one process, without
// sockets: for tests, and for clients that live in the same program.
//
// It starts no goroutine: what a client sends has been received when Send
// returns, so that programs of one goroutine are deterministic, inside
// testing/synctest as well. It does not carry connections between processes.
//
//	c, err := memory.Connect(handler.Open(ctx, dial))
//	message, err := c.Receive(ctx)
package memory

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/internal/option"
)

// Name is what Info.Transport says of these connections.
const Name = "memory"

// Client is the client's end of a connection. It is safe for concurrent use.
type Client struct {
	conn conn
}

// Option changes how a client connects. One that is not valid makes Connect fail.
type Option func(*conn) error

// WithQueueLimits bounds what may wait for the client to receive it: so many
// messages, and so many bytes. 0 stands for the default,
// transport.DefaultQueueMessages or transport.DefaultQueueBytes.
func WithQueueLimits(messages, bytes int) Option {
	return func(c *conn) error { return option.QueueLimits(&c.maxMessages, &c.maxBytes, messages, bytes) }
}

// WithInfo sets what the connection says of itself; an empty Transport becomes
// Name.
func WithInfo(info transport.Info) Option {
	return func(c *conn) error { c.info = info; return nil }
}

// WithSignsOfLife makes the client one that is never silent for the server: for
// clients without a goroutine that could answer when they are asked.
func WithSignsOfLife() Option {
	return func(c *conn) error { c.alive = true; return nil }
}

// conn is the server's end. Both ends share it.
type conn struct {
	info                  transport.Info
	maxMessages, maxBytes int
	alive                 bool
	receiver              transport.Receiver

	mu sync.Mutex
	// What follows is guarded by mu.
	queue    []*transport.Message
	bytes    int
	waiting  chan struct{} // closed when something has changed; nil if nobody waits
	received time.Time
	inbox    [][]byte // what the client has sent and nobody has received yet
	busy     bool     // somebody is handing the inbox over
	err      error    // what Closed is to be told
	closed   bool
	code     int
	reason   string
	byServer bool // Close came before the client went
	opened   bool // Open has returned: the receiver may be called
}

// Connect asks open for the receiver of a new connection, and returns the
// client's end of it. An option that is not valid is a *transport.OptionError, and
// open is not called.
func Connect(open transport.Open, opts ...Option) (*Client, error) {
	client := &Client{conn: conn{
		maxMessages: transport.DefaultQueueMessages, maxBytes: transport.DefaultQueueBytes, received: time.Now(),
	}}
	c := &client.conn
	for _, opt := range opts {
		if err := opt(c); err != nil {
			return nil, fmt.Errorf("memory: %w", err)
		}
	}
	if c.info.Transport == "" {
		c.info.Transport = Name
	}
	c.receiver = open(c)
	c.mu.Lock()
	c.opened = true
	c.mu.Unlock()
	c.deliver()
	return client, nil
}

// Send implements transport.Conn.
func (c *conn) Send(m *transport.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return transport.ErrClosed
	}
	q := c.room()
	if !q.Add(m) {
		return q.Error()
	}
	c.queue = append(c.queue, m)
	c.bytes = q.Bytes
	c.wake()
	return nil
}

// Queue implements transport.Conn.
func (c *conn) Queue() transport.Queue {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.room()
}

// room describes the queue. The caller holds mu.
func (c *conn) room() transport.Queue {
	return transport.Queue{Messages: len(c.queue), MessageLimit: c.maxMessages, Bytes: c.bytes, ByteLimit: c.maxBytes}
}

// wake tells those who wait that something has changed. The caller holds mu.
func (c *conn) wake() {
	if c.waiting != nil {
		close(c.waiting)
		c.waiting = nil
	}
}

// Close implements transport.Conn. What is queued stays readable for the client.
func (c *conn) Close(code int, reason string) { c.end(code, reason, true) }

func (c *conn) end(code int, reason string, byServer bool) {
	c.mu.Lock()
	var unread []*transport.Message
	if !byServer { // who has gone reads no more
		unread, c.queue, c.bytes = c.queue, nil, 0
	}
	ended := c.closed
	if !ended {
		c.closed, c.code, c.reason, c.byServer = true, code, reason, byServer
		c.wake()
	}
	gone := c.opened && !byServer
	c.mu.Unlock()
	for _, m := range unread {
		if w := m.Watch(); w != nil {
			w.Dropped()
		}
	}
	if ended {
		return
	}
	if gone {
		transport.DeliverGone(c.receiver)
	}
	c.deliver()
}

// LastReceived implements transport.Conn.
func (c *conn) LastReceived() time.Time {
	if c.alive {
		return time.Now()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy && !c.closed {
		return time.Now()
	}
	return c.received
}

// Info implements transport.Conn.
func (c *conn) Info() transport.Info { return c.info }

// deliver hands over what the client has sent, and then the end. Whoever finds
// another at it leaves it to that one: a receiver may close its own connection.
func (c *conn) deliver() {
	c.mu.Lock()
	if c.busy || !c.opened {
		c.mu.Unlock()
		return
	}
	c.busy = true
	for {
		if len(c.inbox) == 0 || c.byServer {
			c.inbox = nil
			break
		}
		data := c.inbox[0]
		c.inbox = c.inbox[1:]
		c.mu.Unlock()
		err := transport.Deliver(c.receiver, data)
		c.mu.Lock()
		c.received = time.Now()
		if err != nil && !c.closed {
			c.closed, c.code, c.reason, c.byServer, c.err = true, transport.StatusInternal, "internal error", true, err
			c.wake()
		}
	}
	if !c.closed {
		c.busy = false
		c.mu.Unlock()
		return
	}
	// busy stays set: nothing is handed over after the end.
	code, err := c.code, c.err
	c.mu.Unlock()
	_ = transport.DeliverClosed(c.receiver, code, err)
}

// Send sends a message to the server. Unless another goroutine sends at the
// same time, it has been received when Send returns. data is not kept. The
// error is transport.ErrClosed after the end.
func (client *Client) Send(data []byte) error {
	c := &client.conn
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return transport.ErrClosed
	}
	c.received = time.Now()
	c.inbox = append(c.inbox, append([]byte(nil), data...))
	c.mu.Unlock()
	c.deliver()
	return nil
}

// Receive returns the next message and waits for it until ctx is done. After the
// last message of a connection that has ended it returns transport.ErrClosed.
// The message is shared and must not be changed.
func (client *Client) Receive(ctx context.Context) ([]byte, error) {
	c := &client.conn
	for {
		c.mu.Lock()
		if m := c.pop(); m != nil {
			c.mu.Unlock()
			return read(m), nil
		}
		if c.closed {
			c.mu.Unlock()
			return nil, transport.ErrClosed
		}
		if c.waiting == nil {
			c.waiting = make(chan struct{})
		}
		changed := c.waiting
		c.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// TryReceive returns the next message if there is one already.
func (client *Client) TryReceive() ([]byte, bool) {
	client.conn.mu.Lock()
	m := client.conn.pop()
	client.conn.mu.Unlock()
	if m == nil {
		return nil, false
	}
	return read(m), true
}

// read returns the payload of a message that the client has taken.
func read(m *transport.Message) []byte {
	if w := m.Watch(); w != nil {
		w.Written()
	}
	return m.Payload()
}

// pop takes the first message, if there is one. The caller holds mu.
func (c *conn) pop() *transport.Message {
	if len(c.queue) == 0 {
		return nil
	}
	m := c.queue[0]
	c.queue[0] = nil
	if c.queue = c.queue[1:]; len(c.queue) == 0 {
		c.queue = nil
	}
	c.bytes -= len(m.Payload())
	return m
}

// Close ends the connection from the client's side. Code
// transport.StatusAbnormal is a client that went without a word.
func (client *Client) Close(code int, reason string) { client.conn.end(code, reason, false) }

// CloseStatus returns the code and reason the connection has ended with, and
// zeros while it has not.
func (client *Client) CloseStatus() (code int, reason string) {
	client.conn.mu.Lock()
	defer client.conn.mu.Unlock()
	return client.conn.code, client.conn.reason
}
