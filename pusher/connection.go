package pusher

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/internal/wheel"
	"github.com/carillon-rt/carillon/transport"
)

// connection is one client that speaks the protocol.
type connection struct {
	handler *Handler
	app     *App
	limits  *Limits // the app's when it connected, with the defaults
	conn    transport.Conn
	session *broker.Session

	intake intake

	idle wheel.Timer
	// pinged is when the client was last asked for a sign of life, in
	// nanoseconds; 0 if it has given one since.
	pinged atomic.Int64

	// unauthorized is set while the connection may be closed for having
	// authorized nothing.
	unauthorized atomic.Bool
	deadline     *wheel.Timer
}

// Closed implements transport.Receiver.
func (c *connection) Closed(code int, err error) {
	var panicked *transport.PanicError
	if errors.As(err, &panicked) {
		c.handler.log.Error("handling a message panicked", "app", c.app.ID, "socket_id", c.session.ID(),
			"panic", panicked.Value, "stack", string(panicked.Stack))
	}
	c.handler.wheel.Cancel(&c.idle)
	if c.deadline != nil {
		c.handler.wheel.Cancel(c.deadline)
	}
	c.session.End(code)
}

// Gone implements transport.Watcher.
func (c *connection) Gone() { c.session.Gone() }

// latest is the app as it was last looked up: a connection outlives secrets, and that client
// events are allowed. Where the ID has another key by now, it is the app of the beginning.
func (c *connection) latest() *App {
	if now := c.handler.webhooks.apps.latest(c.app.ID); now != nil && now.Key == c.app.Key {
		return now
	}
	return c.app
}

// checkIdle runs when the client may have been silent for too long.
func (c *connection) checkIdle() {
	timeout := c.handler.options.activityTimeout
	last := c.conn.LastReceived()
	if pinged := c.pinged.Load(); pinged != 0 {
		if last.UnixNano() < pinged {
			c.conn.Close(4201, "pong reply not received in time")
			c.session.Gone()
			return
		}
		c.pinged.Store(0)
	}
	if silent := time.Since(last); silent < timeout {
		c.handler.wheel.Schedule(&c.idle, timeout-silent)
		return
	}
	c.pinged.Store(time.Now().UnixNano())
	// A ping of the protocol and one of WebSocket: some clients do not know pusher:ping,
	// and others do not show that they got WebSocket's.
	if p, ok := c.conn.(transport.Pinger); ok {
		p.Ping()
	}
	c.session.Send(pingMessage)
	c.handler.wheel.Schedule(&c.idle, PongTimeout)
}

// checkAuthorized runs when the time to authorize anything is over.
func (c *connection) checkAuthorized() {
	if c.unauthorized.Load() {
		c.fail(4009, fmt.Sprintf("connection not authorized within %v", c.app.AuthorizationTimeout))
	}
}

// fail sends an error and closes the connection with it.
func (c *connection) fail(code int, message string) {
	reject(c.conn, &closeError{code, message})
}
