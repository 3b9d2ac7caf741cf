package memory

import (
	"slices"
	"sync"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

// history is what is kept of a channel. Its events are numbered in the order of
// their appends, over all epochs: number 1 is the channel's first.
type history struct {
	id storage.ChannelID

	mu     sync.Mutex
	gone   bool              // guarded by mu: no longer in the store
	era    era               // guarded by mu: the current one; its epoch is zero in a history that nobody has locked yet
	before []era             // guarded by mu: the eras before it, oldest first
	latest uint64            // guarded by mu: the number of the last event
	hidden uint64            // guarded by mu: the retention keeps what has a higher number
	events ring              // guarded by mu: the events up to latest, without a gap
	keep   storage.Retention // guarded by mu: that of the last append
	keys   keys              // guarded by mu
	// amended is nil unless an event has been amended.
	amended *amended      // guarded by mu
	held    time.Duration // guarded by mu: when nothing will be kept any more
	due     time.Duration // guarded by mu: when the next visit is planned

	visit
}

// era is a stretch of a channel's history within one epoch.
type era struct {
	epoch storage.Epoch
	start uint64 // the number of the event before its first
}

// maxEras is how many eras before the current one a channel remembers.
const maxEras = 16

func newHistory(id storage.ChannelID) *history {
	return &history{id: id, due: never, visit: newVisit()}
}

// append adds an event. The caller holds h.mu.
func (h *history) append(ev *storage.Event, opts *storage.AppendOptions, now time.Duration) (storage.Appended, error) {
	if first, used, err := h.used(opts, now); used {
		return storage.Appended{Position: first, Duplicate: err == nil}, err
	}
	h.retain(opts.Retention, now)

	var prev storage.Position
	if last := h.position(); last.Before(opts.Floor) {
		prev = last
		h.startEra(opts.Floor.Epoch)
	}
	h.latest++
	pos := h.position()
	if h.amended != nil {
		h.amended.coming(ev, pos, h.keep.Events > 0)
	}
	h.expire(now, 1)
	if h.keep.Events > 0 {
		e := h.events.push(h.keep.Events, h.room())
		e.event, e.at = *ev, now
		e.event.Position, e.event.Prev = pos, prev
	}
	if opts.IdempotencyKey != "" {
		window := opts.IdempotencyWindow
		if window <= 0 {
			window = storage.DefaultIdempotencyWindow
		}
		h.keys.add(opts.IdempotencyKey, usedKey{pos, opts.RequestHash, after(now, window)}, now)
	}
	h.held = max(now, h.keys.until())
	if h.events.n > 0 {
		h.held = max(h.held, h.expiry(now), after(now, storage.FillAge))
	}
	return storage.Appended{Position: pos, Prev: prev}, nil
}

// used looks at the idempotency key of a call. If it was used it returns the first
// position, or the error that refuses it for another request.
func (h *history) used(opts *storage.AppendOptions, now time.Duration) (first storage.Position, used bool, err error) {
	if opts.IdempotencyKey == "" {
		return storage.Position{}, false, nil
	}
	use, ok := h.keys.find(opts.IdempotencyKey, now)
	if ok && use.hash != opts.RequestHash {
		return storage.Position{}, true, &storage.KeyReusedError{Channel: h.id, Key: opts.IdempotencyKey, Position: use.first}
	}
	return use.first, ok, nil
}

// startEra begins an epoch that is newer than floor.
func (h *history) startEra(floor storage.Epoch) {
	if h.era.epoch.Compare(floor) > 0 {
		floor = h.era.epoch
	}
	if len(h.before) == maxEras {
		h.before = slices.Delete(h.before, 0, 1)
	}
	h.before = append(h.before, h.era)
	h.era = era{storage.NewEpoch(floor), h.latest}
}

// position returns the latest position.
func (h *history) position() storage.Position {
	return storage.Position{Epoch: h.era.epoch, Offset: h.latest - h.era.start}
}

// number returns the number of the event at a position, and whether it is one of
// the channel's.
func (h *history) number(p storage.Position) (uint64, bool) {
	e, end := h.era, h.latest
	for i := len(h.before) - 1; e.epoch != p.Epoch; i-- {
		if i < 0 {
			return 0, false
		}
		e, end = h.before[i], e.start
	}
	return e.start + p.Offset, p.Offset <= end-e.start
}

// oldest returns the number of the oldest event there is, and of latest+1 if there
// is none.
func (h *history) oldest() uint64 { return h.latest - uint64(h.events.n) + 1 }

// retain sets the retention and removes what it no longer keeps.
func (h *history) retain(keep storage.Retention, now time.Duration) {
	keep.Events, keep.Age = max(keep.Events, 0), max(keep.Age, 0)
	if keep == h.keep {
		return
	}
	// First by the retention so far: a wider one does not bring events back.
	h.expire(now, 0)
	h.keep = keep
	h.expire(now, 0)
	if len(h.events.buf) > h.room() {
		h.events.resize(h.events.n)
	}
}

// room is the most entries that the log may have.
func (h *history) room() int {
	room := max(h.keep.Events, storage.FillEvents)
	if h.amended != nil {
		room *= 2
	}
	return room
}

// expire hides what the retention does not keep, and removes what is not kept for
// fills either. With coming at 1 it makes room for an event that is counted in
// latest, but not in the ring yet.
func (h *history) expire(now time.Duration, coming int) {
	first := h.oldest() - uint64(coming)
	if h.amended != nil {
		h.hideAmended(now, first)
		first = h.oldest() - uint64(coming)
	} else {
		h.hide(now, first)
	}
	n := 0
	for ; n < h.events.n && first+uint64(n) <= h.hidden; n++ {
		fill := h.keep.Events > 0 && h.events.n-n+coming <= storage.FillEvents
		if fill && now < after(h.events.at(n).at, storage.FillAge) {
			break
		}
	}
	if n > 0 {
		h.events.drop(n)
	}
}

// hide hides what the retention does not keep, where first is the number of the oldest
// event in the ring.
func (h *history) hide(now time.Duration, first uint64) {
	if keep := uint64(h.keep.Events); h.latest > keep {
		h.hidden = max(h.hidden, h.latest-keep)
	}
	for next := max(h.hidden+1, first); next < first+uint64(h.events.n); next++ {
		if now < h.expiry(h.events.at(int(next-first)).at) {
			break
		}
		h.hidden = next
	}
}

// expiry returns when an event appended at t expires.
func (h *history) expiry(t time.Duration) time.Duration {
	if h.keep.Age == 0 {
		return never
	}
	return after(t, h.keep.Age)
}

// read returns a page. The caller holds h.mu.
func (h *history) read(opts storage.ReadOptions, now time.Duration) (storage.Page, error) {
	h.expire(now, 0)
	if opts.Current && h.amended != nil {
		return h.readCurrent(opts)
	}
	page := storage.Page{Latest: h.position()}
	// Numbers first to last are to be read; there are none if first is after last.
	oldest := h.oldest()
	first, last := max(oldest, h.hidden+1), h.latest
	if opts.Fill {
		first = oldest
	}
	if !opts.From.IsZero() {
		from, known := h.number(opts.From)
		switch {
		case !known || !opts.Backward && from+1 < first:
			return storage.Page{}, h.gap(opts.From, first)
		case !opts.Backward:
			first = from + 1
		case opts.Inclusive || opts.From.Offset == 0: // where no event is
			last = from
		default:
			last = from - 1
		}
	}
	n, bytes := 0, 0
	for ; first+uint64(n) <= last; n++ {
		if opts.MaxEvents > 0 && n == opts.MaxEvents {
			page.More = true
			break
		}
		if opts.MaxBytes > 0 {
			bytes += len(h.events.at(int(pick(first, last, n, opts.Backward) - oldest)).event.Data)
			if n > 0 && bytes > opts.MaxBytes {
				page.More = true
				break
			}
		}
	}
	if n == 0 {
		return page, nil
	}
	page.Events = make([]storage.Event, n)
	for i := range page.Events {
		page.Events[i] = h.events.at(int(pick(first, last, i, opts.Backward) - oldest)).event
	}
	return page, nil
}

// pick returns the i-th of the numbers from first to last, or back.
func pick(first, last uint64, i int, backward bool) uint64 {
	if backward {
		return last - uint64(i)
	}
	return first + uint64(i)
}

// gap says that first is the number of the first event that could be read.
func (h *history) gap(from storage.Position, first uint64) *storage.GapError {
	e := &storage.GapError{Channel: h.id, From: from, Latest: h.position()}
	if first <= h.latest {
		e.Oldest = h.events.at(int(first - h.oldest())).event.Position
	}
	return e
}

// clear forgets all events and keys, but no position.
func (h *history) clear(now time.Duration) {
	h.hidden = h.latest
	h.events, h.keys, h.keep, h.amended = ring{}, keys{}, storage.Retention{}, nil
	h.held = now
}

// release gives back what has expired, and reports whether the channel is to be
// forgotten. The caller holds h.mu.
func (h *history) release(now, forgetAfter time.Duration) (forget bool) {
	h.expire(now, 0)
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
	if kept := int(h.latest - h.hidden); kept > 0 {
		next = h.expiry(h.events.at(h.events.n - 1).at)
	}
	if spare := h.events.n - int(h.latest-h.hidden); spare > 0 {
		next = min(next, after(h.events.at(spare-1).at, storage.FillAge))
	}
	if until := h.keys.until(); until > 0 {
		next = min(next, until)
	}
	return next
}
