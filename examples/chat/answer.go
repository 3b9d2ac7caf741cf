package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
)

// problem is a refusal. Its message is shown to people as it is.
type problem struct {
	status  int
	Code    string `json:"code"`
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
	// RetryAfter is in seconds; 0 if waiting does not help.
	RetryAfter int `json:"retry_after,omitempty"`
}

func (p *problem) Error() string { return p.Message }

func refuse(status int, code, format string, args ...any) *problem {
	return &problem{status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

func invalid(field, format string, args ...any) *problem {
	return &problem{status: http.StatusBadRequest, Code: "invalid", Field: field, Message: fmt.Sprintf(format, args...)}
}

func notFound(what string) *problem {
	return refuse(http.StatusNotFound, "not_found", "There is no such %s, or it is not yours to see.", what)
}

func forbidden(format string, args ...any) *problem {
	return refuse(http.StatusForbidden, "forbidden", format, args...)
}

var signedOut = refuse(http.StatusUnauthorized, "signed_out", "You are signed out. Please sign in again.")

// problemOf returns what to tell of an error, and whether it is a fault of the server.
func problemOf(err error) (p *problem, fault bool) {
	var refused *broker.RefusedError
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &p):
		return p, false
	case errors.As(err, &refused): // a hook's word
		return refuse(http.StatusUnprocessableEntity, "filtered", "%s", refused.Message), false
	case errors.As(err, &large):
		return refuse(http.StatusRequestEntityTooLarge, "too_large", "That is too large: the limit is %s.", sizeText(large.Limit)), false
	case errors.Is(err, broker.ErrShutdown), errors.Is(err, context.Canceled):
		p = refuse(http.StatusServiceUnavailable, "restarting", "The server is restarting. Your work is kept; try again in a moment.")
		p.RetryAfter = 1
		return p, false
	case errors.Is(err, storage.ErrKeyReused):
		return refuse(http.StatusConflict, "conflict", "This was sent before with another content."), false
	}
	return refuse(http.StatusInternalServerError, "internal", "Something went wrong here. Try again in a moment."), true
}

// call is a request of somebody who is signed in.
type call struct {
	*http.Request
	w    http.ResponseWriter
	user user
	// session is the ID of the user's login.
	session string
}

// socket is the connection that is not to get the events of the request, as its
// page shows what it has done already.
func (r *call) socket() string { return r.Header.Get("X-Socket-ID") }

// number returns a number out of the path; 0, which nothing has, if it is none.
func (r *call) number(name string) int64 {
	n, err := strconv.ParseInt(r.PathValue(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// created wraps an answer with the status 201.
type created struct{ answer any }

// reply answers with what a handler returned: nothing, a value or an error.
func reply(w http.ResponseWriter, r *http.Request, answer any, err error) {
	if err != nil {
		p, fault := problemOf(err)
		// The database calls it an interruption when whoever asked has gone.
		if fault && r.Context().Err() == nil {
			slog.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		}
		if p.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(p.RetryAfter))
		}
		writeJSON(w, p.status, map[string]*problem{"error": p})
		return
	}
	switch a := answer.(type) {
	case nil:
		w.WriteHeader(http.StatusNoContent)
	case created:
		writeJSON(w, http.StatusCreated, a.answer)
	default:
		writeJSON(w, http.StatusOK, answer)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		slog.Debug("answer was not written", "error", err)
	}
}

// maxBody bounds the JSON of a request: the longest message, escaped, and what is
// around it.
const maxBody = 64 << 10

// readJSON reads the request's body, which is a JSON object, into v.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(v)
	var large *http.MaxBytesError
	var wrongType *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &large):
		return err
	case errors.As(err, &wrongType) && wrongType.Field != "":
		field := strings.ToLower(wrongType.Field)
		p := refuse(http.StatusBadRequest, "bad_json", "%s is a %s, not a %s.", field, wrongType.Value, wrongType.Type)
		p.Field = field
		return p
	}
	return refuse(http.StatusBadRequest, "bad_json", "The body is not a JSON object.")
}

// moment is a time in milliseconds since 1970, as the database has it. In JSON it
// is a text such as "2026-11-25T21:09:00.123Z", or null for 0.
type moment int64

func now() moment { return moment(time.Now().UnixMilli()) }

func (m moment) time() time.Time { return time.UnixMilli(int64(m)).UTC() }

// MarshalJSON implements json.Marshaler.
func (m moment) MarshalJSON() ([]byte, error) {
	if m == 0 {
		return []byte("null"), nil
	}
	return m.time().AppendFormat(nil, `"2006-01-02T15:04:05.000Z"`), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *moment) UnmarshalJSON(data []byte) error {
	var t *time.Time
	if err := json.Unmarshal(data, &t); err != nil {
		return err
	}
	if *m = 0; t != nil {
		*m = moment(t.UnixMilli())
	}
	return nil
}

// sizeText is a size as people say it.
func sizeText(bytes int64) string {
	switch {
	case bytes >= 1<<20:
		return strconv.FormatInt(bytes>>20, 10) + " MB"
	case bytes >= 1<<10:
		return strconv.FormatInt(bytes>>10, 10) + " KB"
	}
	return strconv.FormatInt(bytes, 10) + " bytes"
}
