package ratelimit

import (
	"context"
	"hash/maphash"
	"sync"
	"time"
)

// Limiter keeps a bucket for each key. It is the seam for limits that several
// processes share. Implementations are safe for concurrent use.
type Limiter interface {
	// Take takes cost tokens out of the bucket with the given key, all or none; a
	// key never seen has a full bucket. The decision has the meaning it has for
	// [Bucket.Take]. An error says that there is no decision; if ctx ended first it
	// wraps ctx's error.
	Take(ctx context.Context, key string, limit Limit, cost int) (Decision, error)
}

// DefaultMaxKeys is the number of keys that a Memory holds unless told otherwise.
const DefaultMaxKeys = 1 << 20

const (
	maxShards    = 64
	minShardKeys = 1024
	sweepEntries = 4  // looked at for each new key; above 1, so that full buckets go faster than keys come
	evictEntries = 16 // compared to find the one to replace
)

// Memory is a Limiter within this process. It is safe for concurrent use, starts
// no goroutine and needs no closing.
//
// It takes about 50 bytes for a key, whatever the key's length: a key is kept as
// a 64-bit hash with a random seed. That a new key shares the bucket of one of a
// million others has a chance of 1 in 2^44.
//
// The number of keys is bounded. Full buckets, which hold no information, are dropped
// as new keys come. If there are still too many, the bucket of a sample that is nearest
// to full is replaced: so the emptiest are kept longest, and many new keys do not
// displace an exhausted bucket before the others.
type Memory struct {
	seed   maphash.Seed
	shards []shard // a power of two of them
}

// shard is 64 bytes, a cache line.
type shard struct {
	mu      sync.Mutex
	index   map[uint64]int32 // guarded by mu: hash of the key to position in entries
	entries []entry          // guarded by mu
	hand    int              // guarded by mu: the next entry to look at
	evicted int64            // guarded by mu
	max     int
}

type entry struct {
	hash   uint64
	filled int64 // as in Bucket
}

// MemoryOption is an option of NewMemory.
type MemoryOption func(*memoryOptions)

type memoryOptions struct{ maxKeys int }

// WithMaxKeys bounds the number of keys; the default is DefaultMaxKeys, which is
// also what 0 or less means. More than 2^30 are not held. From 2048 on the keys
// are in shards with equal parts of the bound, so that some shards, and Evicted,
// reach it when the whole is at about 95 % of n.
func WithMaxKeys(n int) MemoryOption {
	return func(o *memoryOptions) { o.maxKeys = n }
}

// NewMemory makes a Memory without keys.
func NewMemory(opts ...MemoryOption) *Memory {
	o := memoryOptions{maxKeys: DefaultMaxKeys}
	for _, opt := range opts {
		opt(&o)
	}
	if o.maxKeys <= 0 {
		o.maxKeys = DefaultMaxKeys
	}
	o.maxKeys = min(o.maxKeys, 1<<30)
	n := 1
	for n < maxShards && o.maxKeys/(2*n) >= minShardKeys {
		n *= 2
	}
	m := &Memory{seed: maphash.MakeSeed(), shards: make([]shard, n)}
	for i := range m.shards {
		m.shards[i].index = make(map[uint64]int32)
		m.shards[i].max = o.maxKeys / n
	}
	return m
}

// Take implements [Limiter]. It never waits, so it does not look at ctx, and it
// never returns an error.
func (m *Memory) Take(_ context.Context, key string, limit Limit, cost int) (Decision, error) {
	return m.take(maphash.String(m.seed, key), sinceStart(time.Now()), limit, cost), nil
}

func (m *Memory) take(hash uint64, now int64, limit Limit, cost int) Decision {
	s := &m.shards[hash&uint64(len(m.shards)-1)]
	s.mu.Lock()
	defer s.mu.Unlock()
	i, known := s.index[hash]
	if known {
		e := &s.entries[i]
		var d Decision
		e.filled, d = take(e.filled, now, limit, cost)
		return d
	}
	filled, d := take(0, now, limit, cost)
	if filled != 0 {
		s.add(entry{hash, filled}, now)
	}
	return d
}

// add adds an entry with a new hash.
func (s *shard) add(e entry, now int64) {
	s.sweep(now)
	i := len(s.entries)
	if i < s.max {
		s.entries = append(s.entries, e)
	} else {
		i = s.fullest()
		if s.entries[i].filled > now {
			s.evicted++
		}
		delete(s.index, s.entries[i].hash)
		s.entries[i] = e
	}
	s.index[e.hash] = int32(i)
}

// sweep forgets the full ones of the next few buckets.
func (s *shard) sweep(now int64) {
	for range min(sweepEntries, len(s.entries)) {
		i := s.next()
		if s.entries[i].filled > now {
			continue
		}
		delete(s.index, s.entries[i].hash)
		last := len(s.entries) - 1
		if i != last {
			s.entries[i] = s.entries[last]
			s.index[s.entries[i].hash] = int32(i)
		}
		s.entries = s.entries[:last]
		s.hand = i // what was moved here is next
	}
}

// fullest finds, among the next few entries, the one that is full first.
func (s *shard) fullest() int {
	best := s.next()
	for range min(evictEntries, len(s.entries)) - 1 {
		if i := s.next(); s.entries[i].filled < s.entries[best].filled {
			best = i
		}
	}
	return best
}

func (s *shard) next() int {
	if s.hand >= len(s.entries) {
		s.hand = 0
	}
	s.hand++
	return s.hand - 1
}

// MemoryStats are the figures of a Memory.
type MemoryStats struct {
	// Keys is how many keys are held, among them some whose buckets are full.
	Keys int
	// Evicted is how many keys were replaced before their buckets were full.
	// Their limits started anew; if it grows, WithMaxKeys is too low.
	Evicted int64
}

// Stats adds the figures up, shard by shard.
func (m *Memory) Stats() MemoryStats {
	var st MemoryStats
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		st.Keys += len(s.entries)
		st.Evicted += s.evicted
		s.mu.Unlock()
	}
	return st
}
