package pusher

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/transport"
)

// answer is what the wire says of an error, whichever way it goes.
type answer struct {
	// code is what a connection ends with that cannot be made, or not be signed in:
	// 4001 to 4099 keep the client away for good, 4100 to 4199 for a while.
	code int
	// event is the code of a client event's refusal; 0 is none.
	event int
	// status is that of HTTP, and of a subscription that is refused.
	status int
	// kind is the type of a subscription that is refused.
	kind string
	// retry is how long to wait before trying again; 0 if that is no use, or not
	// known.
	retry time.Duration
	// text is the error's own, unless the server has failed: then what happened is only
	// logged.
	text string
	// allow lists the methods that are allowed, where another was used.
	allow string
}

// answers has a row for every error that clients and backends are told of. The
// first that fits counts.
var answers = []struct {
	err error
	answer
}{
	{ErrUnknownApp, answer{code: 4001, status: 404, kind: "InvalidRequest"}},
	{ErrSignature, answer{code: 4009, status: 401, kind: "AuthError"}},
	{ErrTimestamp, answer{code: 4009, status: 401, kind: "AuthError"}},
	{broker.ErrQuota, answer{code: 4004, status: 503, kind: "LimitReached", retry: 10 * time.Second}},
	{broker.ErrShutdown, answer{code: 4200, status: 503, kind: "ServerError", retry: time.Second}},
	{broker.ErrChannelLimit, answer{code: 4100, status: 403, kind: "LimitReached"}},
	{storage.ErrMemberLimit, answer{code: 4100, status: 403, kind: "LimitReached"}},
	{ratelimit.ErrLimited, answer{code: 4100, event: 4301, status: 429, kind: "LimitReached"}},
	{storage.ErrKeyReused, answer{code: 4009, status: 422, kind: "InvalidRequest"}},
	{storage.ErrKeyInFlight, answer{code: 4100, status: 409, kind: "InvalidRequest", retry: time.Second}},
	{storage.ErrNoTarget, answer{code: 4009, status: 404, kind: "InvalidRequest"}},
	{storage.ErrRetracted, answer{code: 4009, status: 410, kind: "InvalidRequest"}},
	{storage.ErrStaleVersion, answer{code: 4009, status: 409, kind: "InvalidRequest"}},
	{broker.ErrNotKept, answer{code: 4009, status: 400, kind: "InvalidRequest"}},
	{broker.ErrNoCipher, answer{code: 4009, status: 400, kind: "InvalidRequest"}},
	{errors.ErrUnsupported, answer{code: 4009, status: 501, kind: "InvalidRequest"}},
	{storage.ErrGap, answer{code: 4100, status: 404, kind: "InvalidRequest"}},
	{broker.ErrInvalid, answer{code: 4009, status: 400, kind: "InvalidRequest"}},
	{broker.ErrUnauthorized, answer{code: 4009, status: 401, kind: "AuthError"}},
	{broker.ErrSignedIn, answer{code: 4009, status: 403, kind: "AuthError"}},
	{broker.ErrNotSubscribed, answer{code: 4009, status: 403, kind: "AuthError"}},
	{broker.ErrRefused, answer{code: 4009, status: 403, kind: "AuthError"}},
}

// failed is the answer to every other error.
var failed = answer{code: 4100, status: http.StatusInternalServerError, kind: "ServerError", text: "internal error"}

// answerTo returns what is told of an error.
func answerTo(err error) answer {
	a := failed
	for i := range answers {
		if errors.Is(err, answers[i].err) {
			a = answers[i].answer
			a.text = err.Error()
			break
		}
	}
	var (
		own     *apiError
		limited *ratelimit.LimitError
		refused *broker.RefusedError
		field   *broker.FieldError
	)
	switch {
	case errors.As(err, &own):
		a.status, a.text, a.allow = own.status, own.message, own.allow
		a.retry = time.Duration(own.retryAfter) * time.Second
	case errors.As(err, &refused):
		a.ofHook(refused)
	case errors.As(err, &limited) && limited.RetryAfter == ratelimit.Never:
		a.status = http.StatusRequestEntityTooLarge
	case errors.As(err, &limited):
		a.retry = max(limited.RetryAfter, time.Second)
	case errors.As(err, &field) && field.Field == "data" && field.Limit > 0:
		a.status, a.text = http.StatusRequestEntityTooLarge, err.Error()+". "+eventTooLarge(field.Limit)
	}
	return a
}

// isFailure reports whether nobody decided against the client, but the server cannot do
// now what it may be able to do later.
func isFailure(err error) bool { return answerTo(err).kind == failed.kind }

// ofHook makes the answer that of a hook. Only a decision keeps a client away for
// good; after a failure, which may pass, it comes back.
func (a *answer) ofHook(r *broker.RefusedError) {
	*a = answer{code: 4009, status: r.Status, kind: "AuthError", retry: r.RetryAfter, text: r.Message}
	if a.status < 400 || a.status > 599 {
		a.status = http.StatusForbidden
	}
	if a.retry > 0 || a.status == http.StatusTooManyRequests || a.status >= http.StatusInternalServerError {
		a.code = 4100
	}
}

// writeHeaders writes what goes with an answer over HTTP besides its text.
func (a *answer) writeHeaders(h http.Header) {
	if a.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(a.retry.Seconds()))))
	}
	if a.allow != "" {
		h.Set("Allow", a.allow)
	}
}

// writeError answers with what went wrong, in plain text.
func (h *Handler) writeError(w http.ResponseWriter, r *http.Request, err error) {
	a := answerTo(err)
	h.logRefusal(r, &a, err)
	a.writeHeaders(w.Header())
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, clip(a.text))
}

func (h *Handler) logRefusal(r *http.Request, a *answer, err error) {
	if a.status == http.StatusInternalServerError {
		h.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	} else {
		h.log.Debug("request refused", "method", r.Method, "path", r.URL.Path, "status", a.status, "error", err)
	}
}

// apiError is an answer over HTTP other than 200 that the handler itself has decided.
// SDKs show the message to their users.
type apiError struct {
	status  int
	message string
	// retryAfter is in seconds; 0 if trying again is no use.
	retryAfter int
	// allow lists the methods that are allowed, where another was used.
	allow string
}

func (e *apiError) Error() string { return e.message }

func badRequest(format string, args ...any) error {
	return &apiError{status: http.StatusBadRequest, message: fmt.Sprintf(format, args...)}
}

func methodNotAllowed(method, allowed string) error {
	return &apiError{status: http.StatusMethodNotAllowed, allow: allowed,
		message: fmt.Sprintf("method %s is not allowed: use %s", method, allowed)}
}

// closeError ends a connection: it is sent as pusher:error and as the close code.
type closeError struct {
	code    int
	message string
}

func (e *closeError) Error() string { return fmt.Sprintf("%s (%d)", e.message, e.code) }

var shuttingDown = &closeError{4200, "server is shutting down"}

// closing says how a connection ends that could not be made, or not be signed in.
func closing(err error) *closeError {
	if errors.Is(err, broker.ErrShutdown) {
		return shuttingDown
	}
	a := answerTo(err)
	if errors.Is(err, ratelimit.ErrLimited) {
		a.text = "over capacity: " + a.text
	}
	return &closeError{a.code, a.text}
}

func reject(conn transport.Conn, e *closeError) {
	if _, announces := conn.(announcing); !announces {
		_ = conn.Send(errorMessage(e.code, e.message))
	}
	conn.Close(e.code, e.message)
}

// rejected is the receiver of a connection that is about to end.
type rejected struct{}

func (rejected) Receive([]byte)    {}
func (rejected) Closed(int, error) {}

// announcing is the connection of a client of version 5, which looks into a
// pusher:error for what later ones find in the code of a close.
type announcing struct{ transport.Conn }

// Close implements transport.Conn.
func (c announcing) Close(code int, reason string) {
	_ = c.Send(errorMessage(code, reason))
	c.Conn.Close(code, reason)
}

// maxErrorText is how much of an error's text is told, in bytes: it may quote what
// a client has sent, and that may be long.
const maxErrorText = 1000

func clip(text string) string {
	if len(text) <= maxErrorText {
		return text
	}
	return strings.ToValidUTF8(text[:maxErrorText], "") + "…"
}
