package pusher

import (
	"crypto/md5"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/carillon-rt/carillon/broker"
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

// serveAPI answers a request to {prefix}/apps/{id}{rest}.
func (h *Handler) serveAPI(w http.ResponseWriter, r *http.Request, id, rest string) {
	if plain, err := url.PathUnescape(id); err == nil {
		id = plain
	}
	r, observed := h.observeAPI(r, id, rest)
	answer, err := h.answerAPI(w, r, id, rest, &observed.call)
	var body []byte
	if err == nil {
		body, err = json.Marshal(answer)
	}
	if err == nil {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	} else {
		h.writeError(w, r, err)
	}
	observed.end(err)
}

// empty is the answer where nothing was asked for.
type empty struct{}

func (h *Handler) answerAPI(w http.ResponseWriter, r *http.Request, id, rest string, call *broker.APICalled) (any, error) {
	req, answer, err := h.admit(r, id, rest)
	call.Known = req != nil
	if err != nil {
		refuseBody(w, r)
		return nil, err
	}
	if err := req.readBody(w); err != nil {
		return nil, err
	}
	call.BytesIn = len(req.body)
	return answer()
}

// admit checks all of a request that does not need its body, and returns what
// answers it: a body costs memory and time, which not everybody may take. Without a request
// there is no such app.
func (h *Handler) admit(r *http.Request, id, rest string) (*apiRequest, func() (any, error), error) {
	app, err := h.appByID(r.Context(), id)
	if errors.Is(err, ErrUnknownApp) {
		return nil, nil, &apiError{status: http.StatusNotFound, message: fmt.Sprintf("app %q does not exist", id)}
	} else if err != nil {
		return nil, nil, fmt.Errorf("app lookup: %w", err)
	}
	req := &apiRequest{Request: r, handler: h, config: app, limits: *h.limits(app), app: h.broker.App(app.ID)}
	if req.query, err = verifyQuery(app, r); err != nil {
		return req, nil, unsigned(err)
	}
	if r.ContentLength > 0 && req.query.Get("body_md5") == "" {
		return req, nil, unsigned(errNoMD5)
	}
	if app.Disabled {
		return req, nil, &apiError{status: http.StatusForbidden, message: "app is disabled"}
	}
	answer, err := req.route(rest)
	return req, answer, err
}

func unsigned(err error) error {
	return &apiError{status: http.StatusUnauthorized, message: err.Error()}
}

func (r *apiRequest) readBody(w http.ResponseWriter) error {
	limit := r.limits.RequestBytes
	signed := r.query.Get("body_md5") != ""
	if !signed {
		limit = 0
	}
	sum := md5.New()
	body, err := r.handler.bodies.read(w, r.Request, limit, sum)
	switch {
	case err != nil && !signed:
		return unsigned(errNoMD5)
	case err != nil:
		return err
	}
	if err := verifyBody(r.query, body, sum.Sum(nil)); err != nil {
		return unsigned(err)
	}
	if !utf8.Valid(body) {
		// JSON would be parsed with U+FFFD in the place of what is not valid.
		return badRequest("body is not valid UTF-8")
	}
	r.body = body
	return nil
}

// route returns what answers the request.
func (r *apiRequest) route(rest string) (func() (any, error), error) {
	method, answer := http.MethodGet, (func() (any, error))(nil)
	amended, eventID, kind, amends := amendPath(rest)
	switch {
	case amends:
		method, answer = http.MethodPost, func() (any, error) { return r.amend(amended, eventID, kind) }
	case rest == "/events":
		method, answer = http.MethodPost, r.publish
	case rest == "/batch_events":
		method, answer = http.MethodPost, r.publishBatch
	case rest == "/search":
		answer = r.search
	case rest == "/channels":
		answer = r.channels
	case rest == "/connections":
		answer = r.connections
	case strings.HasPrefix(rest, "/channels/"):
		name := strings.TrimPrefix(rest, "/channels/")
		answer = func() (any, error) { return r.channel(name) }
		if of, ok := strings.CutSuffix(name, "/users"); ok {
			answer = func() (any, error) { return r.users(of) }
		} else if of, ok := strings.CutSuffix(name, "/history"); ok {
			answer = func() (any, error) { return r.history(of) }
		}
	case strings.HasPrefix(rest, "/users/"):
		if id, ok := strings.CutSuffix(strings.TrimPrefix(rest, "/users/"), "/terminate_connections"); ok {
			method, answer = http.MethodPost, func() (any, error) { return r.terminate(id) }
		}
	}
	if answer == nil {
		return nil, &apiError{status: http.StatusNotFound, message: fmt.Sprintf("path %q not found", r.URL.Path)}
	}
	switch {
	case method == http.MethodPost && r.Method != method:
		return nil, methodNotAllowed(r.Method, method)
	case method == http.MethodGet && r.Method != method && r.Method != http.MethodHead:
		return nil, methodNotAllowed(r.Method, "GET, HEAD")
	}
	return answer, nil
}
