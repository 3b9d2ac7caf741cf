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
	names, apps maphash.Seed
	shards      [registryShards]*xsync.MapOf[channelKey, *channel]
}

// channelKey is a channel's ID with its hash, which is worked out once for each of
// the tables that a channel is looked for in.
type channelKey struct {
	id   storage.ChannelID
	hash uint64
}

func newRegistry() registry {
	r := registry{names: maphash.MakeSeed(), apps: maphash.MakeSeed()}
	hasher := func(key channelKey, _ uint64) uint64 { return key.hash }
	for i := range r.shards {
		r.shards[i] = xsync.NewMapOfWithHasher[channelKey, *channel](hasher)
	}
	return r
}

func (r *registry) key(ch storage.ChannelID) channelKey {
	return channelKey{ch, maphash.String(r.names, ch.Name) ^ maphash.String(r.apps, ch.App)}
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

func (r *registry) loadOrCreate(b *Broker, ch storage.ChannelID, latest Position) *channel {
	key := r.key(ch)
	shard := r.shard(&key)
	if c, ok := shard.Load(key); ok {
		return c
	}
	c, _ := shard.LoadOrCompute(key, func() *channel { return newChannel(b, ch, latest) })
	return c
}

func (r *registry) remove(ch storage.ChannelID) {
	key := r.key(ch)
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
