package broker

import (
	"context"
	"hash/maphash"
	"iter"
	"sync"

	"github.com/puzpuzpuz/xsync/v3"

	"github.com/carillon-rt/carillon/presence"
	"github.com/carillon-rt/carillon/storage"
)

// Each of the registry's shards is a concurrent map of its own, so that growing
// one holds up only a small part of the channels.
const (
	registryBits   = 6
	registryShards = 1 << registryBits
)

// registry holds the channels that have a subscription.
type registry struct {
	names, apps maphash.Seed
	shards      [registryShards]*xsync.MapOf[channelKey, *channel]
	occupied    *[registryShards]occupied
	node        *node
	questions   questions
	// occupancy is told which channels have clients here, for all brokers on one
	// presence store to know; nil if that is not shared.
	occupancy *presence.Tracker
}

func (r *registry) init(n *node) {
	r.node, r.names, r.apps = n, maphash.MakeSeed(), maphash.MakeSeed()
	r.occupied = new([registryShards]occupied)
	hasher := func(key channelKey, _ uint64) uint64 { return key.hash }
	for i := range r.shards {
		r.shards[i] = xsync.NewMapOfWithHasher[channelKey, *channel](hasher)
	}
}

func (r *registry) key(ch ChannelID) channelKey { return r.keyIn(r.hashApp(ch.App), ch) }

func (r *registry) hashApp(app string) uint64 { return maphash.String(r.apps, app) }

// keyIn is key for one who knows the hash of the channel's app.
func (r *registry) keyIn(app uint64, ch ChannelID) channelKey {
	return channelKey{ch, maphash.String(r.names, ch.Name) ^ app}
}

// shard is told by the hash's high bits: a map uses the others.
func (r *registry) shard(key *channelKey) *xsync.MapOf[channelKey, *channel] {
	return r.shards[key.hash>>(64-registryBits)]
}

// load returns the channel, or nil if nobody is subscribed to it.
func (r *registry) load(ch storage.ChannelID) *channel {
	key := r.key(ch)
	return r.find(&key)
}

// find is load by the channel's key.
func (r *registry) find(key *channelKey) *channel {
	c, _ := r.shard(key).Load(*key)
	return c
}

// findOrOpen returns the channel, and opens it if nobody is subscribed to it.
func (r *registry) findOrOpen(key *channelKey, rule *ChannelRule, latest Position) *channel {
	c, _ := r.shard(key).LoadOrCompute(*key, func() *channel { return newChannel(r, key, rule, latest) })
	return c
}

func (r *registry) remove(c *channel) {
	key := c.key()
	r.shard(&key).Delete(key)
}

// all calls f with each channel until it returns false.
func (r *registry) all(f func(*channel) bool) {
	for _, shard := range r.shards {
		more := true
		shard.Range(func(_ channelKey, c *channel) bool {
			more = f(c)
			return more
		})
		if !more {
			return
		}
	}
}

// occupied lists, by app, those channels of a shard that clients are subscribed to.
type occupied struct {
	mu   sync.Mutex
	apps map[string]*[]*channel // guarded by mu
	// empty is the app that had its last channel vacated most recently. Its list stays,
	// so that a channel which comes and goes costs little; no other list is empty.
	empty string // guarded by mu
}

// occupy lists a channel that has got its first client. The caller holds c.mu.
func (r *registry) occupy(c *channel) {
	l := r.list(c)
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.apps[c.id.App]
	if list == nil {
		if l.apps == nil {
			l.apps = make(map[string]*[]*channel)
		}
		list = new([]*channel)
		l.apps[c.id.App] = list
	}
	c.listed = int32(len(*list))
	*list = append(*list, c)
}

// vacate undoes occupy. The caller holds c.mu.
func (r *registry) vacate(c *channel) {
	l := r.list(c)
	l.mu.Lock()
	defer l.mu.Unlock()
	app := l.apps[c.id.App]
	list := *app
	last := len(list) - 1
	list[c.listed] = list[last]
	list[c.listed].listed = c.listed
	list[last] = nil
	list = list[:last]
	if cap(list) > 64 && last < cap(list)/4 {
		list = append(make([]*channel, 0, cap(list)/2), list...)
	}
	*app = list
	if last > 0 || l.empty == c.id.App {
		return
	}
	if old := l.apps[l.empty]; old != nil && len(*old) == 0 {
		delete(l.apps, l.empty)
	}
	l.empty = c.id.App
}

func (r *registry) list(c *channel) *occupied {
	return &r.occupied[c.hash>>(64-registryBits)]
}

// allOf yields the channels of an app that clients are subscribed to, holding no lock.
func (r *registry) allOf(app string) iter.Seq[*channel] {
	return func(yield func(*channel) bool) {
		var some []*channel
		for i := range r.occupied {
			l := &r.occupied[i]
			l.mu.Lock()
			some = some[:0]
			if list := l.apps[app]; list != nil {
				some = append(some, *list...)
			}
			l.mu.Unlock()
			for _, c := range some {
				if !yield(c) {
					return
				}
			}
		}
	}
}

// countOf is how many channels of an app clients are subscribed to.
func (r *registry) countOf(app string) (n int) {
	for i := range r.occupied {
		l := &r.occupied[i]
		l.mu.Lock()
		if list := l.apps[app]; list != nil {
			n += len(*list)
		}
		l.mu.Unlock()
	}
	return n
}

// question is one for the latest position of a channel, for all who open it meanwhile.
type question struct {
	answered chan struct{}
	latest   Position // set before answered is closed
}

// questions are those that are under way.
type questions struct {
	mu  sync.Mutex
	all map[channelKey]*question // guarded by mu
}

// latest asks the store for the channel's latest position, unless somebody is about it:
// an answer that is older than the call is harmless. It is zero if the store cannot say.
func (r *registry) latest(ctx context.Context, key *channelKey) Position {
	r.questions.mu.Lock()
	if q := r.questions.all[*key]; q != nil {
		r.questions.mu.Unlock()
		select {
		case <-q.answered:
			return q.latest
		case <-ctx.Done():
			return Position{}
		}
	}
	q := &question{answered: make(chan struct{})}
	if r.questions.all == nil {
		r.questions.all = make(map[channelKey]*question)
	}
	r.questions.all[*key] = q
	r.questions.mu.Unlock()
	var err error
	// Whoever asks first asks for others too, and may not give up.
	if q.latest, err = storage.LatestOf(context.WithoutCancel(ctx), r.node.history, key.id); err != nil {
		_ = r.node.storeFailed("history position", key.id, err)
	}
	r.questions.mu.Lock()
	delete(r.questions.all, *key)
	r.questions.mu.Unlock()
	close(q.answered)
	return q.latest
}
