package broker

import (
	"context"
	"time"
)

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
			c.handOutCount()
		})
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	c.handOutCount()
}

func (c *channel) handOutCount() {
	c.order.Lock()
	defer c.order.Unlock()
	c.mu.Lock()
	change := c.change()
	if change.SubscriptionCount == 0 {
		// The channel was vacated, and may be another by now.
		c.mu.Unlock()
		return
	}
	inform(context.Background(), &c.node.hooks, subscriptionCount, change)
	c.mu.Unlock()
	c.handOut(&delivery{counts: true, notice: SubscriptionCountNotice{c.id.Name, change.SubscriptionCount}})
}
