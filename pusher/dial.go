package pusher

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strconv"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/internal/wheel"
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

	iframe   string // origin of the SockJS iframe through which the page connects
	admitted bool   // the limits of new connections let it pass before its app was known
}

// Open returns what a transport of your own calls with each new connection. The
// connections count against WithMaxPerAddress like those of Handler.ServeHTTP. ctx is
// given to the broker's hooks. Open is safe for concurrent use.
func (h *Handler) Open(ctx context.Context, d Dial) transport.Open {
	return h.placed(d.IP, h.open(ctx, d))
}

// open is Open for a connection that has its place.
func (h *Handler) open(ctx context.Context, d Dial) transport.Open {
	return func(conn transport.Conn) transport.Receiver {
		c, err := h.connect(ctx, conn, d)
		if err != nil {
			h.log.Debug("connection refused", "key", clip(d.Key), "ip", d.IP, "origin", clip(d.Origin), "host", d.Host, "close_code", err.code, "error", clip(err.message))
			reject(conn, err)
			return rejected{}
		}
		return c
	}
}

// connect checks what the client dialled and makes a session of it.
func (h *Handler) connect(ctx context.Context, conn transport.Conn, d Dial) (*connection, *closeError) {
	rechecks := h.rechecks.Load()
	app, refusal := h.dialled(ctx, &d)
	if refusal != nil {
		h.observeRefused(ctx, app, d.IP, conn, refusal)
		return nil, refusal
	}
	if d.Protocol == "5" {
		conn = announcing{conn}
	}
	limits := h.limits(app)
	session, err := h.broker.Connect(ctx, broker.ConnectOptions{
		ConnectRequest: broker.ConnectRequest{App: app.ID, IP: d.IP, Origin: d.Origin, Client: d.Client,
			Version: d.Version, Transport: conn.Info().Transport, Secure: d.Secure, Header: textproto.MIMEHeader(d.Header)},
		Conn: conn, Protocol: protocol7, Welcome: h.welcome, MaxConnections: app.MaxConnections, MaxMembers: limits.PresenceMembers,
		MaxUserInfoBytes: limits.UserInfoBytes, Limits: limits.session(), SubscriptionCounts: app.SubscriptionCounts,
		Admitted: d.admitted,
	})
	if err != nil {
		return nil, closing(err)
	}
	c := &connection{handler: h, app: app, limits: limits, conn: conn, session: session}
	c.idle.Init(c.checkIdle)
	h.wheel.Schedule(&c.idle, h.options.activityTimeout)
	if app.AuthorizationTimeout > 0 {
		c.unauthorized.Store(true)
		c.deadline = new(wheel.Timer)
		c.deadline.Init(c.checkAuthorized)
		h.wheel.Schedule(c.deadline, app.AuthorizationTimeout)
	}
	h.recheckNew(ctx, session, rechecks)
	return c, nil
}

// dialled checks all that the broker does not. The app comes with a refusal, if it is known.
func (h *Handler) dialled(ctx context.Context, d *Dial) (*App, *closeError) {
	app, err := h.appByKey(ctx, d.Key)
	switch {
	case errors.Is(err, ErrUnknownApp):
		return nil, &closeError{4001, fmt.Sprintf("app key %q does not exist", d.Key)}
	case err != nil:
		h.log.Error("looking up an app failed", "key", d.Key, "error", err)
		return nil, &closeError{4100, "app lookup failed, try again later"}
	}
	if err := checkVersion(d.Protocol); err != nil {
		return app, err
	}
	if app.Disabled {
		return app, &closeError{4003, "app is disabled"}
	}
	if app.RequireTLS && !d.Secure {
		return app, &closeError{4000, "app accepts encrypted connections only: use wss"}
	}
	if err := d.checkOrigins(app); err != nil {
		return app, &closeError{4009, err.Error()}
	}
	return app, nil
}

// observeRefused tells the broker's observers of a client that was refused before the broker
// has heard of it.
func (h *Handler) observeRefused(ctx context.Context, app *App, ip string, conn transport.Conn, refusal *closeError) {
	id := ""
	if app != nil {
		id = app.ID
	}
	if !h.broker.Observes(id, broker.ObserveSessionRefused) {
		return
	}
	err := broker.Refuse(http.StatusForbidden, clip(refusal.message))
	if refusal.code == 4100 {
		err = errors.New(refusal.message)
	}
	h.broker.Observe(ctx, id, broker.SessionRefused{App: id, IP: ip, Transport: conn.Info().Transport, Err: err})
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
