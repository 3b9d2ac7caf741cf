package console

import (
	"sync"
	"time"
)

// The texts of an entry of the log.
const (
	textApp = iota
	textChannel
	textEvent
	textID
	textPosition
	textSession
	textUser
	textIP
	textReason
	textURL
	textMessage
	textData
	texts
)

// maxText is how much of any text but the data an entry keeps: more than a name may have.
const maxText = 512

// facts are what an entry has besides texts.
type facts struct {
	at     time.Time
	kind   kind
	took   time.Duration
	cut    bool // there is more data
	json   bool
	size   int // of the data
	to     int // subscribers
	passed int // excluded
	code   int // close code or status
	try    int // attempt
}

// record is an entry that is to be written.
type record struct {
	facts
	texts [texts]string
	data  []byte
}

// eventLog is a ring of what has happened. What it takes is copied into segments of fixed
// size, so that it holds on to nothing of others, makes no garbage, and is bounded in bytes;
// the oldest segment makes room for the newest.
type eventLog struct {
	mu       sync.Mutex
	segments []*segment // guarded by mu: oldest first
	next     uint64     // guarded by mu: the number of the next entry

	segmentEntries, segmentBytes, dataBytes int
}

// segment is a stretch of the log.
type segment struct {
	first   uint64
	entries []stored
	buf     []byte
}

// stored is an entry within its segment: where each text ends in the buffer. The first one
// begins at start.
type stored struct {
	facts
	start uint32
	ends  [texts]uint32
}

const logSegments = 64

func newEventLog(l Limits) *eventLog {
	g := &eventLog{next: 1, dataBytes: l.DataBytes,
		segmentEntries: max(l.Events/logSegments, 1), segmentBytes: max(l.EventBytes/logSegments, 1)}
	// One entry fits into a segment in any case.
	g.segmentBytes = max(g.segmentBytes, g.dataBytes+(texts-1)*maxText)
	return g
}

// add writes an entry, and returns its number.
func (g *eventLog) add(r *record) uint64 {
	size := 0
	for i := range r.texts {
		if len(r.texts[i]) > maxText {
			r.texts[i] = cut(r.texts[i], maxText)
		}
		size += len(r.texts[i])
	}
	data := r.data
	if len(data) > g.dataBytes {
		data, r.cut = data[:g.dataBytes], true
	}
	size += len(data)

	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.room(size)
	e := stored{facts: r.facts, start: uint32(len(s.buf))}
	for i := range r.texts {
		s.buf = append(s.buf, r.texts[i]...)
		if i == textData {
			s.buf = append(s.buf, data...)
		}
		e.ends[i] = uint32(len(s.buf))
	}
	s.entries = append(s.entries, e)
	g.next++
	return g.next - 1
}

// room returns the segment that has room for so many bytes. The caller holds mu.
func (g *eventLog) room(size int) *segment {
	if n := len(g.segments); n > 0 {
		last := g.segments[n-1]
		if len(last.entries) < cap(last.entries) && len(last.buf)+size <= cap(last.buf) {
			return last
		}
	}
	var s *segment
	if len(g.segments) >= logSegments {
		s = g.segments[0]
		copy(g.segments, g.segments[1:])
		g.segments = g.segments[:len(g.segments)-1]
		s.entries, s.buf = s.entries[:0], s.buf[:0]
	} else {
		s = &segment{entries: make([]stored, 0, g.segmentEntries), buf: make([]byte, 0, g.segmentBytes)}
	}
	s.first = g.next
	g.segments = append(g.segments, s)
	return s
}

// bounds are the numbers of the oldest entry and of the one after the newest, and how many
// entries have made room.
func (g *eventLog) bounds() (oldest, next, dropped uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	oldest = g.next
	if len(g.segments) > 0 {
		oldest = g.segments[0].first
	}
	return oldest, g.next, oldest - 1 // the first one is 1
}

// logged is an entry that was read: its texts lie in a copy that it shares with those read
// with it.
type logged struct {
	stored
	seq  uint64
	base string
}

func (e *logged) text(i int) string {
	begin := e.start
	if i > 0 {
		begin = e.ends[i-1]
	}
	return e.base[begin:e.ends[i]]
}

// chunk is how many entries are copied while the log is locked.
const chunk = 64

// read copies entries from a number on, as far as they are there, at most chunk of them. It
// returns fewer at the end of a segment, and none at the end of the log.
func (g *eventLog) read(from uint64, into []logged) []logged {
	into = into[:0]
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.segments {
		if from < s.first {
			from = s.first
		}
		if i := from - s.first; i < uint64(len(s.entries)) {
			return s.copy(int(i), min(int(i)+chunk, len(s.entries)), into)
		}
	}
	return into
}

// readBack copies the entries before a number, at most chunk of them, oldest first.
func (g *eventLog) readBack(before uint64, into []logged) []logged {
	into = into[:0]
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := len(g.segments) - 1; i >= 0; i-- {
		s := g.segments[i]
		if before <= s.first {
			continue
		}
		end := int(min(before-s.first, uint64(len(s.entries))))
		return s.copy(max(end-chunk, 0), end, into)
	}
	return into
}

// copy copies entries of the segment. The caller holds the log's mu.
func (s *segment) copy(from, to int, into []logged) []logged {
	if from == to {
		return into
	}
	begin := s.entries[from].start
	base := string(s.buf[begin:s.entries[to-1].ends[textData]])
	for i := from; i < to; i++ {
		e := logged{stored: s.entries[i], seq: s.first + uint64(i), base: base}
		e.start -= begin
		for t := range e.ends {
			e.ends[t] -= begin
		}
		into = append(into, e)
	}
	return into
}

// at reads one entry.
func (g *eventLog) at(seq uint64) (e logged, ok bool) {
	some := g.read(seq, nil)
	if len(some) == 0 || some[0].seq != seq {
		return e, false
	}
	return some[0], true
}
