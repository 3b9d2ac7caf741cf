package broker

import (
	"context"
	"time"

	"github.com/carillon-rt/carillon/transport"
)

// delivery is one thing that goes out to all subscribers of a channel.
type delivery struct {
	// event is what in-process subscribers get; nil for what only concerns
	// clients.
	event *Event
	// notice is what clients are told.
	notice Notice
	// exclude is the session that does not get it, if any.
	exclude *Session
	// counts says that only sessions that asked for subscription counts get it.
	counts bool

	protocol Protocol
	message  *transport.Message
	others   map[Protocol]*transport.Message

	// gap is what in-process subscribers get of events that will not be handed out.
	gap error

	// watch follows an event to its sockets, if anybody wants that; then protocol is nil.
	watch *watching

	subscribers int // how many there were
	excluded    int // how many were passed over
}

// gapEnd is up to where a gap goes; zero for what is none, and where that is not known.
func (d *delivery) gapEnd() Position {
	if d.gap == nil {
		return Position{}
	}
	return d.notice.(GapNotice).Position
}

// in returns what goes out in a protocol's words, encoded once for each.
func (d *delivery) in(p Protocol) *transport.Message {
	if d.protocol == p {
		return d.message
	}
	if d.watch != nil {
		return d.watched(p)
	}
	if m := d.others[p]; m != nil {
		return m
	}
	m := p.Encode(d.notice)
	if d.protocol == nil {
		d.protocol, d.message = p, m
		return m
	}
	if d.others == nil {
		d.others = make(map[Protocol]*transport.Message)
	}
	d.others[p] = m
	return m
}

// watched is in for an event that is followed to its sockets.
func (d *delivery) watched(p Protocol) *transport.Message {
	m, encoded := d.others[p]
	if !encoded {
		m = d.watch.shared(p.Encode(d.notice))
		if d.others == nil {
			d.others = make(map[Protocol]*transport.Message)
		}
		d.others[p] = m
	}
	return d.watch.message(m)
}

// sendWatched sends an event that is followed to its sockets.
func (d *delivery) sendWatched(subs []*subscriber) {
	for _, s := range subs {
		d.watch.begin(s.session)
		s.send(d)
		d.watch.sent(s.conn != nil)
	}
	d.watch.done()
}

// handOut hands d to every subscriber. The caller holds c.order.
func (c *channel) handOut(d *delivery) {
	c.mu.Lock()
	subs := c.subs
	c.reading = true
	c.mu.Unlock()
	d.subscribers = len(subs)
	if d.watch != nil {
		d.sendWatched(subs)
	} else {
		for _, s := range subs {
			s.send(d)
		}
	}
	c.mu.Lock()
	c.reading = false
	c.mu.Unlock()
	if d.event != nil {
		c.node.stats.delivered.Add(int64(len(subs) - d.excluded))
	}
}

// handOutEvent hands an event to every subscriber. The caller holds c.order.
func (c *channel) handOutEvent(ev *Event) {
	d := delivery{event: ev, notice: EventNotice{ev}}
	if ev.Exclude != "" {
		d.exclude, _ = c.node.sessions.Load(ev.Exclude)
	}
	if c.node.observers.follow() {
		d.watch = c.node.watch(c.id.App, ev)
	}
	c.handOut(&d)
	if n := c.node; n.hooks.published.Load() || n.observers.any() {
		n.informPublished(c.id.App, ev, &d)
	} else {
		n.stats.published.Add(1) // without a look at the channel's ID, which is further on
	}
}

// handOutNotice sends every subscribed session what is not an event.
func (c *channel) handOutNotice(exclude *Session, notice Notice) {
	c.order.Lock()
	defer c.order.Unlock()
	c.handOut(&delivery{notice: notice, exclude: exclude})
}

// send hands d to the subscriber. It only queues.
func (s *subscriber) send(d *delivery) {
	if s.extras != nil {
		s.sendWithExtras(d)
		return
	}
	if s.session == d.exclude {
		d.excluded++
		d.step(DeliveryExcluded)
		return
	}
	if d.counts && !s.session.counts {
		return
	}
	m := d.in(s.protocol)
	if m == nil || s.conn == nil {
		return
	}
	if err := s.conn.Send(m); err != nil {
		s.failed(err)
	}
}

// sendWithExtras is send for one of the few that keep positions, are members, have begun
// with past events or are Go code.
func (s *subscriber) sendWithExtras(d *delivery) {
	x := s.extras
	if x.inbox != nil {
		switch {
		case d.event != nil:
			x.inbox.add(d.event)
		case d.gap != nil:
			x.inbox.addGap(d.gap)
		}
		return
	}
	var m *transport.Message
	switch {
	case s.session == d.exclude || x.excludes(d.event):
		d.excluded++
		d.step(DeliveryExcluded)
		m = s.passed(d.event)
	case !d.counts || s.session.counts:
		m = d.in(s.protocol)
	}
	if m == nil {
		return
	}
	if !x.live.Load() {
		if step := s.queueUntilLive(m, d.event, d.gapEnd()); step != 0 {
			d.step(step)
			return
		}
	}
	// Who has been told of more of the past than the cursor knew has no gap in it either, and
	// would go back to where that ends.
	if d.event != nil && covered(d.event.Position, x.had) || covered(d.gapEnd(), x.had) || s.conn == nil {
		if s.conn != nil {
			d.step(DeliveryHad)
		}
		return
	}
	if err := s.conn.Send(m); err != nil {
		s.failed(err)
	}
}

// step notes what has become of an event that is watched, the first thing of several.
func (d *delivery) step(step DeliveryStep) {
	if d.watch != nil && d.watch.step == 0 {
		d.watch.step = step
	}
}

// failed cuts the subscriber off: what comes after something that could not be sent must
// not be sent either.
func (s *subscriber) failed(err error) {
	s.conn = nil
	s.session.sendFailed(err)
}

// informPublished counts an event that is handed out, and tells observers of it, and the
// hooks unless a client has sent it. Without d nobody is subscribed.
func (n *node) informPublished(app string, ev *Event, d *delivery) {
	n.stats.published.Add(1)
	n.observePublished(app, ev, d)
	if n.hooks.published.Load() && ev.SocketID == "" {
		inform(context.Background(), &n.hooks, published, changeOf(app, ev, nil))
	}
}

// observePublished tells of an event that was handed out: d says to whom, and is nil where
// nobody is subscribed.
func (n *node) observePublished(app string, ev *Event, d *delivery) {
	if !n.observers.want(app, ObserveEventPublished) {
		return
	}
	o := EventPublished{App: app, Event: ev, Took: time.Since(ev.Time)}
	if d != nil {
		o.Subscribers, o.Excluded = d.subscribers-d.excluded, d.excluded
	}
	ctx := context.Background()
	if ev.SocketID != "" {
		if o.Session, _ = n.sessions.Load(ev.SocketID); o.Session != nil {
			ctx = o.Session.ctx
		}
	}
	n.observers.tell(ctx, app, o)
}

// handOutAtOnce hands out an event that has no position.
func (c *channel) handOutAtOnce(ev *Event) {
	c.order.Lock()
	defer c.order.Unlock()
	c.handOutEvent(ev)
}
