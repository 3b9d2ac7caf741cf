package broker

import (
	"context"
	"sync"

	"github.com/carillon-rt/carillon/transport"
)

// past is a stretch of a channel's history, oldest event first, that any number of
// subscriptions start with.
type past struct {
	events []Event

	mu       sync.Mutex
	messages map[Protocol][]*transport.Message // guarded by mu
}

// message returns the i-th event in a protocol's words, encoded once for all.
func (p *past) message(protocol Protocol, i int) *transport.Message {
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

// pastRead is what one subscription wants to know of the past: every event after a
// position, or else the latest ones.
type pastRead struct {
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
	from  int           // where its part of past begins
	past  *past
	err   error
	// seen is after, if it was a position of the channel: what is before it must not
	// come again, be it that there is a gap behind it.
	seen Position
}

// events are those that were read.
func (r *pastRead) events() []Event { return r.past.events[r.from:] }

// answer ends the read with the events from an index on.
func (r *pastRead) answer(p *past, from int) {
	r.past, r.from = p, from
	if r.after != nil {
		r.seen = *r.after
	}
	close(r.done)
}

// fail ends the read with an error.
func (r *pastRead) fail(err error) {
	r.err = err
	close(r.done)
}

// pastReader reads the past of a channel for those who subscribe. Whoever comes
// while the store is being read shares the next read: clients that come back all at
// once cost one.
type pastReader struct {
	mu      sync.Mutex
	waiting []*pastRead // guarded by mu
	running bool        // guarded by mu
}

// covered reports whether an event at p has been part of the past up to last.
func covered(p, last Position) bool {
	return !p.IsZero() && !p.After(last)
}
