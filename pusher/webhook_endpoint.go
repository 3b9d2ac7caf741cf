package pusher

import (
	"errors"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/internal/fairqueue"
)

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

	events   int // how many wait below or are in requests under way
	queue    *receiverQueue
	released []queuedItem // events that were held back; they are sent before queue
	sending  bool         // a goroutine runs send
	batching bool         // a timer runs for the events in queue

	waiting  map[*delivery]*time.Timer // failed, until they are sent again
	due      []*delivery               // failed, to be sent again now
	retriers int                       // goroutines that run retry
	// held are the channels of requests that have failed. Their later events wait,
	// so that the last that the receiver hears of a channel is true.
	held map[string]*heldChannel

	reported bool // a drop was logged
}

type heldChannel struct {
	failed int // requests
	events []queuedItem
}

func newEndpoint(s *webhookSender, id endpointID) *endpoint {
	return &endpoint{sender: s, id: id, waiting: make(map[*delivery]*time.Timer), held: make(map[string]*heldChannel),
		queue: fairqueue.New[holdKey, queuedEvent](webhookClasses, maxEndpointEvents, maxEndpointBytes)}
}

// ready is how many events may be sent, unless their channels are held. The caller
// holds mu.
func (e *endpoint) ready() int { return len(e.released) + e.queue.Ready() }

// wake sends what is queued, now or when the batch has waited long enough. The
// caller holds mu.
func (e *endpoint) wake() {
	if e.sending || e.ready() == 0 {
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
	if !e.hook.Batch || e.ready() >= batchEvents || len(e.released) > 0 || e.sender.closing {
		return 0
	}
	return batchDelay - time.Since(e.queue.First().Value.queued)
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
	for e.ready() > 0 && e.wait() <= 0 {
		d := &delivery{app: e.app, hook: e.hook, lastTry: time.Now().Add(retryTime)}
		most := 1
		if e.hook.Batch {
			most = batchEvents
		}
		for len(d.events) < most && e.ready() > 0 {
			if item := e.pop(); e.held[item.Value.channel] == nil {
				d.events = append(d.events, item)
			} else {
				h := e.held[item.Value.channel]
				h.events = append(h.events, item)
			}
		}
		if len(d.events) > 0 {
			return d
		}
	}
	e.sending = false
	e.wake()
	return nil
}

// pop takes the next event. The caller holds mu, and knows that there is one.
func (e *endpoint) pop() (item queuedItem) {
	if len(e.released) == 0 {
		item, _ = e.queue.Pop()
		return item
	}
	item, e.released[0] = e.released[0], item
	e.released = e.released[1:]
	return item
}

// try makes a request, and sees to it that one which fails is made again.
func (e *endpoint) try(d *delivery) {
	s := e.sender
	began, attempt := time.Now(), d.retries+1
	status, err := s.post(s.ctx, d)
	took := time.Since(began)
	final := e.tried(d, err)
	s.observe(d, broker.WebhookSent{Attempt: attempt, Status: status, Took: took, Err: err, Final: final})
}

// tried notes how a request has ended, and reports whether it was the last.
func (e *endpoint) tried(d *delivery, err error) (final bool) {
	s := e.sender
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.delivered.Add(int64(len(d.events)))
		e.done(d)
		return true
	}
	now := time.Now()
	wait := min(firstRetry<<d.retries, d.lastTry.Sub(now))
	tooLate := s.closing && !s.deadline.IsZero() && now.Add(wait).After(s.deadline)
	if s.ended || wait <= 0 || tooLate {
		e.giveUp(d, err)
		return true
	}
	s.log.Debug("webhook failed", "app", e.id.app, "webhook", e.id.index, "again_in", wait, "error", err)
	e.hold(d)
	e.waiting[d] = time.AfterFunc(wait, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		e.retryNow(d)
	})
	return false
}

// hold keeps later events of a request's channels back. The caller holds mu.
func (e *endpoint) hold(d *delivery) {
	if d.holds {
		return
	}
	d.holds = true
	for _, item := range d.events {
		h := e.held[item.Value.channel]
		if h == nil {
			h = new(heldChannel)
			e.held[item.Value.channel] = h
		}
		h.failed++
	}
}

// release lets events go that a request has kept back. The caller holds mu.
func (e *endpoint) release(d *delivery) {
	if !d.holds {
		return
	}
	for _, item := range d.events {
		h := e.held[item.Value.channel]
		if h.failed--; h.failed == 0 {
			delete(e.held, item.Value.channel)
			e.released = append(e.released, h.events...)
		}
	}
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

// done ends a request. The caller holds mu.
func (e *endpoint) done(d *delivery) {
	for _, item := range d.events {
		e.queue.Done(item)
	}
	e.release(d)
	e.gone(len(d.events))
	e.wake()
}

// gone takes events off the count of what is pending, and the endpoint away with
// the last one. The caller holds mu.
func (e *endpoint) gone(events int) {
	s := e.sender
	e.events -= events
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
	e.done(d)
}

// dropAll drops what no request is under way for, once nothing is sent any more.
// The caller holds mu.
func (e *endpoint) dropAll() {
	waiting := e.due
	e.due = nil
	for d, timer := range e.waiting {
		timer.Stop()
		waiting = append(waiting, d)
	}
	clear(e.waiting)
	for _, d := range waiting {
		e.giveUp(d, errEnded)
	}
	left := 0
	for e.ready() > 0 {
		e.queue.Done(e.pop())
		left++
	}
	for channel, h := range e.held { // of requests that are under way
		left += len(h.events)
		for _, item := range h.events {
			e.queue.Done(item)
		}
		e.held[channel].events = nil
	}
	for e.ready() > 0 { // for which there was no room
		e.queue.Done(e.pop())
		left++
	}
	if left > 0 {
		e.drop(left, errEnded)
		e.gone(left)
	}
}

// drop counts events that are lost, and logs the first.
func (e *endpoint) drop(events int, err error) {
	e.sender.drop(e.id.app, e.id.url, events, err)
	if !e.reported {
		e.reported = true
		e.sender.log.Error("webhook events dropped", "app", e.id.app, "webhook", e.id.index, "error", err)
	}
}
