package xhr

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
	"unicode/utf8"

	"github.com/carillon-rt/carillon/internal/incoming"

	"github.com/carillon-rt/carillon/internal/surrogate"
)

// Errors that a session may end with.
var (
	errTooLarge = errors.New("body is too large")
	errInvalid  = errors.New("body is not a JSON array of strings")
)

// maxReading bounds the bodies that are read at once. Anybody may send one, and
// those of honest clients come in one piece.
const maxReading = 1000

// body reads a request's body, whose size and time are limited, as is the number
// of those that are read. When it returns an error, the request has been answered.
func (s *Server) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength == 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		return nil, nil
	}
	coming := s.incoming.Begin(w, r, maxReading)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(s.readLimit)))
	why := coming.End()
	var tooLarge *http.MaxBytesError
	switch {
	case why != nil:
		err = why
		status := http.StatusServiceUnavailable
		if errors.Is(why, incoming.ErrSlowest) {
			s.counters.readTimeouts.Add(1)
			status = http.StatusRequestTimeout
		}
		if r.ProtoMajor == 1 {
			w.Header().Set("Connection", "close")
		}
		http.Error(w, why.Error(), status)
	case err == nil:
		// The server's own time-outs are for requests that end soon.
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		return body, nil
	case errors.As(err, &tooLarge):
		s.counters.oversized.Add(1)
		err = fmt.Errorf("%w: the limit is %d bytes", errTooLarge, tooLarge.Limit)
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.counters.readTimeouts.Add(1)
		http.Error(w, fmt.Sprintf("body did not come within %v", s.readTimeout), http.StatusRequestTimeout)
	default: // the client has gone, or does not speak HTTP
		http.Error(w, "body could not be read", http.StatusBadRequest)
	}
	return nil, err
}

// parseBody takes apart what a client sends.
func parseBody(body []byte) (messages []string, err error) {
	if !utf8.Valid(body) {
		return nil, fmt.Errorf("%w: it is not UTF-8", errInvalid)
	}
	if err := json.Unmarshal(body, &messages); err != nil {
		return nil, fmt.Errorf("%w: %w", errInvalid, err)
	}
	if surrogate.Lone(body) {
		return nil, fmt.Errorf("%w: it holds half of a surrogate pair, which is no character", errInvalid)
	}
	return messages, nil
}
