package broker

import (
	"context"
	"fmt"
)

// opening is what has to be known for opening a channel: its latest position in the
// store. It is read before anything else: all that is published later is then either
// handed out or known to be missing.
type opening struct {
	channel *channel // that is open already
	rule    *ChannelRule
	latest  Position // zero if the store could not say: then the first event comes behind a gap
}

// opening asks for the channel's latest position, unless it is open already or keeps
// nothing.
func (r *registry) opening(ctx context.Context, key *channelKey, rule *ChannelRule) opening {
	open := opening{channel: r.find(key), rule: rule}
	if open.channel != nil || rule.retention(KindOf(key.id.Name)).Events == 0 {
		return open
	}
	open.latest = r.latest(ctx, key)
	return open
}

// attach adds a subscription to the channel, opening it if need be.
func (r *registry) attach(ctx context.Context, key *channelKey, open opening, s *subscriber) error {
	for {
		c := open.channel
		if c == nil {
			c = r.findOrOpen(key, open.rule, open.latest)
		}
		attached, err := c.attach(s)
		if attached || err != nil {
			return err
		}
		open = r.opening(ctx, key, open.rule) // it has gone meanwhile
	}
}

// attach adds a subscription, unless the channel has gone. One that has extras is given
// where the channel's cursor stands, and gets every event behind that; any other is told
// of its success in the same step, and so before anything that goes out to all.
func (c *channel) attach(s *subscriber) (attached bool, err error) {
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
			return false, c.node.refusal(Refuse(403, fmt.Sprintf("channel %q is full: the limit is %d subscribers", c.id.Name, limit)))
		}
		c.sessions++
		if c.sessions == 1 {
			c.registry.occupy(c)
			c.occupied(true)
		}
	}
	if len(c.subs) == 0 {
		c.node.stats.channels.Add(1)
	}
	s.channel, s.index = c, len(c.subs)
	c.subs = append(c.subs, s)
	if s.extras != nil {
		s.at = at
	} else {
		s.session.Send(s.protocol.Encode(SubscribedNotice{Channel: c.id.Name, Position: at}))
	}
	return true, nil
}

// replace puts a subscription that has extras in the place of another one of its session.
func (c *channel) replace(old, s *subscriber) {
	c.order.Lock() // so that nobody is reading c.subs
	defer c.order.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept != nil {
		s.at = c.kept.Last()
	}
	s.channel, s.index = c, old.index
	c.subs[s.index] = s
}

// detach takes a subscription away, and with the last one the channel.
func (c *channel) detach(s *subscriber) {
	if c.remove(s) && c.kept != nil {
		c.order.Lock()
		defer c.order.Unlock()
		c.kept.close()
	}
}

// remove takes a subscription away, and reports whether the channel has gone with it.
func (c *channel) remove(s *subscriber) (gone bool) {
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
			c.registry.vacate(c)
			c.occupied(false)
		}
	}
	if last == 0 {
		c.gone = true
		if c.counting != nil {
			c.counting.Stop()
		}
		c.registry.remove(c)
		c.node.stats.channels.Add(-1)
	}
	return c.gone
}

// occupied says that the channel has its first client, or has lost the last. The
// caller holds c.mu.
func (c *channel) occupied(is bool) {
	switch n := c.node; {
	case c.registry.occupancy != nil:
		c.registry.occupancy.Occupy(c.id, is)
	case n.hooks.any() || n.observers.any():
		n.hooks.channelOccupied(is, c.change())
	}
}
