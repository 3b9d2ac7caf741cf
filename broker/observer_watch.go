package broker

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/carillon-rt/carillon/transport"
)

// watching follows an event to its sockets, for those who have asked for that.
type watching struct {
	node     *node
	app      string
	event    *Event
	samplers []*observer
	tracers  []*observer

	// Of the subscriber that it is being sent to: guarded by the channel's order.
	to    *Session
	began time.Time       // when that began
	queue transport.Queue // what waited for it then
	made  bool            // a message for it was made
	step  DeliveryStep    // what has become of it, if it is not queued

	// pending is how many sockets are left, and one until all have been sent to.
	pending, sockets, written, failed atomic.Int64
	first, last                       atomic.Int64 // since Event.Time
}

// watch asks who wants to follow an event; nil if nobody does.
func (n *node) watch(app string, ev *Event) *watching {
	var w *watching
	for _, o := range n.observers.list() {
		if !o.samples && !o.traces {
			continue
		}
		n.observers.guard(o, func() {
			samples := o.samples && o.Observer.(DeliverySampler).SampleDelivery(app, ev.Channel, ev)
			traces := o.traces && o.Observer.(DeliveryTracer).TraceDeliveries(app, ev.Channel, ev)
			if w == nil && (samples || traces) {
				w = &watching{node: n, app: app, event: ev}
				w.pending.Store(1)
			}
			if samples {
				w.samplers = append(w.samplers, o)
			}
			if traces {
				w.tracers = append(w.tracers, o)
			}
		})
	}
	return w
}

// begin notes to which session the event is sent next; nil for none.
func (w *watching) begin(to *Session) {
	w.to, w.made, w.step = to, false, 0
	if to != nil && len(w.tracers) > 0 {
		w.began, w.queue = time.Now(), to.conn.Queue()
	}
}

// shared is what all sessions with one protocol are sent, if they are not traced.
func (w *watching) shared(m *transport.Message) *transport.Message {
	if m == nil || len(w.tracers) > 0 {
		return m
	}
	return m.Watched(w)
}

// message makes of what shared has returned what is sent to the session.
func (w *watching) message(m *transport.Message) *transport.Message {
	if m == nil {
		w.step = DeliverySilent
		return nil
	}
	w.made = true
	w.pending.Add(1)
	w.sockets.Add(1)
	if len(w.tracers) > 0 {
		m = m.Watched(&sessionWatch{w, w.to})
	}
	return m
}

// sent notes how sending to the session has ended. open says that it can be sent more.
func (w *watching) sent(open bool) {
	switch {
	case w.to == nil:
		return
	case w.step == DeliveryParked:
	case w.step == DeliveryHad:
		w.unsent()
	case w.step == 0 && w.made && open:
		w.step = DeliveryQueued
	case w.made:
		w.step = DeliveryFailed
		w.Dropped()
	case w.step == 0: // what it was sent was not the event
		return
	}
	w.tell(w.to, w.step, w.began)
}

// tell tells the tracers of a step.
func (w *watching) tell(s *Session, step DeliveryStep, at time.Time) {
	if len(w.tracers) == 0 {
		return
	}
	d := Delivery{Session: s, Event: w.event, Step: step, Time: at}
	switch {
	case step == DeliveryQueued:
		d.Queue = w.queue
	case step == DeliveryFailed && s.slow.Load():
		d.Err = transport.ErrSlow
	case step == DeliveryFailed:
		d.Err = transport.ErrClosed
	}
	for _, o := range w.tracers {
		w.node.observers.guard(o, func() { o.Observe(context.Background(), d) })
	}
}

// unsent takes back a message that was made and has not to be sent.
func (w *watching) unsent() {
	w.sockets.Add(-1)
	w.done()
}

// Written implements transport.Watch.
func (w *watching) Written() {
	took := int64(time.Since(w.event.Time))
	w.first.CompareAndSwap(0, took)
	for last := w.last.Load(); took > last && !w.last.CompareAndSwap(last, took); last = w.last.Load() {
	}
	w.written.Add(1)
	w.done()
}

// Dropped implements transport.Watch.
func (w *watching) Dropped() {
	w.failed.Add(1)
	w.done()
}

// done ends what is pending, and tells the samplers when nothing is.
func (w *watching) done() {
	if w.pending.Add(-1) > 0 || w.sockets.Load() == 0 {
		return
	}
	f := FanOut{App: w.app, Event: w.event, Sockets: int(w.sockets.Load()), Written: int(w.written.Load()), Failed: int(w.failed.Load()),
		First: time.Duration(w.first.Load()), Last: time.Duration(w.last.Load())}
	for _, o := range w.samplers {
		w.node.observers.guard(o, func() { o.Observe(context.Background(), f) })
	}
}

// sessionWatch follows an event to one session.
type sessionWatch struct {
	*watching
	session *Session
}

// Written implements transport.Watch.
func (w *sessionWatch) Written() {
	w.tell(w.session, DeliveryWritten, time.Now())
	w.watching.Written()
}

// Dropped implements transport.Watch.
func (w *sessionWatch) Dropped() {
	w.tell(w.session, DeliveryFailed, time.Now())
	w.watching.Dropped()
}

// unparked says what has become of a message that was parked: it was part of the past, or
// is queued, or could not be.
func unparked(m *transport.Message, had, queued bool) {
	watch := m.Watch()
	if watch == nil {
		return
	}
	w, _ := watch.(*watching)
	s, traced := watch.(*sessionWatch)
	if traced {
		w = s.watching
	}
	switch {
	case had:
		if traced {
			w.tell(s.session, DeliveryHad, time.Now())
		}
		w.unsent()
	case !queued:
		watch.Dropped()
	case traced:
		w.tellQueued(s.session)
	}
}

// tellQueued tells of a message that was parked before.
func (w *watching) tellQueued(s *Session) {
	d := Delivery{Session: s, Event: w.event, Step: DeliveryQueued, Time: time.Now(), Queue: s.conn.Queue()}
	for _, o := range w.tracers {
		w.node.observers.guard(o, func() { o.Observe(context.Background(), d) })
	}
}
