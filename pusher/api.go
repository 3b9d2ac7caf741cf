package pusher

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage"
)

// apiRequest is a request to the HTTP API whose signature is good
// (https://pusher.com/docs/channels/library_auth_reference/rest-api/).
type apiRequest struct {
	*http.Request
	handler *Handler
	config  *App
	limits  Limits
	app     *broker.App
	body    []byte
	query   url.Values
}

// apiError is an answer other than 200. SDKs show the message to their users.
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

// writeHeaders writes what goes with the answer besides its text.
func (e *apiError) writeHeaders(h http.Header) {
	if e.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(e.retryAfter))
	}
	if e.allow != "" {
		h.Set("Allow", e.allow)
	}
}

// serveAPI answers a request to {prefix}/apps/{id}{rest}.
func (h *Handler) serveAPI(w http.ResponseWriter, r *http.Request, id, rest string) {
	answer, err := h.answerAPI(r, id, rest)
	if err != nil {
		h.writeError(w, r, err)
		return
	}
	body, err := json.Marshal(answer)
	if err != nil {
		h.writeError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

// empty is the answer where nothing was asked for.
type empty struct{}

func (h *Handler) answerAPI(r *http.Request, id, rest string) (any, error) {
	if plain, err := url.PathUnescape(id); err == nil {
		id = plain
	}
	app, err := h.apps.AppByID(r.Context(), id)
	if errors.Is(err, ErrUnknownApp) {
		return nil, &apiError{status: http.StatusNotFound, message: fmt.Sprintf("app %q does not exist", id)}
	} else if err != nil {
		return nil, fmt.Errorf("app lookup: %w", err)
	}
	req := &apiRequest{Request: r, handler: h, config: app, limits: app.Limits.withDefaults(), app: h.broker.App(app.ID)}
	if err := req.readBody(); err != nil {
		return nil, err
	}
	if req.query, err = verifyRequest(app, r, req.body); err != nil {
		return nil, &apiError{status: http.StatusUnauthorized, message: err.Error()}
	}
	if app.Disabled {
		return nil, &apiError{status: http.StatusForbidden, message: "app is disabled"}
	}
	return req.route(rest)
}

func (r *apiRequest) readBody() error {
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(r.limits.RequestBytes)+1))
	if err != nil {
		return badRequest("body could not be read: %v", err)
	}
	if len(body) > r.limits.RequestBytes {
		return &apiError{status: http.StatusRequestEntityTooLarge,
			message: fmt.Sprintf("body is too large: the limit is %d bytes", r.limits.RequestBytes)}
	}
	if !utf8.Valid(body) {
		// JSON would be parsed with U+FFFD in the place of what is not valid.
		return badRequest("body is not valid UTF-8")
	}
	r.body = body
	return nil
}

func (r *apiRequest) route(rest string) (any, error) {
	method, answer := http.MethodGet, (func() (any, error))(nil)
	switch {
	case rest == "/events":
		method, answer = http.MethodPost, r.publish
	case rest == "/batch_events":
		method, answer = http.MethodPost, r.publishBatch
	case rest == "/channels":
		answer = r.channels
	case strings.HasPrefix(rest, "/channels/"):
		name := strings.TrimPrefix(rest, "/channels/")
		answer = func() (any, error) { return r.channel(name) }
		if of, ok := strings.CutSuffix(name, "/users"); ok {
			answer = func() (any, error) { return r.users(of) }
		}
	case strings.HasPrefix(rest, "/users/"):
		if id, ok := strings.CutSuffix(strings.TrimPrefix(rest, "/users/"), "/terminate_connections"); ok {
			method, answer = http.MethodPost, func() (any, error) { return r.terminate(id) }
		}
	}
	if answer == nil {
		return nil, &apiError{status: http.StatusNotFound, message: fmt.Sprintf("path %q not found", r.URL.Path)}
	}
	if r.Method != method {
		return nil, methodNotAllowed(r.Method, method)
	}
	return answer()
}

// writeError answers with what went wrong, in plain text.
func (h *Handler) writeError(w http.ResponseWriter, r *http.Request, err error) {
	e := asAPIError(err)
	if e.status == http.StatusInternalServerError {
		h.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	} else {
		h.log.Debug("request refused", "method", r.Method, "path", r.URL.Path, "status", e.status, "error", err)
	}
	e.writeHeaders(w.Header())
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(e.status)
	_, _ = io.WriteString(w, e.message)
}

// asAPIError decides what the backend is told of an error.
func asAPIError(err error) *apiError {
	var (
		answer  *apiError
		limited *ratelimit.LimitError
		refused *broker.RefusedError
	)
	switch {
	case errors.As(err, &answer):
		return answer
	case errors.As(err, &limited):
		if limited.RetryAfter == ratelimit.Never {
			return &apiError{status: http.StatusRequestEntityTooLarge, message: err.Error()}
		}
		return &apiError{status: http.StatusTooManyRequests, message: err.Error(), retryAfter: max(int(math.Ceil(limited.RetryAfter.Seconds())), 1)}
	case errors.As(err, &refused):
		status := refused.Status
		if status < 400 || status > 599 {
			status = http.StatusForbidden
		}
		return &apiError{status: status, message: err.Error(), retryAfter: int(math.Ceil(refused.RetryAfter.Seconds()))}
	case errors.Is(err, storage.ErrKeyReused):
		return &apiError{status: http.StatusUnprocessableEntity, message: err.Error()}
	case errors.Is(err, storage.ErrKeyInFlight):
		return &apiError{status: http.StatusConflict, message: err.Error(), retryAfter: 1}
	case errors.Is(err, broker.ErrInvalid):
		return &apiError{status: http.StatusBadRequest, message: err.Error()}
	case errors.Is(err, broker.ErrRefused):
		return &apiError{status: http.StatusForbidden, message: err.Error()}
	case errors.Is(err, broker.ErrShutdown):
		return &apiError{status: http.StatusServiceUnavailable, message: err.Error(), retryAfter: 1}
	default:
		return &apiError{status: http.StatusInternalServerError, message: "internal error"}
	}
}
