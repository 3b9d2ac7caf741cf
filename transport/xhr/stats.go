package xhr

import "sync/atomic"

// Stats are the numbers of a server since it was made. All but Sessions only
// grow.
type Stats struct {
	// Sessions is how many there are now.
	Sessions int
	// Refused is how many clients found no room.
	Refused int64
	// Expired are sessions that ended because no request came for them.
	Expired int64
	// Slow are sessions whose queue was full at least once.
	Slow int64
	// Dropped are messages that were queued, or being written, when their
	// session ended.
	Dropped int64
	// WriteErrors are sessions that ended because their client did not take in
	// what was written.
	WriteErrors int64
	// Repeated are requests that a browser sent again because their connection
	// died: they got the same answer, and what they sent had arrived.
	Repeated int64
	// Crowded are requests that were refused since their session had more under way
	// than browsers have: its receiver was not done with those before.
	Crowded int64
	// ReadTimeouts are requests whose body did not come in time, or was the slowest
	// of more than may come in at once, Oversized those
	// whose body was over the limit, and Invalid those whose body was not a JSON
	// array of strings.
	ReadTimeouts, Oversized, Invalid int64
}

// Stats returns the server's numbers.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	sessions := len(s.sessions)
	s.mu.Unlock()
	n := &s.counters
	return Stats{
		Sessions: sessions, Refused: n.refused.Load(), Expired: n.expired.Load(), Slow: n.slow.Load(),
		Dropped: n.dropped.Load(), WriteErrors: n.writeErrors.Load(), Repeated: n.repeated.Load(), ReadTimeouts: n.readTimeouts.Load(),
		Crowded: n.crowded.Load(), Oversized: n.oversized.Load(), Invalid: n.invalids.Load(),
	}
}

// counters are what Stats reports.
type counters struct {
	refused, expired, slow, dropped                atomic.Int64
	repeated, crowded                              atomic.Int64
	writeErrors, readTimeouts, oversized, invalids atomic.Int64
}
