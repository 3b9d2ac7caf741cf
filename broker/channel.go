package broker

import (
	"sync"
	"time"

	"github.com/carillon-rt/carillon/internal/cursor"
	"github.com/carillon-rt/carillon/storage"
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
	node    *node
	reading bool // guarded by mu: subs is being read without mu and may only be appended to
	gone    bool // guarded by mu: no longer in the registry
	kind    Kind
	listed  int32 // guarded by the lock of the registry's list that it is in: where it is there

	sessions int         // guarded by mu: how many of subs belong to sessions
	counting *time.Timer // guarded by mu: announces the count when it fires
	id       storage.ChannelID
	hash     uint64 // of id: see channelKey
	rule     *ChannelRule
	registry *registry

	kept   *order      // guarded by order; nil where no events are kept
	past   *pastReader // guarded by mu; nil until the past is read
	failed *failedKeys // guarded by order; nil if there are none
}

// newChannel makes a channel whose latest event is at a position; the zero Position
// says that it is not known. An older answer of the store is harmless.
func newChannel(r *registry, key *channelKey, rule *ChannelRule, latest Position) *channel {
	c := &channel{node: r.node, registry: r, id: key.id, hash: key.hash, kind: KindOf(key.id.Name), rule: rule}
	c.subs = c.first[:0]
	if c.rule.retention(c.kind).Events > 0 {
		c.kept = &order{Cursor: cursor.New(latest)}
	}
	return c
}

func (c *channel) key() channelKey { return channelKey{c.id, c.hash} }

// change describes the channel for hooks. The caller holds c.mu.
func (c *channel) change() ChannelChange {
	return ChannelChange{App: c.id.App, Channel: c.id.Name, SubscriptionCount: c.sessions, Time: time.Now()}
}

func (c *channel) sessionCount() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sessions
}
