package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/carillon-rt/carillon/broker"
)

const (
	// maxBody is how large the body of a call may be, and maxParameter how long one
	// parameter of its query.
	maxBody      = 1 << 20
	maxParameter = 1024
	// DefaultPage and MaxPage are how many items one page of a list has.
	defaultPage, maxPage = 50, 200
)

// route is one call of the API, by method.
type route map[string]action

// action is what a call does. What it returns is answered as JSON; nil is 204.
type action struct {
	do func(*call) (any, error)
	// open needs no authorization, early no broker.
	open, early bool
	// changes says that WithReadOnly refuses it.
	changes bool
}

// table lists the API. Everything but a GET needs the header that says who calls.
func (c *Console) table() map[string]route {
	get := func(f func(*call) (any, error)) route { return route{http.MethodGet: {do: f}} }
	change := func(f func(*call) (any, error)) action { return action{do: f, changes: true} }
	return map[string]route{
		"session-state": {http.MethodGet: {do: c.sessionState, open: true, early: true}},
		"sign-in":       {http.MethodPost: {do: c.signIn, open: true, early: true}},
		"sign-out":      {http.MethodPost: {do: c.signOut, open: true, early: true}},
		"info":          get(c.info),

		"now":           get(c.nowOf),
		"series":        get(c.seriesOf),
		"events":        get(c.events),
		"events/stream": get(c.eventsStream),

		"channels":        get(c.channels),
		"channel":         get(c.channel),
		"channel/history": {http.MethodGet: {do: c.history}, http.MethodDelete: change(c.deleteHistory)},
		"sessions":        get(c.sessions),
		"session":         get(c.session),
		"session/close":   {http.MethodPost: change(c.closeSession)},
		"user/terminate":  {http.MethodPost: change(c.terminateUser)},

		"publish": {http.MethodPost: change(c.publish)},
		"curl":    {http.MethodPost: change(c.curl)},
		"trace":   get(c.trace),
		"armed":   get(c.armed),
		"arm":     {http.MethodPost: {do: c.arm}, http.MethodDelete: {do: c.disarm}},

		"webhooks":       get(c.webhooksOf),
		"webhook/resend": {http.MethodPost: change(c.resend)},
	}
}

// apiName is the name of the call that a path asks for.
func apiName(path string) (string, bool) {
	return strings.CutPrefix(strings.TrimPrefix(path, "/"), "api/")
}

// call is one call of the API.
type call struct {
	*attached // nil for calls that need no broker
	w         http.ResponseWriter
	r         *http.Request
	query     url.Values
}

// apiError is an error as it is answered.
type apiError struct {
	status int
	Text   string `json:"error"`
	Code   string `json:"code"`
	Field  string `json:"field,omitempty"`
	SignIn string `json:"signIn,omitempty"`
	retry  time.Duration
}

func (e *apiError) Error() string { return e.Text }

func invalid(field, problem string) error {
	return &apiError{status: http.StatusBadRequest, Code: "bad_request", Field: field, Text: field + " " + problem}
}

func notFound(text string) error {
	return &apiError{status: http.StatusNotFound, Code: "not_found", Text: text}
}

var (
	errForeign   = &apiError{status: http.StatusForbidden, Code: "csrf", Text: "This request did not come from the console's own page."}
	errReadOnly  = &apiError{status: http.StatusForbidden, Code: "read_only", Text: "This console only shows; it changes nothing."}
	errNotYet    = &apiError{status: http.StatusServiceUnavailable, Code: "not_attached", Text: "The server is starting.", retry: time.Second}
	errForbidden = &apiError{status: http.StatusForbidden, Code: "forbidden", Text: "You have no permission to see the console."}
)

func (c *Console) serveAPI(w http.ResponseWriter, r *http.Request, name string) {
	w.Header().Set("Cache-Control", "no-store")
	answer, err := c.answer(w, r, name)
	if err != nil {
		c.fail(w, r, err)
		return
	}
	switch answer := answer.(type) {
	case nil:
		w.WriteHeader(http.StatusNoContent)
	case answered:
	default:
		writeJSON(w, http.StatusOK, answer)
	}
}

// answered says that a call has written its answer itself.
type answered struct{}

func (c *Console) answer(w http.ResponseWriter, r *http.Request, name string) (any, error) {
	route, ok := c.routes[name]
	if !ok {
		return nil, notFound("There is no such call.")
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	act, ok := route[method]
	if !ok {
		for method := range route {
			w.Header().Add("Allow", method)
		}
		return nil, &apiError{status: http.StatusMethodNotAllowed, Code: "method", Text: "This call has another method."}
	}
	if !ours(r) {
		return nil, errForeign
	}
	if !act.open {
		if err := c.allow(r); err != nil {
			return nil, err
		}
	}
	if act.changes && c.readOnly {
		return nil, errReadOnly
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, invalid("query", "is not one")
	}
	for name, values := range query {
		if len(values) != 1 || len(values[0]) > maxParameter || !utf8.ValidString(values[0]) {
			return nil, invalid(strconv.QuoteToASCII(name), fmt.Sprintf("has to come once, as text of at most %d bytes", maxParameter))
		}
	}
	k := &call{attached: c.attached.Load(), w: w, r: r, query: query}
	if k.attached == nil && !act.early {
		return nil, errNotYet
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	return act.do(k)
}

// allow returns the error for who may not see the console: what the program says of it is for
// its log.
func (c *Console) allow(r *http.Request) error {
	err := c.auth.allow(r)
	var refused *denied
	if err == nil || errors.As(err, &refused) {
		return err
	}
	c.log.InfoContext(r.Context(), "console: refused", "remote", r.RemoteAddr, "error", err)
	return errForbidden
}

// fail answers with an error, as far as whoever asks may know of it.
func (c *Console) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := c.describe(r, err)
	if e.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(e.retry.Seconds())))
	}
	writeJSON(w, e.status, e)
}

func (c *Console) describe(r *http.Request, err error) *apiError {
	var known *apiError
	var refused *denied
	var field *broker.FieldError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &refused):
		e := &apiError{status: refused.status, Code: refused.code, Text: refused.text, retry: refused.retry}
		if refused.status == http.StatusUnauthorized {
			e.SignIn = c.auth.method()
		}
		return e
	case errors.As(err, &tooLarge):
		return &apiError{status: http.StatusRequestEntityTooLarge, Code: "bad_request", Text: fmt.Sprintf("The body is over %d bytes.", maxBody)}
	case errors.As(err, &field):
		return &apiError{status: http.StatusBadRequest, Code: "bad_request", Field: field.Field, Text: field.Error()}
	case errors.Is(err, broker.ErrInvalid), errors.Is(err, broker.ErrNotKept):
		return &apiError{status: http.StatusBadRequest, Code: "bad_request", Text: err.Error()}
	case errors.Is(err, errors.ErrUnsupported):
		return &apiError{status: http.StatusNotImplemented, Code: "not_supported", Text: "The store cannot do this."}
	case errors.Is(err, broker.ErrShutdown):
		return &apiError{status: http.StatusServiceUnavailable, Code: "store", Text: "The server is shutting down."}
	}
	c.log.Warn("console: call failed", "path", r.URL.Path, "error", err)
	return &apiError{status: http.StatusBadGateway, Code: "store", Text: "The store has failed: " + err.Error()}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		status, data = http.StatusInternalServerError, []byte(`{"error":"The answer could not be written.","code":"internal"}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n'))
}

// body reads what was sent into v, which has to be all that there is.
func (k *call) body(v any) error {
	if t, _, err := mime.ParseMediaType(k.r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return &apiError{status: http.StatusUnsupportedMediaType, Code: "bad_request", Text: "The body has to be application/json."}
	}
	data, err := io.ReadAll(k.r.Body)
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return err
		}
		return invalid("body", "could not be read")
	}
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return invalid("body", "is not what is expected: "+err.Error())
	}
	if dec.More() {
		return invalid("body", "has something behind its end")
	}
	return nil
}

// number reads a parameter that is a number within bounds.
func (k *call) number(name string, otherwise, least, most int64) (int64, error) {
	text := k.query.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > most {
		return 0, invalid(name, fmt.Sprintf("has to be a number from %d to %d", least, most))
	}
	return n, nil
}

func (k *call) limit() (int, error) {
	n, err := k.number("limit", defaultPage, 1, maxPage)
	return int(n), err
}

// app returns the app that a call names.
func (k *call) app() (*broker.App, error) {
	id := k.query.Get("app")
	if id == "" {
		return nil, invalid("app", "is missing")
	}
	return k.broker.App(id), nil
}

// positionOf is a position as the API has it; empty for none.
func positionOf(p broker.Position) string {
	if p.IsZero() {
		return ""
	}
	return p.String()
}

// millis is a time as the API has it.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// ms is a duration as the API has it.
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
