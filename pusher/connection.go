package pusher

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/internal/wheel"
	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/transport"
)

// Dial is what a client says when it connects, whatever the transport.
type Dial struct {
	// Key is the app's key.
	Key string
	// Protocol is the version of the protocol, "5" to "7".
	Protocol string
	// Client and Version are what the client says of itself.
	Client, Version string
	// Origin is the page's origin, and Host the host it connected to; see
	// App.AllowedOrigins. Clients that are no browsers have no origin.
	Origin, Host string
	// IP is the client's address without a port.
	IP string
	// Secure says that the client's connection is encrypted.
	Secure bool
	// Header holds the headers of the client's request, for the Connect hook; nil
	// where there is none.
	Header http.Header

	frame    string // origin of the SockJS frame through which the page connects
	admitted bool   // the limits of new connections let it pass before its app was known
}

// Open returns what a transport of your own calls with each new connection. The
// connections of Handler.ServeHTTP take the same way, and have a place among those
// of their address: see WithMaxPerAddress. ctx is given to the broker's hooks.
func (h *Handler) Open(ctx context.Context, d Dial) transport.Open {
	return h.placed(d.IP, h.open(ctx, d))
}

// open is Open for a connection that has its place.
func (h *Handler) open(ctx context.Context, d Dial) transport.Open {
	return func(conn transport.Conn) transport.Receiver {
		c, err := h.connect(ctx, conn, d)
		if err != nil {
			h.log.Debug("connection refused", "key", clip(d.Key), "ip", d.IP, "origin", clip(d.Origin), "host", d.Host, "code", err.code, "error", clip(err.message))
			reject(conn, err)
			return rejected{}
		}
		return c
	}
}

// closeError ends a connection: it is sent as pusher:error and as the close code.
type closeError struct {
	code    int
	message string
}

func (e *closeError) Error() string { return fmt.Sprintf("%s (%d)", e.message, e.code) }

func reject(conn transport.Conn, e *closeError) {
	if _, announces := conn.(announcing); !announces {
		_ = conn.Send(errorMessage(e.code, e.message))
	}
	conn.Close(e.code, e.message)
}

// announcing is the connection of a client of version 5, which looks into a
// pusher:error for what later ones find in the code of a close.
type announcing struct{ transport.Conn }

// Close implements transport.Conn.
func (c announcing) Close(code int, reason string) {
	_ = c.Send(errorMessage(code, reason))
	c.Conn.Close(code, reason)
}

// rejected is the receiver of a connection that was told off and is about to end.
type rejected struct{}

func (rejected) Receive([]byte)    {}
func (rejected) Closed(int, error) {}

// connection is one client that speaks the protocol.
type connection struct {
	handler *Handler
	app     *App
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

// connect checks what the client dialled and makes a session of it.
func (h *Handler) connect(ctx context.Context, conn transport.Conn, d Dial) (*connection, *closeError) {
	app, err := h.appByKey(ctx, d.Key)
	switch {
	case errors.Is(err, ErrUnknownApp):
		return nil, &closeError{4001, fmt.Sprintf("app key %q does not exist", d.Key)}
	case err != nil:
		h.log.Error("app lookup failed", "key", d.Key, "error", err)
		return nil, &closeError{4100, "app lookup failed, try again later"}
	}
	if err := checkVersion(d.Protocol); err != nil {
		return nil, err
	}
	if d.Protocol == "5" {
		conn = announcing{conn}
	}
	if app.Disabled {
		return nil, &closeError{4003, "app is disabled"}
	}
	if app.RequireTLS && !d.Secure {
		return nil, &closeError{4000, "app accepts encrypted connections only: use wss"}
	}
	if err := d.checkOrigins(app); err != nil {
		return nil, &closeError{4009, err.Error()}
	}
	limits := app.Limits.withDefaults()
	session, err := h.broker.Connect(ctx, broker.ConnectOptions{
		ConnectRequest: broker.ConnectRequest{App: app.ID, IP: d.IP, Origin: d.Origin, Client: d.Client,
			Version: d.Version, Transport: conn.Info().Transport, Secure: d.Secure, Header: textproto.MIMEHeader(d.Header)},
		Conn: conn, Protocol: protocol7, Welcome: h.welcome, MaxConnections: app.MaxConnections, MaxMembers: limits.PresenceMembers,
		MaxUserInfoBytes: limits.UserInfoBytes, Limits: limits.session(), SubscriptionCounts: app.SubscriptionCounts,
		Admitted: d.admitted,
	})
	if err != nil {
		return nil, failure(err)
	}
	c := &connection{handler: h, app: app, conn: conn, session: session}
	c.idle.Init(c.checkIdle)
	h.wheel.Schedule(&c.idle, h.options.activityTimeout)
	if app.AuthorizationTimeout > 0 {
		c.unauthorized.Store(true)
		c.deadline = new(wheel.Timer)
		c.deadline.Init(c.checkAuthorized)
		h.wheel.Schedule(c.deadline, app.AuthorizationTimeout)
	}
	return c, nil
}

func (h *Handler) welcome(socketID string) *transport.Message {
	return connectionEstablished(socketID, h.options.activityTimeout)
}

func checkVersion(v string) *closeError {
	if v == "" {
		return &closeError{4008, "no protocol version given"}
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		return &closeError{4006, fmt.Sprintf("protocol version %q is not a number", v)}
	}
	if n < 5 || n > 7 {
		return &closeError{4007, fmt.Sprintf("protocol version %d is not supported: 5 to 7 are", n)}
	}
	return nil
}

// failure says with which code a connection ends that could not be made, or not
// be signed in. Only a decision keeps the client away for good (4009): what may
// pass lets it come back after a while (4100).
func failure(err error) *closeError {
	var refused *broker.RefusedError
	switch {
	case errors.Is(err, broker.ErrQuota):
		return &closeError{4004, err.Error()}
	case errors.Is(err, broker.ErrShutdown):
		return shuttingDown
	case errors.Is(err, ratelimit.ErrLimited):
		return &closeError{4100, "over capacity: " + refusalText(err)}
	case errors.As(err, &refused) && passes(refused):
		return &closeError{4100, refusalText(err)}
	case errors.Is(err, broker.ErrRefused), errors.Is(err, broker.ErrInvalid), errors.Is(err, broker.ErrSignedIn):
		return &closeError{4009, refusalText(err)}
	default:
		return &closeError{4100, refusalText(err)}
	}
}

// passes reports whether a refusal is worth another try.
func passes(r *broker.RefusedError) bool {
	return r.RetryAfter > 0 || r.Status == http.StatusTooManyRequests || r.Status >= http.StatusInternalServerError
}

// refusalText is what the client is told of a refusal. What is nobody's decision
// but a failure of the server is told to the log only.
func refusalText(err error) string {
	var refused *broker.RefusedError
	if errors.As(err, &refused) {
		return refused.Message
	}
	for _, known := range [...]error{broker.ErrInvalid, broker.ErrRefused, ratelimit.ErrLimited, broker.ErrQuota,
		broker.ErrNotSubscribed, broker.ErrSignedIn, broker.ErrChannelLimit, storage.ErrMemberLimit, storage.ErrGap} {
		if errors.Is(err, known) {
			return err.Error()
		}
	}
	return "internal error"
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

// Receive implements transport.Receiver.
func (c *connection) Receive(data []byte) {
	limits := c.app.Limits.withDefaults()
	f, err := parseFrame(data, limits)
	if limited := c.overRate(len(data), &limits); limited != nil {
		c.tooMany(&f, limited)
		return
	}
	if err != nil {
		c.refuse(0, err.Error())
		return
	}
	switch {
	case f.event == "pusher:ping":
		c.answer(pongMessage)
	case f.event == "pusher:pong":
	case f.event == "pusher:subscribe":
		c.subscribe(f, limits)
	case f.event == "pusher:unsubscribe":
		c.unsubscribe(f)
	case f.event == "pusher:signin":
		c.signIn(f, limits)
	case strings.HasPrefix(f.event, "client-"):
		c.clientEvent(f, limits)
	default:
		c.refuse(0, fmt.Sprintf("event %q is unknown: events of clients start with client-", f.event))
	}
}

func (c *connection) subscribe(f frame, limits Limits) {
	sub, err := f.subscribe()
	switch {
	case err == nil:
	case sub.channel == "":
		c.refuse(0, err.Error())
		return
	default: // a channel is pending on the page until it hears of it
		c.refuseSubscription(sub.channel, "InvalidRequest", err.Error(), 400)
		return
	}
	req := broker.SubscribeRequest{Channel: sub.channel}
	kind := broker.KindOf(sub.channel)
	if kind.NeedsAuthorization() {
		signed := verifyChannelAuth(c.app, c.session.ID(), sub.channel, sub.channelData, sub.auth)
		req.Authorized = signed == nil
		if kind.Base() == broker.Presence && sub.channelData != "" && req.Authorized {
			m, err := parseChannelData(sub.channelData, limits)
			if err != nil {
				c.refuseSubscription(sub.channel, "AuthError", err.Error(), 400)
				return
			}
			req.Member = &m
		}
		if err = c.session.Subscribe(c.session.Context(), req); errors.Is(err, broker.ErrUnauthorized) && signed != nil {
			err = fmt.Errorf("%w: %w", broker.ErrUnauthorized, signed)
		}
	} else {
		err = c.session.Subscribe(c.session.Context(), req)
	}
	switch {
	case err == nil:
		if kind.NeedsAuthorization() { // by a signature, or by a hook
			c.unauthorized.Store(false)
		}
	case errors.Is(err, broker.ErrSubscribed):
		c.refuse(0, "Existing subscription to channel "+sub.channel)
	case errors.Is(err, broker.ErrClosed):
	default:
		reason, status := subscribeStatus(err)
		c.refuseSubscription(sub.channel, reason, refusalText(err), status)
		if errors.Is(err, ErrSignature) { // which is all that clients other than pusher-js know of
			c.refuse(0, expectedSignature(c.session.ID(), sub))
		}
	}
}

// subscribeStatus sorts the reason why a subscription failed.
func subscribeStatus(err error) (kind string, status int) {
	var refused *broker.RefusedError
	switch {
	case errors.Is(err, storage.ErrMemberLimit), errors.Is(err, broker.ErrChannelLimit):
		return "LimitReached", 403
	case errors.Is(err, ratelimit.ErrLimited):
		return "LimitReached", 429
	case errors.Is(err, broker.ErrInvalid):
		return "InvalidRequest", 400
	case errors.As(err, &refused) && refused.Status != 0:
		return "AuthError", refused.Status
	case errors.Is(err, broker.ErrUnauthorized):
		return "AuthError", 401
	case errors.Is(err, broker.ErrRefused):
		return "AuthError", 403
	default:
		return "ServerError", 500
	}
}

func (c *connection) unsubscribe(f frame) {
	channel, err := f.unsubscribe()
	if err != nil {
		c.refuse(0, err.Error())
		return
	}
	c.session.Unsubscribe(c.session.Context(), channel)
}

func (c *connection) signIn(f frame, limits Limits) {
	in, err := f.signIn()
	if err != nil {
		c.fail(4009, err.Error())
		return
	}
	if err := verifyUserAuth(c.app, c.session.ID(), in.userData, in.auth); err != nil {
		c.fail(4009, "sign-in: "+err.Error())
		return
	}
	user, err := parseUserData(in.userData, limits)
	if err != nil {
		c.fail(4009, "sign-in: "+err.Error())
		return
	}
	var watched int
	user.Watchlist, watched = firstUsers(user.Watchlist, limits.Watchlist)
	err = c.session.SignIn(c.session.Context(), user, func() {
		c.session.Send(signinSuccess(in.userData))
		if watched > limits.Watchlist {
			c.refuse(4302, fmt.Sprintf("watchlist has %d users, the limit is %d: the first %[2]d are watched", watched, limits.Watchlist))
		}
	})
	switch {
	case err == nil:
		c.unauthorized.Store(false)
	case errors.Is(err, broker.ErrClosed):
	default:
		e := failure(err)
		c.fail(e.code, "sign-in: "+e.message)
	}
}

// firstUsers returns the first of the users, at most max, and how many there are.
// Who is named twice counts once.
func firstUsers(ids []string, max int) (first []string, all int) {
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		if !seen[id] && len(first) < max {
			first = append(first, id)
		}
		seen[id] = true
	}
	return first, len(seen)
}

func (c *connection) clientEvent(f frame, limits Limits) {
	if c.app.DisableClientEvents {
		c.refuse(0, "client events are not enabled for this app")
		return
	}
	ev, err := f.clientEvent(limits)
	if err != nil {
		c.refuse(0, err.Error())
		return
	}
	err = c.session.ClientEvent(c.session.Context(), broker.ClientEventRequest{
		Channel: ev.channel, Event: f.event, Data: ev.data, JSON: ev.json,
	})
	switch {
	case err == nil:
	case errors.Is(err, ratelimit.ErrLimited):
		c.refuse(4301, "client event rejected: "+err.Error())
	default:
		c.refuse(0, "client event rejected: "+refusalText(err))
	}
}
