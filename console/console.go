// Package console shows what a broker is doing: live figures, channels, sessions, an event
// log, and why a user did or did not get an event. It is an http.Handler with one embedded
// page, for the program's own operators and not for its users.
//
//	c, err := console.New(console.WithToken(os.Getenv("CONSOLE_TOKEN")))
//	b, err := broker.New(broker.WithObserver(c))
//	h, err := pusher.NewHandler(b, apps)
//	err = c.Attach(b, h)
//	mux.Handle("/console/", http.StripPrefix("/console", c))
//	defer c.Close()
//
// A console is not made without saying who may use it: see [WithToken], [WithLoopbackOnly]
// and [WithAuthorization]. What it shows is bounded in memory, and what it leaves out is
// counted and shown: see [Limits].
package console

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-rt/carillon/broker"
)

// Console is the http.Handler. Make one with New, share it freely: all methods are safe for
// concurrent use.
type Console struct {
	auth     authorizer
	limits   Limits
	apps     atomic.Pointer[map[string]App] // of those that have a name
	redact   redaction
	readOnly bool
	log      *slog.Logger
	pages    pages
	routes   map[string]route
	started  time.Time
	scans    chan struct{} // one place for each that goes through everything

	journal  *eventLog
	traces   traces
	webhooks webhooks
	refusals refusals
	faults   faults
	slow     slowSessions
	series   series
	latency  histogram
	viewers  viewers

	// looking says that all that is published goes into the log. Otherwise only idle more do
	// in this second; quota is for all that goes there.
	looking      atomic.Bool
	idle, quota  atomic.Int64
	sampling     atomic.Uint64 // of which part of the events the way to the sockets is measured
	wants        sync.Mutex    // held while looking is set
	lookedAt     atomic.Int64  // when somebody has asked for the log, in nanoseconds
	recorded     atomic.Int64  // published events in the log
	overQuota    atomic.Int64  // entries that it had no quota for
	storeWell    atomic.Bool
	storeFailure atomic.Pointer[storeFailure]

	attached atomic.Pointer[attached]
	closed   sync.Mutex // held while a goroutine is started, or closing is closed
	closing  chan struct{}
	running  sync.WaitGroup
}

// attached is what the console looks at.
type attached struct {
	broker    *broker.Broker
	handler   Handler // nil if there is none
	published int64   // before the console came
}

// Handler is what a protocol's handler does for the console: pusher.Handler does it.
type Handler interface {
	// Traffic returns what was exchanged with clients.
	Traffic() broker.Traffic
	// ResendWebhook sends a body once more to a webhook of an app, which is named by the URL
	// of broker.WebhookSent, and returns the receiver's status.
	ResendWebhook(ctx context.Context, app, url string, body []byte) (status int, err error)
}

// ErrAttached refuses a second broker: a console shows one.
var ErrAttached = errors.New("console is attached to a broker already")

// New returns a console. It fails unless exactly one option says who may use it.
func New(opts ...Option) (*Console, error) {
	c := &Console{limits: DefaultLimits, log: slog.Default(), closing: make(chan struct{}), started: time.Now()}
	c.apps.Store(&map[string]App{})
	for _, opt := range opts {
		if err := opt(c); err != nil {
			return nil, err
		}
	}
	if c.auth == nil {
		return nil, ErrNoAuthorization
	}
	var err error
	if c.pages, err = readPages(embedded); err != nil {
		return nil, err
	}
	c.journal = newEventLog(c.limits)
	c.traces.most, c.traces.mostEvents, c.traces.mostSteps = c.limits.Armed, c.limits.TracedEvents, c.limits.TracedSteps
	c.webhooks.most, c.webhooks.mostBytes = c.limits.Webhooks, c.limits.WebhookBytes
	c.storeWell.Store(true)
	c.idle.Store(int64(c.limits.IdlePerSecond))
	c.quota.Store(int64(c.limits.PerSecond))
	c.scans = make(chan struct{}, c.limits.Scans)
	c.routes = c.table()
	return c, nil
}

// Attach tells the console which broker to show, and the handler that connects its
// clients; nil is none. Until then every call of its API is answered with 503.
func (c *Console) Attach(b *broker.Broker, h Handler) error {
	if b == nil {
		return &broker.FieldError{Field: "broker", Problem: "is missing"}
	}
	a := &attached{b, h, b.Stats().Published - c.recorded.Load()}
	c.closed.Lock()
	defer c.closed.Unlock()
	if !c.attached.CompareAndSwap(nil, a) {
		return ErrAttached
	}
	select {
	case <-c.closing:
	default:
		c.running.Go(func() { c.tick(a) })
	}
	return nil
}

// Close ends the console's goroutines and the streams of those who look at it. The broker
// goes on, and may go on telling the console.
func (c *Console) Close() {
	c.closed.Lock()
	select {
	case <-c.closing:
	default:
		close(c.closing)
	}
	c.closed.Unlock()
	c.running.Wait()
}

// ServeHTTP implements http.Handler.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	if name, ok := apiName(r.URL.Path); ok {
		c.serveAPI(w, r, name)
		return
	}
	c.pages.serve(w, r)
}
