package memory

import (
	"sort"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

// minRing is the number of events for which a channel that keeps more first
// makes room.
const minRing = 4

// entry is an event as it was published, and when it was appended, on the store's clock.
type entry struct {
	event storage.Event
	at    time.Duration
	now   *state // what amendments have made of it; nil if there were none
}

// ring holds a channel's events, oldest first. It grows with what it holds.
type ring struct {
	buf   []entry
	first int // index of the oldest entry
	n     int
}

// at returns the i-th oldest entry, 0 <= i < n.
func (r *ring) at(i int) *entry {
	if i += r.first; i >= len(r.buf) {
		i -= len(r.buf)
	}
	return &r.buf[i]
}

// find returns the entry at a position, or nil.
func (r *ring) find(p storage.Position) *entry {
	i := sort.Search(r.n, func(i int) bool { return !r.at(i).event.Position.Before(p) })
	if i == r.n || r.at(i).event.Position != p {
		return nil
	}
	return r.at(i)
}

// push makes room for a newest entry and returns it, to be filled. The first room
// is for no more than usual entries, and there is never more than for limit; the
// caller has seen to it that n < limit.
func (r *ring) push(usual, limit int) *entry {
	if r.n == len(r.buf) {
		r.resize(min(max(min(minRing, usual), 2*r.n), limit))
	}
	r.n++
	return r.at(r.n - 1)
}

// drop removes the k oldest entries.
func (r *ring) drop(k int) {
	for i := range k {
		*r.at(i) = entry{}
	}
	if r.n -= k; r.n == 0 {
		r.first = 0
		return
	}
	if r.first += k; r.first >= len(r.buf) {
		r.first -= len(r.buf)
	}
}

// compact gives back room that has been idle.
func (r *ring) compact() {
	if r.n <= len(r.buf)/4 {
		r.resize(r.n)
	}
}

// resize changes the room, which is to be at least n.
func (r *ring) resize(size int) {
	var buf []entry
	if size > 0 {
		buf = make([]entry, size)
	}
	for i := range r.n {
		buf[i] = *r.at(i)
	}
	r.buf, r.first = buf, 0
}
