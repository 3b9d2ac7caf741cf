package pusher

import (
	"context"
	"net/http"
	"net/textproto"
	"strings"
	"time"

	"github.com/carillon-rt/carillon/broker"
)

// observedCall is a request to the HTTP API, for the broker's observers.
type observedCall struct {
	broker *broker.Broker
	ctx    context.Context
	began  time.Time
	call   broker.APICalled
}

// observeAPI begins a request. What it returns in its place has the context of tracers.
func (h *Handler) observeAPI(r *http.Request, app, rest string) (*http.Request, observedCall) {
	o := observedCall{broker: h.broker, began: time.Now(),
		call: broker.APICalled{App: app, Method: shownMethod(r.Method), Route: apiPattern(rest), Path: rest}}
	o.ctx = h.broker.StartAPICall(r.Context(), o.call, textproto.MIMEHeader(r.Header))
	if o.ctx != r.Context() {
		r = r.WithContext(o.ctx)
	}
	return r, o
}

// end tells how the request was answered.
func (o *observedCall) end(err error) {
	o.call.Status, o.call.Err, o.call.Took = http.StatusOK, err, time.Since(o.began)
	if err != nil {
		a := answerTo(err)
		o.call.Status = a.status
	}
	o.broker.EndAPICall(o.ctx, o.call)
}

// shownMethod is the method, if it is one of those that the API has.
func shownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
		return method
	}
	return "other"
}

// apiPattern names what a path asks for, in few words: metrics have one figure for each.
func apiPattern(rest string) string {
	if _, _, _, amends := amendPath(rest); amends {
		return "/channels/{channel}/events/{event}" + rest[strings.LastIndexByte(rest, '/'):]
	}
	switch rest {
	case "/events", "/batch_events", "/search", "/channels", "/connections":
		return rest
	}
	switch {
	case strings.HasPrefix(rest, "/channels/") && strings.HasSuffix(rest, "/users"):
		return "/channels/{channel}/users"
	case strings.HasPrefix(rest, "/channels/") && strings.HasSuffix(rest, "/history"):
		return "/channels/{channel}/history"
	case strings.HasPrefix(rest, "/channels/"):
		return "/channels/{channel}"
	case strings.HasPrefix(rest, "/users/") && strings.HasSuffix(rest, "/terminate_connections"):
		return "/users/{user}/terminate_connections"
	}
	return "other"
}
