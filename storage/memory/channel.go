package memory

import (
	"sync"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

// history is one life of a channel, from its first append until it is deleted or
// forgotten.
type history struct {
	id    storage.ChannelID
	epoch string

	mu     sync.Mutex
	gone   bool              // guarded by mu: no longer in the store
	latest uint64            // guarded by mu: the offset of the last event
	events ring              // guarded by mu: the events up to latest, without a gap
	keep   storage.Retention // guarded by mu: that of the last append
	keys   keys              // guarded by mu
	held   time.Duration     // guarded by mu: when nothing will be kept any more
	due    time.Duration     // guarded by mu: when the next visit is planned

	visit
}

func newHistory(id storage.ChannelID) *history {
	return &history{id: id, epoch: newEpoch(), due: never, visit: newVisit()}
}

// append adds an event. The caller holds h.mu.
func (h *history) append(ev *storage.Event, opts *storage.AppendOptions, now time.Duration) (storage.Appended, error) {
	if opts.IdempotencyKey != "" {
		if used, ok := h.keys.find(opts.IdempotencyKey, now); ok {
			first := h.position(used.offset)
			if used.hash != opts.RequestHash {
				return storage.Appended{}, &storage.KeyReusedError{Channel: h.id, Key: opts.IdempotencyKey, Position: first}
			}
			return storage.Appended{Position: first, Duplicate: true}, nil
		}
	}
	// By the retention so far: a wider one does not bring events back.
	h.expire(now)
	h.retain(opts.Retention, now)

	h.latest++
	pos := h.position(h.latest)
	if limit := h.keep.Events; limit > 0 {
		if h.events.n == limit {
			h.events.drop(1)
		}
		e := h.events.push(limit)
		e.event, e.at = *ev, now
		e.event.Position = pos
	}
	if opts.IdempotencyKey != "" {
		window := opts.IdempotencyWindow
		if window <= 0 {
			window = storage.DefaultIdempotencyWindow
		}
		h.keys.add(opts.IdempotencyKey, usedKey{h.latest, opts.RequestHash, after(now, window)}, now)
	}
	h.held = max(now, h.keys.until())
	if h.events.n > 0 {
		h.held = max(h.held, h.expiry(now))
	}
	return storage.Appended{Position: pos}, nil
}

// retain sets the retention and removes what it no longer keeps.
func (h *history) retain(keep storage.Retention, now time.Duration) {
	keep.Events, keep.Age = max(keep.Events, 0), max(keep.Age, 0)
	if keep == h.keep {
		return
	}
	h.keep = keep
	if over := h.events.n - keep.Events; over > 0 {
		h.events.drop(over)
	}
	if len(h.events.buf) > keep.Events {
		h.events.resize(h.events.n)
	}
	h.expire(now)
}

// expire removes the events that are too old.
func (h *history) expire(now time.Duration) {
	n := 0
	for n < h.events.n && now >= h.expiry(h.events.at(n).at) {
		n++
	}
	if n > 0 {
		h.events.drop(n)
	}
}

// expiry returns when an event appended at t expires.
func (h *history) expiry(t time.Duration) time.Duration {
	if h.keep.Age == 0 {
		return never
	}
	return after(t, h.keep.Age)
}

func (h *history) position(offset uint64) storage.Position {
	return storage.Position{Epoch: h.epoch, Offset: offset}
}

// read returns a page. The caller holds h.mu.
func (h *history) read(opts storage.ReadOptions, now time.Duration) (storage.Page, error) {
	h.expire(now)
	page := storage.Page{Latest: h.position(h.latest)}
	// Offsets first to last are kept; there are none if first is after last.
	first, last := h.latest-uint64(h.events.n)+1, h.latest
	if from := opts.From; !from.IsZero() {
		if from.Epoch != h.epoch || from.Offset > h.latest || !opts.Backward && from.Offset+1 < first {
			return storage.Page{}, h.gap(from)
		}
		if opts.Backward {
			// Offset 0 stands before the first event, so nothing is older.
			last = max(from.Offset, 1) - 1
		} else {
			first = from.Offset + 1
		}
	}
	if first > last {
		return page, nil
	}
	n := last - first + 1
	if opts.Limit > 0 && n > uint64(opts.Limit) {
		n, page.More = uint64(opts.Limit), true
	}
	page.Events = make([]storage.Event, n)
	oldest := h.latest - uint64(h.events.n) + 1
	for i := range page.Events {
		offset := first + uint64(i)
		if opts.Backward {
			offset = last - uint64(i)
		}
		page.Events[i] = h.events.at(int(offset - oldest)).event
	}
	return page, nil
}

func (h *history) gap(from storage.Position) *storage.GapError {
	e := &storage.GapError{Channel: h.id, From: from, Latest: h.position(h.latest)}
	if h.events.n > 0 {
		e.Oldest = h.events.at(0).event.Position
	}
	return e
}

// release gives back what has expired, and reports whether the channel is to be
// forgotten. The caller holds h.mu.
func (h *history) release(now, forgetAfter time.Duration) (forget bool) {
	h.expire(now)
	h.events.compact()
	h.keys.expire(now)
	return h.empty() && now >= after(h.held, forgetAfter)
}

func (h *history) empty() bool { return h.events.n == 0 && h.keys.until() == 0 }

// nextRelease returns when release will have something to do.
func (h *history) nextRelease(forgetAfter time.Duration) time.Duration {
	if h.empty() {
		return after(h.held, forgetAfter)
	}
	next := never
	if n := h.events.n; n > 0 {
		next = h.expiry(h.events.at(n - 1).at)
	}
	if until := h.keys.until(); until > 0 {
		next = min(next, until)
	}
	return next
}
