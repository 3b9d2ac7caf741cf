package pusher

import (
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/carillon-rt/carillon/internal/incoming"
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
	// taken longest is given up.
	max  int
	set  incoming.Set
	late atomic.Int64 // how many did not come in time
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
	control := http.NewResponseController(w)
	// Behind a writer that has no deadline the server's own time-outs are all.
	_ = control.SetReadDeadline(time.Now().Add(BodyTimeout))
	coming := bs.set.Begin(w, r, bs.max)
	in := io.LimitReader(r.Body, int64(limit)+1)
	if sum != nil {
		in = io.TeeReader(in, sum)
	}
	body, err := io.ReadAll(in)
	why := coming.End()
	switch {
	case errors.Is(why, incoming.ErrServerEnds):
		endConnection(w, r)
		return nil, &apiError{status: http.StatusServiceUnavailable, message: why.Error(), retryAfter: 1}
	case why != nil:
		bs.late.Add(1)
		endConnection(w, r)
		return nil, &apiError{status: http.StatusRequestTimeout,
			message: fmt.Sprintf("body was given up: over %d are coming in, and this one has taken longest", bs.max)}
	case err == nil && len(body) <= limit:
		// The server's own time-outs are for requests that end soon.
		_ = control.SetReadDeadline(time.Time{})
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
