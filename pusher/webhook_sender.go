package pusher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/internal/fairqueue"
)

const (
	// A request takes batchEvents at most, and where a webhook asks for batches
	// an event waits up to batchDelay for others.
	batchEvents = 20
	batchDelay  = 250 * time.Millisecond

	// receiverTimeout is how long a receiver has to answer. A request that fails
	// is sent again after firstRetry, and then after twice as long each time,
	// until retryTime after it was sent first.
	receiverTimeout = 4 * time.Second
	firstRetry      = time.Second
	retryTime       = 5 * time.Minute
	// maxRetriers bounds the requests to one receiver that are sent again at the
	// same time.
	maxRetriers = 4

	// What waits for one receiver is bounded in events and in bytes, for each kind
	// of event.
	maxEndpointEvents = 10_000
	maxEndpointBytes  = 8 << 20
)

var (
	errEnded  = errors.New("webhooks are shut down")
	errNoRoom = fmt.Errorf("more than %d events or %d bytes of one kind wait for the receiver", maxEndpointEvents, maxEndpointBytes)
)

// webhookSender delivers events to endpoints, each on its own. An endpoint, and
// its goroutines, exist only while it has events.
type webhookSender struct {
	broker  *broker.Broker
	client  *http.Client
	ownPool bool // the client's connections are nobody else's
	log     *slog.Logger

	// ctx ends when the time of shutdown is over, and every request with it.
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	delivered, retried, dropped atomic.Int64

	mu        sync.Mutex
	endpoints map[endpointID]*endpoint // guarded by mu
	pending   int64                    // guarded by mu: events of all endpoints
	closing   bool                     // guarded by mu: nothing waits for more events
	deadline  time.Time                // guarded by mu: of shutdown, zero if it has none
	ended     bool                     // guarded by mu: nothing is sent any more
	idle      chan struct{}            // guarded by mu: nil but while shutdown waits for pending to be 0
}

func newWebhookSender(b *broker.Broker, log *slog.Logger, client *http.Client) *webhookSender {
	s := &webhookSender{broker: b, log: log, endpoints: make(map[endpointID]*endpoint)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if client == nil {
		client = http.DefaultClient
	}
	c := *client
	c.Timeout = 0 // each request has its own
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if t, ok := http.DefaultTransport.(*http.Transport); ok && c.Transport == nil {
		// The program's pool is not ours to empty at shutdown.
		c.Transport, s.ownPool = t.Clone(), true
	}
	s.client = &c
	return s
}

func (s *webhookSender) stats() WebhookStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return WebhookStats{
		Delivered: s.delivered.Load(), Retried: s.retried.Load(), Dropped: s.dropped.Load(), Pending: s.pending,
	}
}

// queuedEvent is an event for one receiver.
type queuedEvent struct {
	encoded []byte
	channel string
	time    time.Time // when it happened
	queued  time.Time
}

// receiverQueue is what waits for one receiver.
type (
	receiverQueue = fairqueue.Queue[holdKey, queuedEvent]
	queuedItem    = fairqueue.Item[holdKey, queuedEvent]
)

// What receivers are told, in classes of which none takes another's room.
const (
	ofChannels = iota
	ofMembers
	ofCounts
	ofMisses
	ofClientEvents
	webhookClasses
)

// enqueue queues an event for the app's webhook of that index. It never blocks.
func (s *webhookSender) enqueue(app *App, index int, item queuedItem) {
	hook := &app.Webhooks[index]
	id := endpointID{app.ID, index, hook.URL}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.endpoints[id]
	if e == nil {
		e = newEndpoint(s, id)
	}
	e.app, e.hook = app, hook
	if s.ended {
		e.drop(1, errEnded)
		return
	}
	item.Value.queued = time.Now()
	dropped := e.queue.Push(item)
	s.endpoints[id] = e
	s.pending++
	e.events++
	if dropped > 0 {
		e.drop(dropped, errNoRoom)
		e.gone(dropped)
	}
	e.wake()
}

// shutdown sends everything now, and what fails again as long as ctx allows.
// Then it drops what is left and waits for every goroutine.
func (s *webhookSender) shutdown(ctx context.Context) {
	idle := make(chan struct{})
	s.mu.Lock()
	s.closing = true
	s.deadline, _ = ctx.Deadline()
	if s.pending == 0 {
		close(idle)
	} else {
		s.idle = idle
	}
	for _, e := range s.endpoints {
		e.wake()
		for d := range e.waiting {
			e.retryNow(d)
		}
	}
	s.mu.Unlock()

	select {
	case <-idle:
	case <-ctx.Done():
	}
	s.cancel()
	s.mu.Lock()
	s.ended = true
	for _, e := range s.endpoints {
		e.dropAll()
	}
	s.mu.Unlock()
	s.running.Wait()
	if s.ownPool {
		s.client.CloseIdleConnections()
	}
}

// background runs f on a goroutine that shutdown waits for, unless it is over.
func (s *webhookSender) background(f func(context.Context)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.running.Go(func() { f(s.ctx) })
	}
}

// post makes one request. Any answer but 2xx is an error.
func (s *webhookSender) post(ctx context.Context, d *delivery) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, receiverTimeout)
	defer cancel()
	req, err := d.request(ctx)
	if err != nil {
		return 0, withoutURL(err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, withoutURL(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		err = fmt.Errorf("receiver answered %d", resp.StatusCode)
	}
	// A body that was read lets the connection be used again; a failure to read
	// it does not undo the answer.
	_, _ = io.CopyN(io.Discard, resp.Body, 16<<10)
	return resp.StatusCode, err
}

// withoutURL keeps secrets in a receiver's URL out of the log.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
