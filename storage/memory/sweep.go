package memory

import (
	"container/heap"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// sweepShards is the number of indexes of what expires. Appends touch one
	// only when a channel expires earlier than was known.
	sweepShards = 32
	// sweepBatch is the most channels that one append visits. It is more than
	// one, so that expired channels go faster than new ones come.
	sweepBatch = 8
)

// sweepShard is an index of channels by the time at which they have something to
// give back. Its lock is taken last: no other is taken under it.
type sweepShard struct {
	next   atomic.Int64 // the earliest due time on the store's clock
	mu     sync.Mutex
	visits visits // guarded by mu
	_      [24]byte
}

// visit is a channel's place in its index.
type visit struct {
	shard uint32
	at    time.Duration // guarded by the shard's mu
	index int           // guarded by the shard's mu; -1 when not planned
}

func newVisit() visit { return visit{shard: rand.Uint32N(sweepShards), index: -1} }

// plan sees to it that h is visited when it has something to give back. It only
// ever moves a visit forward: one that comes too early plans the next.
// The caller holds h.mu.
func (s *Store) plan(h *history) {
	at := h.nextRelease(s.forgetAfter)
	if at >= h.due {
		return
	}
	h.due = at
	shard := &s.sweeps[h.shard]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	h.at = at
	if h.index < 0 {
		heap.Push(&shard.visits, h)
	} else {
		heap.Fix(&shard.visits, h.index)
	}
	shard.update()
}

// cancel takes back what plan has planned. The caller holds h.mu.
func (s *Store) cancel(h *history) {
	shard := &s.sweeps[h.shard]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if h.index >= 0 {
		heap.Remove(&shard.visits, h.index)
		shard.update()
	}
}

// sweep visits a few channels that are due. Every append sweeps one index, which
// the caller picks so that all have their turn. No lock is held by the caller.
func (s *Store) sweep(turn uint64, now time.Duration) {
	shard := &s.sweeps[turn%sweepShards]
	if int64(now) < shard.next.Load() || !shard.mu.TryLock() {
		return
	}
	var due [sweepBatch]*history
	n := 0
	for n < sweepBatch && len(shard.visits) > 0 && shard.visits[0].at <= now {
		due[n] = heap.Pop(&shard.visits).(*history)
		n++
	}
	shard.update()
	shard.mu.Unlock()
	for _, h := range due[:n] {
		s.visit(h, now)
	}
}

func (s *Store) visit(h *history, now time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.gone:
	case h.release(now, s.forgetAfter):
		s.forget(h)
	default:
		h.due = never
		s.plan(h)
	}
}

// update publishes the earliest due time. The caller holds mu.
func (s *sweepShard) update() {
	next := never
	if len(s.visits) > 0 {
		next = s.visits[0].at
	}
	s.next.Store(int64(next))
}

// visits is a heap with the earliest visit on top.
type visits []*history

func (v visits) Len() int           { return len(v) }
func (v visits) Less(i, j int) bool { return v[i].at < v[j].at }

func (v visits) Swap(i, j int) {
	v[i], v[j] = v[j], v[i]
	v[i].index, v[j].index = i, j
}

// Push is for heap.Push only.
func (v *visits) Push(x any) {
	h := x.(*history)
	h.index = len(*v)
	*v = append(*v, h)
}

// Pop is for heap.Pop only.
func (v *visits) Pop() any {
	old := *v
	h := old[len(old)-1]
	old[len(old)-1] = nil
	*v = old[:len(old)-1]
	h.index = -1
	return h
}
