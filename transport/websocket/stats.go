package websocket

import (
	"sync/atomic"

	"github.com/puzpuzpuz/xsync/v3"
)

// Stats are figures of a server since it was made. All but Open only grow.
type Stats struct {
	// Open is how many connections there are now, those in their handshake or
	// ending included. Accepted is how many handshakes were completed.
	Open, Accepted int64
	// Refused is how many clients found no room.
	Refused int64

	// MessagesIn and BytesIn are the messages handed to receivers and their
	// payload.
	MessagesIn, BytesIn int64
	// MessagesOut are the messages wholly handed to the system, BytesOut all
	// the bytes, framing and control frames included, and Writes the calls that
	// it took.
	MessagesOut, BytesOut, Writes int64
	// Dropped are messages that were queued when their connection ended before
	// they could be sent.
	Dropped int64

	// Blocked is how often a full socket was handed to a goroutine of its own.
	Blocked int64
	// Slow are connections whose queue was full at least once.
	Slow int64
	// WriteTimeouts and CloseTimeouts are connections cut off for that.
	WriteTimeouts, CloseTimeouts int64
	// ProtocolErrors, Binary, InvalidData, Floods and Oversized are connections
	// ended for the error of that name: 1002, 1003, 1007, 1008 and 1009.
	ProtocolErrors, Binary, InvalidData, Floods, Oversized int64
	// Panics are how often a receiver has panicked: while it received, which ends
	// its connection with 1011, or when it was told of the end.
	Panics int64
}

// counters are what Stats sums up. Those of the paths that carry messages are
// striped or, for flushers, their own.
type counters struct {
	accepted            atomic.Int64
	refused             atomic.Int64
	messagesIn, bytesIn *xsync.Counter
	out                 sent
	dropped             atomic.Int64
	blocked             atomic.Int64
	slow                atomic.Int64
	writeTimeouts       atomic.Int64
	closeTimeouts       atomic.Int64
	protocolErrors      atomic.Int64
	binary              atomic.Int64
	invalidData         atomic.Int64
	floods              atomic.Int64
	oversized           atomic.Int64
	panics              atomic.Int64
}

// sent counts what was written.
type sent struct {
	messages, bytes, writes atomic.Int64
}

// Stats returns the server's figures. They are read one after another, so that
// those of a busy server may not add up exactly.
func (s *Server) Stats() Stats {
	n := &s.counters
	st := Stats{
		Accepted:       n.accepted.Load(),
		Refused:        n.refused.Load(),
		MessagesIn:     n.messagesIn.Value(),
		BytesIn:        n.bytesIn.Value(),
		MessagesOut:    n.out.messages.Load(),
		BytesOut:       n.out.bytes.Load(),
		Writes:         n.out.writes.Load(),
		Dropped:        n.dropped.Load(),
		Blocked:        n.blocked.Load(),
		Slow:           n.slow.Load(),
		WriteTimeouts:  n.writeTimeouts.Load(),
		CloseTimeouts:  n.closeTimeouts.Load(),
		ProtocolErrors: n.protocolErrors.Load(),
		Binary:         n.binary.Load(),
		InvalidData:    n.invalidData.Load(),
		Floods:         n.floods.Load(),
		Oversized:      n.oversized.Load(),
		Panics:         n.panics.Load(),
	}
	for _, f := range s.flushers {
		st.MessagesOut += f.sent.messages.Load()
		st.BytesOut += f.sent.bytes.Load()
		st.Writes += f.sent.writes.Load()
	}
	s.mu.Lock()
	st.Open = int64(s.open)
	s.mu.Unlock()
	return st
}
