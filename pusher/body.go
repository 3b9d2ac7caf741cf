package pusher

import (
	"container/list"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// BodyTimeout is how long a client may take to send the body of a request.
	BodyTimeout = 10 * time.Second
	// refusedBodyTimeout is how long the rest of a body is thrown away that nobody
	// wants: some clients read the answer only when they have sent all.
	refusedBodyTimeout = time.Second
)

// bodies reads the bodies of requests: what a client sends is bounded in size and
// time, and who holds it back keeps no http.Server from shutting down. It is safe
// for concurrent use.
type bodies struct {
	// max is how many are read at once; 0 is no bound. Over it, the one that has
	// taken longest is given up, so that slow clients cannot keep others out.
	max  int
	late atomic.Int64 // how many did not come in time

	mu      sync.Mutex
	reading list.List             // guarded by mu: of *bodyRead, the oldest first
	servers map[*http.Server]bool // guarded by mu: those seen; true if they are shutting down
}

// bodyRead is one body on its way in.
type bodyRead struct {
	control *http.ResponseController
	server  *http.Server
	why     error // guarded by bodies.mu: set once it is given up
}

// read returns the body of r, of at most limit bytes, and adds it to sum, unless
// that is nil, as it comes. Its errors are *apiError, after which the connection
// ends.
func (bs *bodies) read(w http.ResponseWriter, r *http.Request, limit int, sum hash.Hash) ([]byte, error) {
	if !hasBody(r) {
		return nil, nil
	}
	if r.ContentLength > int64(limit) {
		refuseBody(w, r)
		return nil, tooLarge(limit)
	}
	b := &bodyRead{control: http.NewResponseController(w)}
	b.server, _ = r.Context().Value(http.ServerContextKey).(*http.Server)
	// Behind a writer that has no deadline the server's own time-outs are all.
	_ = b.control.SetReadDeadline(time.Now().Add(BodyTimeout))
	element := bs.begin(b)
	in := io.LimitReader(r.Body, int64(limit)+1)
	if sum != nil {
		in = io.TeeReader(in, sum)
	}
	body, err := io.ReadAll(in)
	why := bs.end(element)
	switch {
	case why != nil:
		endConnection(w, r)
		return nil, why
	case err == nil && len(body) <= limit:
		// The server's own time-outs are for requests that end soon.
		_ = b.control.SetReadDeadline(time.Time{})
		return body, nil
	case err == nil:
		refuseBody(w, r)
		return nil, tooLarge(limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		bs.late.Add(1)
		endConnection(w, r)
		return nil, &apiError{status: http.StatusRequestTimeout, message: fmt.Sprintf("body did not come within %v", BodyTimeout)}
	default:
		return nil, badRequest("body could not be read: %v", err)
	}
}

func tooLarge(limit int) error {
	return &apiError{status: http.StatusRequestEntityTooLarge, message: fmt.Sprintf("body is too large: the limit is %d bytes", limit)}
}

func (bs *bodies) begin(b *bodyRead) *list.Element {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if bs.max > 0 && bs.reading.Len() >= bs.max {
		bs.late.Add(1)
		bs.giveUp(bs.reading.Front(), &apiError{status: http.StatusRequestTimeout,
			message: fmt.Sprintf("body was given up: over %d are coming in, and this one has taken longest", bs.max)})
	}
	element := bs.reading.PushBack(b)
	if ending, seen := bs.servers[b.server]; ending {
		bs.giveUp(element, errServerEnds)
	} else if !seen && b.server != nil {
		if bs.servers == nil {
			bs.servers = make(map[*http.Server]bool)
		}
		bs.servers[b.server] = false
		b.server.RegisterOnShutdown(func() { bs.serverEnds(b.server) })
	}
	return element
}

// end returns why the body was given up, or nil.
func (bs *bodies) end(element *list.Element) error {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	bs.reading.Remove(element)
	return element.Value.(*bodyRead).why
}

var errServerEnds = &apiError{status: http.StatusServiceUnavailable, message: "server is shutting down", retryAfter: 1}

func (bs *bodies) serverEnds(server *http.Server) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	bs.servers[server] = true
	for element := bs.reading.Front(); element != nil; {
		next := element.Next()
		if element.Value.(*bodyRead).server == server {
			bs.giveUp(element, errServerEnds)
		}
		element = next
	}
}

// giveUp makes the reading of a body end. The caller holds bs.mu, without which
// the request cannot end, nor its control become invalid.
func (bs *bodies) giveUp(element *list.Element, why error) {
	b := bs.reading.Remove(element).(*bodyRead)
	b.why = why
	_ = b.control.SetReadDeadline(time.Unix(1, 0))
}

// hasBody says whether r has a body, as far as can be known without reading it.
func hasBody(r *http.Request) bool {
	return r.ContentLength != 0 && r.Body != nil && r.Body != http.NoBody
}

// refuseBody is for requests that are answered without their body having been
// read to its end: the answer goes out at once, and what else comes is thrown
// away for a while instead of waited for without end.
func refuseBody(w http.ResponseWriter, r *http.Request) {
	if !hasBody(r) {
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(refusedBodyTimeout))
	endConnection(w, r)
}

// endConnection makes a connection of HTTP/1 end with the answer; of HTTP/2 it is
// but the stream.
func endConnection(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
}
