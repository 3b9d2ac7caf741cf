package xhr

import (
	"errors"
	"hash/maphash"
	"net/http"
	"slices"

	"github.com/carillon-rt/carillon/transport"
)

// A browser sends a request again, without a word to the page, when a connection
// that it has used before dies before the head of the answer has come: Chromium
// does so with POST too. What answered the first of the two has reached nobody. So
// the second gets the same, and what it sends does not arrive twice.

// mark tells a request from the others of its session, by what the client puts into
// the query against caches.
type mark struct {
	hash uint64 // 0 where the client puts nothing there
	peer uint64 // the connection that the request came over; 0 where hash is enough
}

// maxMark bounds, in bytes, what is taken for a mark: pusher-js and SockJS need
// 13 for a time in milliseconds, and some for a number.
const maxMark = 64

// mark returns the mark of a request. pusher-js states a time and a number, which
// no two requests of a page have in common. SockJS's own client states a time
// only: a request that sends is then known by its body too, since that client waits
// between them, and one that receives by coming over another connection, since a
// quick client may poll twice within a millisecond.
func (s *Server) mark(r *http.Request, body []byte) mark {
	query := r.URL.Query()
	t, n := query.Get("t"), query.Get("n")
	if t == "" || len(t)+len(n) > maxMark {
		return mark{}
	}
	var h maphash.Hash
	h.SetSeed(s.seed)
	_, _ = h.WriteString(t)
	_ = h.WriteByte(0)
	_, _ = h.WriteString(n)
	if n != "" {
		return mark{hash: h.Sum64() | 1}
	}
	_, _ = h.Write(body)
	return mark{hash: h.Sum64() | 1, peer: maphash.String(s.seed, r.RemoteAddr) | 1}
}

// repeats reports whether a request with mark m is the one with mark first, sent
// again.
func (m mark) repeats(first mark) bool {
	return m.hash != 0 && m.hash == first.hash && (m.peer == 0 || m.peer != first.peer)
}

// keepStart bounds, in bytes, what is kept of a streaming response. It is also
// forgotten with the first heartbeat: a connection that dies later than that has
// shown its client the head of the answer. A poll's answer is kept whole, which is
// about restart at most.
const keepStart = 64 << 10

// answer is what the latest request that receives was sent.
type answer struct {
	mark      mark
	open      bool                 // the open chunk
	messages  []*transport.Message // shared with all who got them
	beat      bool                 // a heartbeat
	last      bool                 // the close chunk
	forgotten bool                 // nothing is kept
}

// empty reports whether nothing has been sent.
func (a *answer) empty() bool {
	return !a.open && len(a.messages) == 0 && !a.beat && !a.last && !a.forgotten
}

// keep adds messages, of which a streaming response has been sent so many bytes.
func (a *answer) keep(messages []*transport.Message, mode Mode, written int) {
	if !mode.polls() && written > keepStart {
		a.forget()
	}
	if !a.forgotten {
		a.messages = append(a.messages, messages...)
	}
}

func (a *answer) forget() { a.messages, a.forgotten = nil, true }

// errForgotten ends a session whose client comes again for the start of a
// streaming response that is not kept any more: it has to know that something is
// lost.
var errForgotten = errors.New("response was asked for again too late")

// repeat appends to buf what was sent before. The caller holds mu.
func (c *session) repeat(buf []byte) []byte {
	a := &c.answer
	if a.open {
		buf = append(buf, openChunk...)
	}
	for _, m := range a.messages {
		buf = append(buf, m.In(chunks)...)
	}
	if a.beat {
		buf = append(buf, heartbeatChunk...)
	}
	if a.last {
		buf = append(buf, closeChunk(c.code, c.reason)...)
	}
	return buf
}

// rememberSends is how many marks of requests that send a session remembers.
// pusher-js makes one for each message and does not wait for the answer, but no
// browser has more under way than this.
const rememberSends = 128

// sends are the marks of the latest requests that sent, in a ring.
type sends struct {
	hashes []uint64
	next   int
}

// seen reports whether a request with this mark has sent before, and notes it.
func (s *sends) seen(m mark) bool {
	switch {
	case m.hash == 0:
		return false
	case slices.Contains(s.hashes, m.hash):
		return true
	case len(s.hashes) < rememberSends:
		s.hashes = append(s.hashes, m.hash)
	default:
		s.hashes[s.next] = m.hash
		s.next = (s.next + 1) % rememberSends
	}
	return false
}
