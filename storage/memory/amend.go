package memory

import (
	"context"
	"sort"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

// amended is what a channel has beside its log from its first amendment on.
type amended struct {
	// index has the position of the latest event with an ID, of those that can be
	// amended.
	index map[string]storage.Position
	// old are events that are kept although the log begins after them, oldest first:
	// the log is cut so that it does not have too many amendments. While there are any,
	// nothing in the log is hidden.
	old ring
	// gone is the position of the last event that was removed from old.
	gone storage.Position
	// inLog counts the amendments in the log that are not hidden, and pending those and
	// the events that are counted already but are not in the ring yet.
	inLog                          int
	pendingAmendment, pendingEvent int
}

// state is what amendments have made of an event. It is never changed.
type state struct {
	data    []byte
	version uint64
}

// current returns the event as it is now.
func (e *entry) current() storage.Event {
	ev := e.event
	if e.now != nil {
		ev.Data, ev.Version = e.now.data, e.now.version
	}
	return ev
}

// Target implements storage.Amend.
func (s *Store) Target(ctx context.Context, ch storage.ChannelID, id string) (storage.Event, error) {
	if err := ctx.Err(); err != nil {
		return storage.Event{}, err
	}
	h := s.lockHistory(ch, false)
	if h == nil {
		return storage.Event{}, &storage.TargetError{Channel: ch, Target: id, Err: storage.ErrNoTarget}
	}
	defer h.mu.Unlock()
	h.expire(s.now(), 0)
	e, err := h.target(id)
	if err != nil {
		return storage.Event{}, err
	}
	return e.current(), nil
}

// Amend implements storage.Amend. It keeps a.Data as it is.
func (s *Store) Amend(ctx context.Context, ch storage.ChannelID, a storage.Amendment) (storage.Amended, error) {
	if err := ctx.Err(); err != nil {
		return storage.Amended{}, err
	}
	h := s.lockHistory(ch, true)
	now := s.now()
	out, err := h.amend(&a, now)
	s.plan(h)
	h.mu.Unlock()
	if err == nil && !out.Duplicate && s.commits.wanted() {
		told := *a.Event
		told.Position, told.Prev = out.Position, out.Prev
		s.commits.tell(storage.Commit{Channel: ch, Latest: out.Position, Event: &told})
	}
	s.sweep(uint64(h.shard)+out.Position.Offset, now)
	return out, err
}

// amend changes an event and appends what announces it. The caller holds h.mu.
func (h *history) amend(a *storage.Amendment, now time.Duration) (storage.Amended, error) {
	if first, used, err := h.used(&a.Options, now); used {
		out := storage.Amended{Appended: storage.Appended{Position: first, Duplicate: err == nil}}
		if e := h.events.find(first); e != nil {
			out.Version = e.event.Version
		}
		return out, err
	}
	h.retain(a.Options.Retention, now)
	h.expire(now, 0)
	e, err := h.target(a.Target)
	if err != nil {
		return storage.Amended{}, err
	}
	is := e.current()
	switch {
	case is.Retracted:
		return storage.Amended{}, &storage.TargetError{Channel: h.id, Target: a.Target, Err: storage.ErrRetracted}
	case is.Version != a.Version:
		return storage.Amended{}, &storage.StaleVersionError{Channel: h.id, Target: a.Target, Version: a.Version, Current: is.Version}
	}
	next := &state{data: a.Data, version: is.Version + 1}
	switch a.Kind {
	case storage.Extend:
		next.data = append(append(make([]byte, 0, len(is.Data)+len(a.Data)), is.Data...), a.Data...)
		fallthrough
	case storage.Edit:
		e.now = next
	case storage.Retract:
		h.retract(e, next.version)
	}
	out, err := h.append(a.Event, &a.Options, now)
	return storage.Amended{Appended: out, Version: next.version}, err
}

// retract removes the data of an event, and of all that has amended it.
func (h *history) retract(e *entry, version uint64) {
	id, was := e.event.ID, e.now != nil
	e.event.Data, e.event.Retracted, e.event.Version, e.now = nil, true, version, nil
	for i := 0; was && i < h.events.n; i++ {
		if ev := &h.events.at(i).event; ev.Amends != 0 && ev.Target == id {
			ev.Data, ev.Retracted = nil, true
		}
	}
}

// target finds an event that can be amended. What is not kept any more has been hidden.
func (h *history) target(id string) (*entry, error) {
	if h.amended == nil {
		h.startAmending()
	}
	at, ok := h.amended.index[id]
	if !ok {
		return nil, &storage.TargetError{Channel: h.id, Target: id, Err: storage.ErrNoTarget}
	}
	if e := h.events.find(at); e != nil {
		return e, nil
	}
	return h.amended.old.find(at), nil
}

// startAmending makes the index of what is kept.
func (h *history) startAmending() {
	h.amended = &amended{index: make(map[string]storage.Position)}
	oldest := h.oldest()
	for n := max(h.hidden+1, oldest); n <= h.latest; n++ {
		ev := &h.events.at(int(n - oldest)).event
		h.amended.index[ev.ID] = ev.Position
	}
}

// coming counts an event that is about to be pushed.
func (a *amended) coming(ev *storage.Event, at storage.Position, kept bool) {
	switch {
	case ev.Amends != 0:
		a.pendingAmendment = 1
	default:
		a.pendingEvent = 1
		if kept {
			a.index[ev.ID] = at
		}
	}
}

// forget takes an event out of the index.
func (a *amended) forget(ev *storage.Event) {
	if a.index[ev.ID] == ev.Position {
		delete(a.index, ev.ID)
	}
}

// hideAmended is hide for a channel with amendments, which do not count as events. It
// also cuts the log where that has too many of them.
func (h *history) hideAmended(now time.Duration, first uint64) {
	a := h.amended
	newEvent, newAmendment := a.pendingEvent, a.pendingAmendment
	a.pendingEvent, a.pendingAmendment = 0, 0
	hide := func(number uint64) {
		h.hidden = number
		if ev := &h.events.at(int(number - first)).event; ev.Amends != 0 {
			a.inLog--
		} else {
			a.forget(ev)
		}
	}
	dropOld := func() {
		a.gone = a.old.at(0).event.Position
		a.forget(&a.old.at(0).event)
		a.old.drop(1)
	}
	end := first + uint64(h.events.n)
	for a.old.n > 0 && now >= h.expiry(a.old.at(0).at) {
		dropOld()
	}
	for next := max(h.hidden+1, first); next < end && now >= h.expiry(h.events.at(int(next-first)).at); next++ {
		hide(next)
	}
	for {
		next := max(h.hidden+1, first)
		if int(end-next)-a.inLog+a.old.n+newEvent <= h.keep.Events {
			break
		}
		if a.old.n > 0 {
			dropOld()
		} else if next < end {
			hide(next)
		} else {
			h.hidden = h.latest // the coming event is not kept
			break
		}
	}
	a.inLog += newAmendment
	for most := max(h.keep.Events, storage.FillEvents); a.inLog > most && h.events.n > 0; first++ {
		e := h.events.at(0)
		switch {
		case first <= h.hidden:
		case e.event.Amends != 0:
			a.inLog--
		default:
			*a.old.push(h.keep.Events, h.keep.Events) = *e
		}
		h.events.drop(1)
	}
}

// readCurrent reads what amendments have made of the events.
func (h *history) readCurrent(opts storage.ReadOptions) (storage.Page, error) {
	page := storage.Page{Latest: h.position()}
	a := h.amended
	// Events are counted over old and the log: from low up to, but without, high.
	oldest := h.oldest()
	low, high := 0, a.old.n+h.events.n
	if h.hidden >= oldest {
		low = a.old.n + int(h.hidden-oldest+1)
	}
	at := func(i int) *entry {
		if i < a.old.n {
			return a.old.at(i)
		}
		return h.events.at(i - a.old.n)
	}
	if from := opts.From; !from.IsZero() {
		n, known := h.number(from)
		if !known || !opts.Backward && (n < h.hidden || from.Before(a.gone)) {
			gap := &storage.GapError{Channel: h.id, From: from, Latest: page.Latest}
			if low < high {
				gap.Oldest = at(low).event.Position
			}
			return storage.Page{}, gap
		}
		if opts.Backward {
			high = max(low, sort.Search(high, func(i int) bool {
				c := at(i).event.Position.Compare(from)
				return c > 0 || c == 0 && !opts.Inclusive
			}))
		} else {
			low = max(low, sort.Search(high, func(i int) bool { return at(i).event.Position.After(from) }))
		}
	}
	for n, bytes := high-low, 0; n > 0; n-- {
		i := high - n
		if opts.Backward {
			i = low + n - 1
		}
		if at(i).event.Amends != 0 {
			continue
		}
		ev := at(i).current()
		bytes += len(ev.Data)
		if k := len(page.Events); opts.MaxEvents > 0 && k == opts.MaxEvents || opts.MaxBytes > 0 && k > 0 && bytes > opts.MaxBytes {
			page.More = true
			break
		}
		page.Events = append(page.Events, ev)
	}
	return page, nil
}
