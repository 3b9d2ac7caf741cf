package broker

import (
	"context"
	"fmt"

	"github.com/carillon-rt/carillon/storage"
)

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

// occupied says that the channel has its first client, or has lost the last. The
// caller holds c.mu.
func (c *channel) occupied(is bool) {
	switch b := c.broker; {
	case b.shared:
		b.tracker.Occupy(c.id, is)
	case len(b.hookSets()) > 0:
		b.tellOccupied(is, c.change())
	}
}
