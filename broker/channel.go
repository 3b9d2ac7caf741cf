package broker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/carillon-rt/carillon/internal/cursor"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/transport"
)

// channel is a channel that has a subscription. One that loses its last is taken
// out of the registry and never used again.
//
// Locks are taken in this order: the tracker's order of presence changes, the
// channel.order, channel.mu, then a subscription's.
type channel struct {
	// What handing out needs comes first, in one cache line: with many channels
	// each line that is not in the cache costs a wait.

	// order is held while something goes out to all subscribers, so that each
	// gets everything in the same order. It is never held across I/O: handing
	// out is queueing.
	order sync.Mutex

	mu      sync.Mutex
	subs    []*subscriber  // guarded by mu
	first   [1]*subscriber // where subs starts
	broker  *Broker
	reading bool // guarded by mu: subs is being read without mu and may only be appended to
	gone    bool // guarded by mu: no longer in the registry
	kind    Kind
	listed  int32 // guarded by the lock of the registry's list that it is in: where it is there

	sessions int         // guarded by mu: how many of subs belong to sessions
	counting *time.Timer // guarded by mu: announces the count when it fires
	id       storage.ChannelID
	rule     *ChannelRule

	kept   *order      // guarded by order; nil where no events are kept
	past   *pastReader // guarded by mu; nil until the past is read
	failed *failedKeys // guarded by order; nil if there are none
}

// newChannel makes a channel whose latest event is at a position; the zero Position
// says that it is not known. An older answer of the store is harmless.
func newChannel(b *Broker, id storage.ChannelID, latest Position) *channel {
	c := &channel{broker: b, id: id, kind: KindOf(id.Name), rule: b.rule(id)}
	c.subs = c.first[:0]
	if c.rule.retention(c.kind).Events > 0 {
		c.kept = &order{Cursor: cursor.New(latest)}
	}
	return c
}

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

	excluded int // 1 once exclude was passed over
}

// in returns what goes out in a protocol's words, encoded once for each.
func (d *delivery) in(p Protocol) *transport.Message {
	if d.protocol == p {
		return d.message
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

// fanOut hands d to every subscriber. The caller holds c.order.
func (c *channel) fanOut(d *delivery) {
	c.mu.Lock()
	subs := c.subs
	c.reading = true
	c.mu.Unlock()
	for _, s := range subs {
		s.deliver(d)
	}
	c.mu.Lock()
	c.reading = false
	c.mu.Unlock()
	if d.event != nil {
		c.broker.stats.delivered.Add(int64(len(subs) - d.excluded))
	}
}

// handOut hands an event to every subscriber. The caller holds c.order.
func (c *channel) handOut(ev *Event) {
	d := delivery{event: ev, notice: EventNotice{ev}}
	if ev.Exclude != "" {
		d.exclude = c.broker.Session(ev.Exclude)
	}
	c.fanOut(&d)
	c.broker.tellPublished(c.id.App, ev)
}

// announce sends every subscribed session what is not an event.
func (c *channel) announce(exclude *Session, notice Notice) {
	c.order.Lock()
	defer c.order.Unlock()
	c.fanOut(&delivery{notice: notice, exclude: exclude})
}

// opening is the latest position of a channel in the store, for its first subscription.
// It is read before anything else: all that is published later is then either handed
// out or known to be missing.
type opening struct {
	latest Position // zero if the store could not say: then the first event comes behind a gap
	asked  bool
}

// opening asks for the channel's latest position, unless it is open already or keeps
// nothing.
func (b *Broker) opening(ctx context.Context, id storage.ChannelID) opening {
	if b.channels.load(id) != nil {
		return opening{}
	}
	if b.rule(id).retention(KindOf(id.Name)).Events == 0 {
		return opening{asked: true}
	}
	latest, err := storage.LatestOf(ctx, b.history, id)
	if err != nil {
		_ = b.storeFailed("history position", id, err)
	}
	return opening{latest, true}
}

// attach adds a subscription to the channel, opening it if need be. ready is
// called in the same step: what it sends to the subscriber comes before
// anything that goes out to all, and after nothing that the subscriber is still
// to get. Every event after the position that it is given goes to the subscription.
func (b *Broker) attach(ctx context.Context, id storage.ChannelID, open opening, s *subscriber, ready func(at Position)) error {
	for {
		c := b.channels.load(id)
		if c == nil {
			if !open.asked {
				open = b.opening(ctx, id)
				continue
			}
			c = b.channels.loadOrCreate(b, id, open.latest)
		}
		attached, err := c.attach(s, ready)
		if attached || err != nil {
			return err
		}
	}
}

// attach adds a subscription, unless the channel has gone.
func (c *channel) attach(s *subscriber, ready func(at Position)) (attached bool, err error) {
	b := c.broker
	var at Position
	if c.kept != nil {
		// From here on the subscription gets every event behind where the cursor is.
		c.order.Lock()
		defer c.order.Unlock()
		at = c.kept.Last()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return false, nil
	}
	if s.session != nil {
		if limit := c.rule.MaxSubscribers; limit > 0 && c.sessions >= limit {
			return false, b.refusal(Refuse(403, fmt.Sprintf("channel %q is full: the limit is %d subscribers", c.id.Name, limit)))
		}
		c.sessions++
		if c.sessions == 1 {
			b.channels.occupy(c)
			c.occupied(true)
		}
	}
	if len(c.subs) == 0 {
		b.stats.channels.Add(1)
	}
	s.channel, s.index = c, len(c.subs)
	c.subs = append(c.subs, s)
	ready(at)
	return true, nil
}

// detach takes a subscription away, and with the last one the channel.
func (c *channel) detach(s *subscriber) {
	if c.remove(s) && c.kept != nil {
		c.close()
	}
}

// remove takes a subscription away, and reports whether the channel has gone with it.
func (c *channel) remove(s *subscriber) (gone bool) {
	b := c.broker
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reading {
		// The array that is being read stays as it is; nobody reads its copy.
		c.subs = append(make([]*subscriber, 0, len(c.subs)), c.subs...)
		c.reading = false
	}
	last := len(c.subs) - 1
	c.subs[s.index] = c.subs[last]
	c.subs[s.index].index = s.index
	c.subs[last] = nil
	c.subs = c.subs[:last]
	if cap(c.subs) > 64 && last < cap(c.subs)/4 {
		c.subs = append(make([]*subscriber, 0, cap(c.subs)/2), c.subs...)
	}
	if s.session != nil {
		if c.sessions--; c.sessions == 0 {
			b.channels.vacate(c)
			c.occupied(false)
		}
	}
	if last == 0 {
		c.gone = true
		if c.counting != nil {
			c.counting.Stop()
		}
		b.channels.remove(c.id)
		b.stats.channels.Add(-1)
	}
	return c.gone
}

// change describes the channel for hooks. The caller holds c.mu.
func (c *channel) change() ChannelChange {
	return ChannelChange{App: c.id.App, Channel: c.id.Name, SubscriptionCount: c.sessions, Time: time.Now()}
}

// Subscription counts are announced with every change up to countAtOnce
// subscribers, and beyond that once in countInterval.
const (
	countAtOnce   = 100
	countInterval = 5 * time.Second
)

// countChanged announces the number of subscribed sessions, now or when enough
// time has passed since the last time. Presence channels have their members
// instead.
func (c *channel) countChanged() {
	c.mu.Lock()
	if c.kind.Base() == Presence || c.gone || c.counting != nil {
		c.mu.Unlock()
		return
	}
	if c.sessions > countAtOnce {
		c.counting = time.AfterFunc(countInterval, func() {
			c.mu.Lock()
			c.counting = nil
			c.mu.Unlock()
			c.announceCount()
		})
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	c.announceCount()
}

func (c *channel) announceCount() {
	c.order.Lock()
	defer c.order.Unlock()
	c.mu.Lock()
	change := c.change()
	if change.SubscriptionCount == 0 {
		// The channel was vacated, and may be another by now.
		c.mu.Unlock()
		return
	}
	inform(context.Background(), c.broker, subscriptionCount, change)
	c.mu.Unlock()
	c.fanOut(&delivery{counts: true, notice: SubscriptionCountNotice{c.id.Name, change.SubscriptionCount}})
}
