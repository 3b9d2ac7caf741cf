package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/transport"
)

// pastEvents are a stretch of a channel's history, oldest event first, that any number of
// subscriptions start with.
type pastEvents struct {
	events []Event
	// more says that there are older ones than the latest, which these are.
	more bool
	// end is up to where these are the channel's state: what is not among them has been
	// retracted, or has amended others. It is zero for a stretch of the log.
	end Position

	mu       sync.Mutex
	messages map[Protocol][]*transport.Message // guarded by mu
}

// message returns the i-th event in a protocol's words, encoded once for all.
func (p *pastEvents) message(protocol Protocol, i int) *transport.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.messages[protocol]
	if all == nil {
		all = make([]*transport.Message, len(p.events))
		if p.messages == nil {
			p.messages = make(map[Protocol][]*transport.Message, 1)
		}
		p.messages[protocol] = all
	}
	if all[i] == nil {
		all[i] = protocol.Encode(EventNotice{&p.events[i]})
	}
	return all[i]
}

// pastQuery asks for past events in the name of one subscription: every event after a
// position, or else the latest ones.
type pastQuery struct {
	ctx   context.Context
	after *Position
	// limit and bytes bound what is read.
	limit, bytes int
	// reach is where the channel's cursor stood when the subscription was attached: an
	// answer of the store that is older does not join what the subscription gets from
	// then on.
	reach Position

	tries int
	done  chan struct{} // closed when the rest is set
	found *pastEvents
	from  int // where those that are meant begin among found
	err   error
	// seen is after, if it was a position of the channel: what is before it must not
	// come again, be it that there is a gap behind it.
	seen Position
	// wasted is how many bytes were read for it that are too much for it.
	wasted int
}

const (
	// maxPastTries is how often a read is tried again whose answer is older than the
	// channel's cursor, and pastRetry how long after the first try.
	maxPastTries = 8
	pastRetry    = 10 * time.Millisecond
	// pastWindow is how long after a read has begun the next one may begin.
	pastWindow = 10 * time.Millisecond
	// maxAheadTries is how often one is tried again whose answer is older than the
	// position to go on from, which may be anybody's invention.
	maxAheadTries = 2
)

// settle ends the query with what a read has brought, those of found from an index on,
// unless that is older than what the subscription knows of: then it is to be read again.
func (q *pastQuery) settle(ch ChannelID, found *pastEvents, from int, page *storage.Page, err error) (again bool) {
	latest := page.Latest
	var gap *storage.GapError
	if q.after != nil && errors.As(err, &gap) {
		latest = gap.Latest
	}
	old := q.reach.After(latest)
	ahead := gap != nil && q.after.After(latest)
	switch {
	case err != nil && gap == nil:
		q.end(err)
	case gap == nil && q.after != nil && q.tooMuch(found.events[from:], page.More):
		q.seen, q.wasted = *q.after, dataBytes(found.events[from:])
		q.end(q.errTooMuch(ch))
	case old && q.tries < maxPastTries, ahead && q.tries < maxAheadTries:
		q.tries++
		return true
	case old:
		q.end(fmt.Errorf("history of channel %q is behind: it ends at %v, what was handed out at %v", ch.Name, latest, q.reach))
	case gap != nil:
		if !ahead {
			q.seen = *q.after
		}
		q.end(err)
	default:
		q.found, q.from = found, from
		if q.after != nil {
			q.seen = *q.after
		}
		q.end(nil)
	}
	return false
}

func (q *pastQuery) end(err error) {
	q.err = err
	close(q.done)
}

// events are those that were found.
func (q *pastQuery) events() []Event { return q.found.events[q.from:] }

// tooMuch reports whether the query has no room for events, or for more than those.
func (q *pastQuery) tooMuch(events []Event, more bool) bool {
	return more || len(events) > q.limit || dataBytes(events) > q.bytes
}

// errTooMuch is the gap of a subscription that has missed more events than it has room
// for.
func (q *pastQuery) errTooMuch(ch ChannelID) error {
	return fmt.Errorf("%w: channel %q: more was missed than there is room for, which is %d events or %d bytes",
		storage.ErrGap, ch.Name, q.limit, q.bytes)
}

// fit returns where the latest events begin that are within the query's bounds: one at
// least, if there is any.
func (q *pastQuery) fit(events []Event) int {
	from, bytes := len(events), 0
	for from > 0 && len(events)-from < q.limit {
		if bytes += len(events[from-1].Data); bytes > q.bytes && from < len(events) {
			break
		}
		from--
	}
	return from
}

func dataBytes(events []Event) (n int) {
	for i := range events {
		n += len(events[i].Data)
	}
	return n
}

// link makes the events of a page name the one before, as those do that follow a hole in
// the offsets: in what was read nothing lies between. after is what the page begins behind;
// zero for none.
func link(after Position, events []Event) {
	for i := range events {
		if !after.IsZero() {
			events[i].Prev = after
		}
		after = events[i].Position
	}
}

// before is the position before an event.
func before(ev *Event) Position {
	if ev.Prev.IsZero() {
		return Position{Epoch: ev.Position.Epoch, Offset: ev.Position.Offset - 1}
	}
	return ev.Prev
}

// covered reports whether an event at p has been part of the past up to last.
func covered(p, last Position) bool {
	return !p.IsZero() && !p.After(last)
}

// pastReader reads the past events of a channel for those who subscribe, once within
// pastWindow: those who come meanwhile share the next read, and what it is encoded to.
// However many clients come back at once, they cost a store no more than that.
type pastReader struct {
	mu      sync.Mutex
	waiting []*pastQuery // guarded by mu
	running bool         // guarded by mu
	// begun is when the last read began: its reader's alone.
	begun time.Time
}
