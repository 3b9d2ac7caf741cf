package broker

import (
	"hash/maphash"

	"github.com/puzpuzpuz/xsync/v3"

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
	seed   maphash.Seed
	shards [registryShards]*xsync.MapOf[storage.ChannelID, *channel]
}

func newRegistry() registry {
	r := registry{seed: maphash.MakeSeed()}
	apps := maphash.MakeSeed()
	hasher := func(ch storage.ChannelID, _ uint64) uint64 {
		return r.hash(ch) ^ maphash.String(apps, ch.App)
	}
	for i := range r.shards {
		r.shards[i] = xsync.NewMapOfWithHasher[storage.ChannelID, *channel](hasher)
	}
	return r
}

// hash spreads channels over shards, by its high bits, and locks. Apps share
// them: the name does nearly all of the spreading.
func (r *registry) hash(ch storage.ChannelID) uint64 { return maphash.String(r.seed, ch.Name) }

func (r *registry) shard(ch storage.ChannelID) *xsync.MapOf[storage.ChannelID, *channel] {
	return r.shards[r.hash(ch)>>(64-registryBits)]
}

// load returns the channel, or nil if nobody is subscribed to it.
func (r *registry) load(ch storage.ChannelID) *channel {
	c, _ := r.shard(ch).Load(ch)
	return c
}

func (r *registry) loadOrCreate(b *Broker, ch storage.ChannelID, latest Position) *channel {
	shard := r.shard(ch)
	if c, ok := shard.Load(ch); ok {
		return c
	}
	c, _ := shard.LoadOrCompute(ch, func() *channel { return newChannel(b, ch, latest) })
	return c
}

func (r *registry) remove(ch storage.ChannelID) { r.shard(ch).Delete(ch) }

// all calls f with each channel until it returns false.
func (r *registry) all(f func(*channel) bool) {
	for _, shard := range r.shards {
		more := true
		shard.Range(func(_ storage.ChannelID, c *channel) bool {
			more = f(c)
			return more
		})
		if !more {
			return
		}
	}
}
