package pusher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"
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

	// What waits for one receiver is bounded in events and in bytes.
	maxEndpointEvents = 10_000
	maxEndpointBytes  = 32 << 20
)

var errEnded = errors.New("webhooks are shut down")

// webhookSender delivers events to endpoints, each on its own. An endpoint, and
// its goroutines, exist only while it has events.
type webhookSender struct {
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

func newWebhookSender(log *slog.Logger, client *http.Client) *webhookSender {
	s := &webhookSender{log: log, endpoints: make(map[endpointID]*endpoint)}
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

type queuedEvent struct {
	encoded []byte
	time    time.Time // when it happened
	queued  time.Time
}

// enqueue queues an event for the app's webhook of that index. It never blocks.
func (s *webhookSender) enqueue(app *App, index int, ev queuedEvent) {
	hook := &app.Webhooks[index]
	id := endpointID{app.ID, index, hook.URL}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.endpoints[id]
	if e == nil {
		e = &endpoint{sender: s, id: id, waiting: make(map[*delivery]*time.Timer)}
	}
	e.app, e.hook = app, hook
	switch {
	case s.ended:
		e.drop(1, errEnded)
		return
	case e.events >= maxEndpointEvents:
		e.drop(1, fmt.Errorf("more than %d events wait for the receiver", maxEndpointEvents))
		return
	case e.bytes+len(ev.encoded) > maxEndpointBytes:
		e.drop(1, fmt.Errorf("more than %d bytes wait for the receiver", maxEndpointBytes))
		return
	}
	ev.queued = time.Now()
	s.endpoints[id] = e
	s.pending++
	e.events++
	e.bytes += len(ev.encoded)
	e.queue = append(e.queue, ev)
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

// post makes one request. Any answer but 2xx is an error.
func (s *webhookSender) post(d *delivery) error {
	ctx, cancel := context.WithTimeout(s.ctx, receiverTimeout)
	defer cancel()
	req, err := d.request(ctx)
	if err != nil {
		return withoutURL(err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		err = fmt.Errorf("receiver answered %d", resp.StatusCode)
	}
	// A body that was read lets the connection be used again; a failure to read
	// it does not undo the answer.
	_, _ = io.CopyN(io.Discard, resp.Body, 16<<10)
	return err
}

// withoutURL keeps secrets in a receiver's URL out of the log.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// endpointID names a webhook of an app.
type endpointID struct {
	app   string
	index int
	url   string
}

// endpoint is a receiver that has events to get. The sender's mu guards its fields.
type endpoint struct {
	sender *webhookSender
	id     endpointID
	app    *App // as of the last event
	hook   *Webhook

	events, bytes int // of all below, and of the requests under way
	queue         []queuedEvent
	sending       bool // a goroutine runs send
	batching      bool // a timer runs for the events in queue

	waiting  map[*delivery]*time.Timer // failed, until they are sent again
	due      []*delivery               // failed, to be sent again now
	retriers int                       // goroutines that run retry

	reported bool // a drop was logged
}

// wake sends what is queued, now or when the batch has waited long enough. The
// caller holds mu.
func (e *endpoint) wake() {
	if e.sending || len(e.queue) == 0 {
		return
	}
	wait := e.wait()
	if wait <= 0 {
		e.sending = true
		e.sender.running.Go(e.send)
		return
	}
	if !e.batching {
		e.batching = true
		time.AfterFunc(wait, func() {
			e.sender.mu.Lock()
			defer e.sender.mu.Unlock()
			e.batching = false
			e.wake()
		})
	}
}

// wait is how long the next request waits for more events. The caller holds mu.
func (e *endpoint) wait() time.Duration {
	if !e.hook.Batch || len(e.queue) >= batchEvents || e.sender.closing {
		return 0
	}
	return batchDelay - time.Since(e.queue[0].queued)
}

// send delivers what is queued, one request after another.
func (e *endpoint) send() {
	for d := e.next(); d != nil; d = e.next() {
		d.encode()
		e.try(d)
	}
}

// next takes the next request off the queue. It returns nil when none is ready,
// and send is over.
func (e *endpoint) next() *delivery {
	e.sender.mu.Lock()
	defer e.sender.mu.Unlock()
	if len(e.queue) == 0 || e.wait() > 0 {
		e.sending = false
		e.wake()
		return nil
	}
	n := 1
	if e.hook.Batch {
		n = min(len(e.queue), batchEvents)
	}
	d := &delivery{app: e.app, hook: e.hook, events: slices.Clone(e.queue[:n]), lastTry: time.Now().Add(retryTime)}
	for _, ev := range d.events {
		d.bytes += len(ev.encoded)
	}
	clear(e.queue[:n])
	e.queue = e.queue[n:]
	return d
}

// try makes a request, and sees to it that one which fails is made again.
func (e *endpoint) try(d *delivery) {
	s := e.sender
	err := s.post(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.delivered.Add(int64(len(d.events)))
		e.done(len(d.events), d.bytes)
		return
	}
	now := time.Now()
	wait := min(firstRetry<<d.retries, d.lastTry.Sub(now))
	tooLate := s.closing && !s.deadline.IsZero() && now.Add(wait).After(s.deadline)
	if s.ended || wait <= 0 || tooLate {
		e.giveUp(d, err)
		return
	}
	s.log.Debug("webhook failed", "app", e.id.app, "webhook", e.id.index, "again in", wait, "error", err)
	e.waiting[d] = time.AfterFunc(wait, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		e.retryNow(d)
	})
}

// retryNow ends the waiting of a request that failed. The caller holds mu.
func (e *endpoint) retryNow(d *delivery) {
	timer, ok := e.waiting[d]
	if !ok {
		return
	}
	timer.Stop()
	delete(e.waiting, d)
	e.due = append(e.due, d)
	if e.retriers < maxRetriers {
		e.retriers++
		e.sender.running.Go(e.retry)
	}
}

// retry makes the requests that are due again.
func (e *endpoint) retry() {
	for d := e.nextDue(); d != nil; d = e.nextDue() {
		d.retries++
		e.sender.retried.Add(int64(len(d.events)))
		e.try(d)
	}
}

func (e *endpoint) nextDue() *delivery {
	e.sender.mu.Lock()
	defer e.sender.mu.Unlock()
	for len(e.due) > 0 {
		d := e.due[0]
		e.due[0] = nil
		e.due = e.due[1:]
		if time.Since(d.lastTry) <= receiverTimeout {
			return d
		}
		e.giveUp(d, errors.New("too many requests to the receiver were to be sent again"))
	}
	e.retriers--
	return nil
}

// done takes events off the count of what is pending, and the endpoint away with
// the last one. The caller holds mu.
func (e *endpoint) done(events, bytes int) {
	s := e.sender
	e.events -= events
	e.bytes -= bytes
	s.pending -= int64(events)
	if e.events == 0 {
		delete(s.endpoints, e.id)
	}
	if s.pending == 0 && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
}

// giveUp drops the events of a request. The caller holds mu.
func (e *endpoint) giveUp(d *delivery, err error) {
	e.drop(len(d.events), err)
	e.done(len(d.events), d.bytes)
}

// dropAll drops what no request is under way for. The caller holds mu.
func (e *endpoint) dropAll() {
	for _, ev := range e.queue {
		e.drop(1, errEnded)
		e.done(1, len(ev.encoded))
	}
	e.queue = nil
	for d, timer := range e.waiting {
		timer.Stop()
		e.giveUp(d, errEnded)
	}
	clear(e.waiting)
	for _, d := range e.due {
		e.giveUp(d, errEnded)
	}
	e.due = nil
}

// drop counts events that are lost, and logs the first.
func (e *endpoint) drop(events int, err error) {
	e.sender.dropped.Add(int64(events))
	if !e.reported {
		e.reported = true
		e.sender.log.Error("webhook events dropped", "app", e.id.app, "webhook", e.id.index, "error", err)
	}
}
