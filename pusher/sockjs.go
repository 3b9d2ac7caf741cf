package pusher

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-rt/carillon/internal/wheel"
	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/xhr"
)

// pendingTimeout is how long a SockJS client may take to say what it connects to.
const pendingTimeout = 10 * time.Second

// sockJSRoute is a path of pusher-js's sockjs transport: "{prefix}/info",
// "{prefix}/iframe.html" or "{prefix}/{number}/{session}/{action}". These are all:
// newer SockJS clients need no more than XHR, and the one that pusher-js loads has
// an iframe around everything; the rest of SockJS is for browsers of the past.
type sockJSRoute struct {
	session, action string // no session with info and iframe.html
}

func parseSockJSRoute(path string) (route sockJSRoute, ok bool) {
	rest, action, ok := cutLast(path)
	switch {
	case !ok:
		return sockJSRoute{}, false
	case action == "info", action == "iframe.html":
		return sockJSRoute{action: action}, true
	}
	rest, session, _ := cutLast(rest)
	_, number, ok := cutLast(rest)
	if !ok || !sessionNamed(number, session) {
		return sockJSRoute{}, false
	}
	switch action {
	case "xhr_streaming", "xhr", "xhr_send", "websocket":
		// No session of xhrRoute has a name with one slash.
		return sockJSRoute{session: number + "/" + session, action: action}, true
	}
	return sockJSRoute{}, false
}

func cutLast(path string) (rest, part string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

// serveSockJS answers a request of the sockjs transport.
func (h *Handler) serveSockJS(w http.ResponseWriter, r *http.Request, route sockJSRoute) {
	switch route.action {
	case "info":
		h.xhr.ServeSockJSInfo(w, r)
	case "iframe.html":
		h.xhr.ServeSockJSIframe(w, r)
	default:
		d := h.dialFrom(r)
		h.xhr.ServeSockJS(w, r, route.session, route.action, h.placed(d.IP, func(conn transport.Conn) transport.Receiver {
			// Who takes up room here may never say what for: the limits of new
			// connections are asked now, and again for the app when that is named.
			if err := h.broker.Admit(r.Context(), d.IP); err != nil {
				reject(conn, closing(err))
				return rejected{}
			}
			d.admitted = true
			if page := r.URL.Query().Get(xhr.IframeOrigin); page != "" {
				d.Origin, d.iframe = page, d.Origin
			}
			// What it calls comes with another request, maybe after the end of this one.
			c := &pendingDial{handler: h, ctx: context.WithoutCancel(r.Context()), conn: conn, dial: d}
			h.pendingDials.add(c)
			return c
		}))
	}
}

// pendingDial is a SockJS client that has yet to say what it connects to, with a first
// message {"path":"/app/{key}?protocol=…"}. Then next receives in its place.
type pendingDial struct {
	handler *Handler
	ctx     context.Context
	conn    transport.Conn
	dial    Dial
	next    atomic.Pointer[transport.Receiver]
	late    wheel.Timer
	place   *list.Element // among those who wait; guarded by pendingDials.mu
}

// Receive implements transport.Receiver.
func (c *pendingDial) Receive(data []byte) {
	if next := c.next.Load(); next != nil {
		(*next).Receive(data)
		return
	}
	if !c.handler.pendingDials.remove(c) {
		return // it took too long to name an app, and is being closed
	}
	c.handler.wheel.Cancel(&c.late)
	key, query, err := parseCall(data)
	if err != nil {
		reject(c.conn, err)
		return
	}
	c.dial.to(key, query)
	next := c.handler.open(c.ctx, c.dial)(c.conn)
	c.next.Store(&next)
}

// Gone implements transport.Watcher.
func (c *pendingDial) Gone() {
	if next := c.next.Load(); next != nil {
		transport.DeliverGone(*next)
	}
}

// Closed implements transport.Receiver.
func (c *pendingDial) Closed(code int, err error) {
	if next := c.next.Load(); next != nil {
		(*next).Closed(code, err)
		return
	}
	var panicked *transport.PanicError
	if errors.As(err, &panicked) {
		c.handler.log.Error("connecting panicked", "key", c.dial.Key, "panic", panicked.Value, "stack", string(panicked.Stack))
	}
	c.handler.pendingDials.remove(c)
	c.handler.wheel.Cancel(&c.late)
}

// parseCall takes key and query from a client's first message.
func parseCall(data []byte) (key string, query url.Values, _ *closeError) {
	var called string
	if err := parseObject(data, "message", field{name: "path", text: &called}); err != nil || called == "" {
		return "", nil, &closeError{4005, `path not found: the first message has to be {"path":"/app/{key}?protocol=7"}`}
	}
	path, rawQuery, _ := strings.Cut(called, "?")
	key, ok := socketRoute(path)
	if !ok {
		return "", nil, &closeError{4005, fmt.Sprintf("path %q not found: connect to /app/{key}", path)}
	}
	query, _ = url.ParseQuery(rawQuery) // as url.URL.Query does
	return key, query, nil
}

// pendingDials are the SockJS clients that have not said yet what they connect to.
// Whoever takes one off the list goes on to connect it, or closes it.
type pendingDials struct {
	late, gaveWay atomic.Int64 // how many were late, and had to go before that

	mu      sync.Mutex
	waiting list.List // of *pendingDial, the longest first; guarded by mu
	closed  bool      // guarded by mu
}

func (cs *pendingDials) add(c *pendingDial) {
	c.late.Init(func() {
		if cs.remove(c) {
			cs.late.Add(1)
			reject(c.conn, &closeError{4202, fmt.Sprintf("path did not come within %v", pendingTimeout)})
		}
	})
	cs.mu.Lock()
	closed := cs.closed
	if !closed {
		c.place = cs.waiting.PushBack(c)
		c.handler.wheel.Schedule(&c.late, pendingTimeout)
	}
	cs.mu.Unlock()
	if closed {
		reject(c.conn, shuttingDown)
	}
}

// remove reports whether c was waiting.
func (cs *pendingDials) remove(c *pendingDial) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.take(c)
}

// take is remove for a caller that holds mu.
func (cs *pendingDials) take(c *pendingDial) bool {
	if c.place == nil {
		return false
	}
	cs.waiting.Remove(c.place)
	c.place = nil
	return true
}

// giveWay cuts off the one that has waited longest, of those with this address, or of
// all where that is empty: the one that connects now is as likely to be worth the room.
// It reports whether there was one.
func (cs *pendingDials) giveWay(ip string) bool {
	cs.mu.Lock()
	for e := cs.waiting.Front(); e != nil; e = e.Next() {
		c := e.Value.(*pendingDial)
		if ip != "" && !sameAddress(c.dial.IP, ip) {
			continue
		}
		cs.take(c)
		cs.mu.Unlock()
		cs.gaveWay.Add(1)
		c.handler.wheel.Cancel(&c.late)
		c.conn.Close(4100, "over capacity: the path did not come, and others did")
		if conn, ok := c.conn.(interface{ Cut() }); ok {
			conn.Cut()
		}
		return true
	}
	cs.mu.Unlock()
	return false
}

// close sends away all who wait, and who comes from now on.
func (cs *pendingDials) close() {
	cs.mu.Lock()
	var left []*pendingDial
	for e := cs.waiting.Front(); e != nil; e = cs.waiting.Front() {
		c := e.Value.(*pendingDial)
		cs.take(c)
		left = append(left, c)
	}
	cs.closed = true
	cs.mu.Unlock()
	for _, c := range left {
		c.handler.wheel.Cancel(&c.late)
		reject(c.conn, shuttingDown)
	}
}
