package pusher

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/internal/wheel"
	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/sse"
	"github.com/carillon-rt/carillon/transport/websocket"
	"github.com/carillon-rt/carillon/transport/xhr"
)

// Handler is an http.Handler for everything of the protocol that goes over HTTP:
// WebSocket connections at {prefix}/app/{key}, what clients fall back to below
// that path, SockJS clients at {prefix}/info and {prefix}/{server}/{session}/…,
// feeds over Server-Sent Events at {prefix}/sse/app/{key}?channels=…, and the HTTP
// API at {prefix}/apps/{id}/…, under whatever prefix it is mounted. It is safe for
// concurrent use. Shutdown ends it together with its broker and the servers that
// serve it.
//
// It needs an http.ResponseWriter that can be hijacked and flushed, directly or
// by Unwrap: behind middleware that hides this, http.TimeoutHandler for one,
// clients get a 501, and an error is logged.
type Handler struct {
	broker       *broker.Broker
	apps         Apps
	log          *slog.Logger
	sockets      *websocket.Server
	xhr          *xhr.Server
	pendingDials pendingDials
	addresses    addresses
	feeds        *sse.Server
	bodies       bodies
	sizes        *sizes
	// limited and unread are what Stats counts.
	limited, unread atomic.Int64
	rechecks        atomic.Uint64 // calls of Recheck
	wheel           *wheel.Wheel
	webhooks        *webhooks
	options         options
}

// DefaultActivityTimeout is how long a connection may be silent before either side
// pings, where WithActivityTimeout does not say. It is less than the 60 s after which
// proxies close silent connections. PongTimeout is how long the answer may take.
const (
	DefaultActivityTimeout = 45 * time.Second
	PongTimeout            = 30 * time.Second
)

type options struct {
	activityTimeout time.Duration
	trustedProxies  []netip.Prefix
	trustUnix       bool
	maxPerAddress   int
	httpClient      *http.Client
	webSocket       []websocket.Option
	xhr             []xhr.Option
	feeds           []sse.Option
}

// Option changes a handler. One that is not valid makes NewHandler fail.
type Option func(*options) error

// WithActivityTimeout sets how long a connection may be silent before either side
// pings; the default is DefaultActivityTimeout. It is at least 1 s, and is rounded down
// to whole seconds, in which clients are told.
func WithActivityTimeout(d time.Duration) Option {
	return func(o *options) error {
		if d < time.Second {
			return &broker.FieldError{Field: "activity timeout", Value: d.String(), Problem: "is less than a second"}
		}
		o.activityTimeout = d.Truncate(time.Second)
		return nil
	}
}

// WithTrustedProxies names the reverse proxies that are believed when they say
// where a client is, which host it asked for and whether its connection is
// encrypted: in X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Port and
// X-Forwarded-Proto, or, where none of these came, in Forwarded (RFC 7239).
// Without it these headers are ignored. An address may come with a port, and https
// may be called wss. A proxy has to set, or take away, those that clients send.
func WithTrustedProxies(proxies ...netip.Prefix) Option {
	return func(o *options) error {
		for i, p := range proxies {
			if !p.IsValid() {
				return &broker.FieldError{Field: fmt.Sprintf("trusted proxies[%d]", i), Value: p.String(), Problem: "is no range of addresses"}
			}
			o.trustedProxies = append(o.trustedProxies, p)
		}
		return nil
	}
}

// WithTrustedUnixSocket believes, as WithTrustedProxies does, every proxy that
// connects over a Unix socket, where there is no address to name it by.
func WithTrustedUnixSocket() Option {
	return func(o *options) error {
		o.trustUnix = true
		return nil
	}
}

// WithHTTPClient sets the client that delivers webhooks; the default is
// http.DefaultClient. Its time-out and redirect policy are overridden: a receiver
// has 4 s, and no redirect is followed.
func WithHTTPClient(c *http.Client) Option {
	return func(o *options) error {
		if c == nil {
			return &broker.FieldError{Field: "HTTP client", Problem: "is nil"}
		}
		o.httpClient = c
		return nil
	}
}

// WithWebSocket passes options to the WebSocket transport, such as the limits of a
// connection's queue. An option that is not valid makes NewHandler fail.
func WithWebSocket(opts ...websocket.Option) Option {
	return func(o *options) error {
		o.webSocket = append(o.webSocket, opts...)
		return nil
	}
}

// WithXHR passes options to the transports that clients fall back to where WebSocket is
// blocked, such as their limit of sessions. An option that is not valid makes
// NewHandler fail.
func WithXHR(opts ...xhr.Option) Option {
	return func(o *options) error {
		o.xhr = append(o.xhr, opts...)
		return nil
	}
}

// WithFeeds passes options to the feeds over Server-Sent Events, such as the limit of
// their number. An option that is not valid makes NewHandler fail.
func WithFeeds(opts ...sse.Option) Option {
	return func(o *options) error {
		o.feeds = append(o.feeds, opts...)
		return nil
	}
}

// wheelTick is how exact the handler's time-outs are.
const wheelTick = 250 * time.Millisecond

// ErrSecondHandler refuses a second handler on a broker, which would deliver
// every webhook twice.
var ErrSecondHandler = errors.New("broker has a handler already")

// NewHandler returns a handler that connects the clients of the given apps with
// the broker. It gives the broker the apps' cipher for encrypted channels, and
// delivers their webhooks.
//
// A broker has one handler, which may be mounted in several places and served by
// several servers: a second is ErrSecondHandler. An argument that is not valid is
// a *broker.FieldError, and a broker that is shutting down broker.ErrShutdown.
func NewHandler(b *broker.Broker, apps Apps, opts ...Option) (*Handler, error) {
	o := options{activityTimeout: DefaultActivityTimeout, httpClient: http.DefaultClient, maxPerAddress: DefaultMaxPerAddress}
	var err error
	switch {
	case b == nil:
		err = &broker.FieldError{Field: "broker", Problem: "is nil"}
	case apps == nil:
		err = &broker.FieldError{Field: "apps", Problem: "is nil"}
	case b.Draining():
		err = broker.ErrShutdown
	}
	for _, opt := range opts {
		if err == nil {
			err = opt(&o)
		}
	}
	var h *Handler
	if err == nil {
		h = &Handler{broker: b, apps: contained(apps, b.StoreTimeout(), b.Logger()), log: b.Logger(), options: o}
		h.addresses.limit = o.maxPerAddress
		err = h.makeTransports()
	}
	if err == nil && b.UseCipher(&cipher{apps: h.apps}) != nil {
		err = ErrSecondHandler
	}
	if err != nil {
		return nil, fmt.Errorf("pusher: %w", err)
	}
	h.wheel = wheel.New(wheelTick, 512)
	h.sizes = newSizes(wire{protocol7, h.sockets.Queue()}, wire{protocol7, h.xhr.Queue()}, wire{feedProtocol, h.feeds.Queue()}, wire{namedFeedProtocol, h.feeds.Queue()})
	b.BoundEvents(h.sizes.free, h.sizes.check)
	h.webhooks = newWebhooks(h, o.httpClient)
	b.OnDrained(h.drain)
	b.OnShutdown(h.webhooks.shutdown)
	return h, nil
}

// makeTransports makes the servers of the connections. An option of theirs that is not
// valid is a *broker.FieldError.
func (h *Handler) makeTransports() error {
	budget, o := h.broker.QueueBudget(), &h.options
	makeRoom := xhr.WithMakeRoom(func() bool { return h.pendingDials.giveWay("") })
	var errs [3]error
	h.sockets, errs[0] = websocket.NewServer(append([]websocket.Option{websocket.WithBudget(budget)}, o.webSocket...)...)
	h.xhr, errs[1] = xhr.NewServer(append(append([]xhr.Option{xhr.WithBudget(budget)}, o.xhr...), makeRoom)...)
	h.feeds, errs[2] = sse.NewServer(append([]sse.Option{sse.WithBudget(budget)}, o.feeds...)...)
	for i, option := range [...]string{"WithWebSocket", "WithXHR", "WithFeeds"} {
		var invalid *transport.OptionError
		if errors.As(errs[i], &invalid) {
			return &broker.FieldError{Field: option + ": " + invalid.Option, Value: invalid.Value, Problem: invalid.Problem}
		}
		if errs[i] != nil {
			return errs[i]
		}
	}
	return nil
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := mergeSlashes(r.URL.EscapedPath())
	if key, ok := feedRoute(path); ok && !isUpgrade(r) {
		h.serveFeed(w, r, key)
		return
	}
	if key, ok := socketRoute(path); ok {
		h.serveSocket(w, r, key)
		return
	}
	if id, rest, ok := apiRoute(path); ok {
		h.serveAPI(w, r, id, rest)
		return
	}
	if route, ok := parseXHRRoute(path); ok {
		h.serveXHR(w, r, route)
		return
	}
	if route, ok := parseSockJSRoute(path); ok {
		h.serveSockJS(w, r, route)
		return
	}
	if isUpgrade(r) {
		h.rejectSocket(w, r, &closeError{code: 4005, message: fmt.Sprintf("path %q not found: connect to {prefix}/app/{key}", path)})
		return
	}
	refuseBody(w, r)
	http.NotFound(w, r)
}

// socketRoute takes the key from "{prefix}/app/{key}".
func socketRoute(path string) (key string, ok bool) {
	i := strings.LastIndex(path, "/app/")
	if i < 0 {
		return "", false
	}
	if key = path[i+len("/app/"):]; key == "" || strings.Contains(key, "/") {
		return "", false
	}
	return key, true
}

// apiRoute takes the app's ID, and what follows it, from
// "{prefix}/apps/{id}/{rest}", in the path as it was escaped.
func apiRoute(path string) (id, rest string, ok bool) {
	for from := 0; ; {
		i := strings.Index(path[from:], "/apps/")
		if i < 0 {
			return "", "", false
		}
		from += i + len("/apps/")
		id, rest, ok = strings.Cut(path[from:], "/")
		for _, route := range [...]string{"events", "batch_events", "channels", "connections", "users", "search"} {
			if tail, is := strings.CutPrefix(rest, route); ok && id != "" && is && (tail == "" || tail[0] == '/') {
				return id, "/" + rest, true
			}
		}
		from--
	}
}

// isUpgrade says whether WebSocket is among the protocols that the client offers
// to switch to, in whatever order (RFC 9110, section 7.8). HTTP/2 has no such offers.
func isUpgrade(r *http.Request) bool {
	if r.ProtoMajor != 1 {
		return false
	}
	for _, line := range r.Header["Upgrade"] {
		for protocol := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(protocol), "websocket") {
				return true
			}
		}
	}
	return false
}
