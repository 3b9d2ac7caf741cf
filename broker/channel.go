package broker

import (
	"fmt"
	"sync"
	"time"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/transport"
)

// channel is a channel that has a subscription. One that loses its last is taken
// out of the registry and never used again.
//
// Locks are taken in this order: the tracker's order of presence changes, the
// broker's storing order, channel.order, channel.mu, then a subscription's.
type channel struct {
	// What handing out needs comes first, in one cache line: with many channels
	// each line that is not in the cache costs a wait.

	// order is held while something goes out to all subscribers, so that each
	// gets everything in the same order. It is never held across I/O: handing
	// out is queueing.
	order sync.Mutex

	mu      sync.Mutex
	subs    []*subscription  // guarded by mu
	first   [1]*subscription // where subs starts
	broker  *Broker
	reading bool // guarded by mu: subs is being read without mu and may only be appended to
	gone    bool // guarded by mu: no longer in the registry
	kind    Kind

	sessions int         // guarded by mu: how many of subs belong to sessions
	counting *time.Timer // guarded by mu: announces the count when it fires
	id       storage.ChannelID
	rule     *Rule
	failed   *failedAppends // guarded by the channel's storing order; nil if there are none
}

func newChannel(b *Broker, id storage.ChannelID) *channel {
	c := &channel{broker: b, id: id, kind: KindOf(id.Name), rule: b.rule(id)}
	c.subs = c.first[:0]
	return c
}

// delivery is one thing that goes out to all subscribers of a channel.
type delivery struct {
	// event is what in-process subscribers get; nil for what only concerns
	// clients.
	event *Event
	// notice encodes what is not an event.
	notice func(Protocol) *transport.Message
	// exclude is the session that does not get it, if any.
	exclude *Session
	// counts says that only sessions that asked for subscription counts get it.
	counts bool

	protocol Protocol
	message  *transport.Message
	others   map[Protocol]*transport.Message

	// more says that another event follows before anything is to be flushed.
	more bool

	// lone says that only one subscriber gets it, and later is the connection
	// that is then to be flushed, if any.
	lone  bool
	later transport.LoneSender

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
	m := d.encode(p)
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

func (d *delivery) encode(p Protocol) *transport.Message {
	if d.notice != nil {
		return d.notice(p)
	}
	return p.Event(d.event)
}

// fanOut hands d to every subscriber. The caller holds c.order.
func (c *channel) fanOut(d *delivery) {
	c.mu.Lock()
	subs := c.subs
	c.reading = true
	c.mu.Unlock()
	d.lone = d.event != nil && !d.more && lone(subs, d.exclude)
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

// lone says whether exclude leaves one of the subscribers.
func lone(subs []*subscription, exclude *Session) bool {
	switch len(subs) {
	case 1:
		return true
	case 2:
		return exclude != nil && (subs[0].session == exclude || subs[1].session == exclude)
	}
	return false
}

// announce sends every subscribed session what is not an event.
func (c *channel) announce(exclude *Session, notice func(Protocol) *transport.Message) {
	c.order.Lock()
	defer c.order.Unlock()
	c.fanOut(&delivery{notice: notice, exclude: exclude})
}

// attach adds a subscription to the channel, creating it if need be. ready is
// called in the same step: what it sends to the subscriber comes before
// anything that goes out to all, and after nothing that the subscriber is still
// to get.
func (b *Broker) attach(id storage.ChannelID, s *subscription, ready func()) error {
	for {
		c := b.channels.loadOrCreate(b, id)
		c.mu.Lock()
		if c.gone {
			c.mu.Unlock()
			continue
		}
		if s.session != nil {
			if limit := c.rule.MaxSubscribers; limit > 0 && c.sessions >= limit {
				c.mu.Unlock()
				return b.refusal(Refuse(403, fmt.Sprintf("channel %q is full: the limit is %d subscribers", id.Name, limit)))
			}
			c.sessions++
			if c.sessions == 1 {
				c.occupied(true)
			}
		}
		if len(c.subs) == 0 {
			b.stats.channels.Add(1)
		}
		s.channel, s.index = c, len(c.subs)
		c.subs = append(c.subs, s)
		ready()
		c.mu.Unlock()
		return nil
	}
}

// detach takes a subscription away, and with the last one the channel.
func (c *channel) detach(s *subscription) {
	b := c.broker
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reading {
		// The array that is being read stays as it is; nobody reads its copy.
		c.subs = append(make([]*subscription, 0, len(c.subs)), c.subs...)
		c.reading = false
	}
	last := len(c.subs) - 1
	c.subs[s.index] = c.subs[last]
	c.subs[s.index].index = s.index
	c.subs[last] = nil
	c.subs = c.subs[:last]
	if cap(c.subs) > 64 && last < cap(c.subs)/4 {
		c.subs = append(make([]*subscription, 0, cap(c.subs)/2), c.subs...)
	}
	if s.session != nil {
		if c.sessions--; c.sessions == 0 {
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
	inform(c.broker, subscriptionCount, change)
	c.mu.Unlock()
	c.fanOut(&delivery{counts: true, notice: func(p Protocol) *transport.Message {
		return p.SubscriptionCount(c.id.Name, change.SubscriptionCount)
	}})
}
