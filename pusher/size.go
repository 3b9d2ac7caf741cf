package pusher

import (
	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/transport"
)

// sizes bounds what events become when they are encoded: what does not fit into
// a queue cuts off everybody who gets it.
type sizes struct {
	// wires are what a handler sends by: an event takes no more than half of the
	// queue that is empty.
	wires []wire
	// free is how many bytes of data fit however they are encoded.
	free int
}

type wire struct {
	protocol broker.Protocol
	queue    transport.Queue
}

const (
	// worstGrowth is how many bytes one of data becomes at most: \u0001, whose
	// backslash a chunk of the HTTP fallback escapes once more.
	worstGrowth = 7
	// worstEnvelope bounds what is around the data: names of quotes only.
	worstEnvelope = 4 << 10
)

func newSizes(wires ...wire) *sizes {
	s := &sizes{wires: wires}
	least := wires[0].queue.ByteLimit
	for i := range wires {
		least = min(least, wires[i].queue.ByteLimit)
	}
	s.free = max(least/2-worstEnvelope, 0) / worstGrowth
	return s
}

// check returns a *broker.FieldError for an event that is too large.
func (s *sizes) check(ev broker.Event) error {
	for i := range s.wires {
		w := &s.wires[i]
		limit := w.queue.ByteLimit / 2
		if size := w.queue.Size(w.protocol.Encode(broker.EventNotice{Event: &ev})); size > limit {
			return &broker.FieldError{Field: "data", Problem: "is too large once it is encoded, in bytes", Limit: limit, Got: size}
		}
	}
	return nil
}
