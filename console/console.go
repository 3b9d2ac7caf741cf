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
	apps     map[string]App
	redact   redaction
	readOnly bool
	log      *slog.Logger
	pages    pages
	routes   map[string]route
	started  time.Time
	scans    chan struct{} // one place for each that goes through everything

	attached atomic.Pointer[attached]
	closing  chan struct{}
	close    sync.Once
	running  sync.WaitGroup
}

// attached is what the console looks at.
type attached struct {
	broker  *broker.Broker
	handler Handler // nil if there is none
}

// Handler is what a protocol's handler tells the console, which pusher.Handler does.
type Handler interface{}

// ErrAttached refuses a second broker: a console shows one.
var ErrAttached = errors.New("console is attached to a broker already")

// New returns a console. It fails unless exactly one option says who may use it.
func New(opts ...Option) (*Console, error) {
	c := &Console{limits: DefaultLimits, apps: make(map[string]App), log: slog.Default(), closing: make(chan struct{}), started: time.Now()}
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
	if !c.attached.CompareAndSwap(nil, &attached{b, h}) {
		return ErrAttached
	}
	return nil
}

// Close ends the console's goroutines and the streams of those who look at it. The broker
// goes on, and may go on telling the console, which forgets it.
func (c *Console) Close() {
	c.close.Do(func() { close(c.closing) })
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
