package console

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
)

// badInputs are what each call has to refuse, by method and name.
var badInputs = map[string][]struct {
	query, body string
	status      int
	field       string
}{
	"GET info":          {},
	"GET session-state": {},
	"GET now":           {},
	"GET armed":         {},
	"POST sign-out":     {{status: 404}}, // there is none here
	"POST sign-in":      {{body: `{"token":"x"}`, status: 404}},
	"GET series":        {{query: "step=2", status: 400, field: "step"}, {query: "step=-1", status: 400, field: "step"}, {query: "step=x", status: 400, field: "step"}},
	"GET events": {
		{query: "limit=0", status: 400, field: "limit"}, {query: "limit=201", status: 400, field: "limit"}, {query: "limit=1e9", status: 400, field: "limit"},
		{query: "before=0", status: 400, field: "before"}, {query: "before=99999999999999999999", status: 400, field: "before"},
		{query: "kind=publish,nonsense", status: 400, field: "kind"}, {query: "kind=,", status: 400, field: "kind"},
	},
	"GET events/stream": {
		{query: "kind=nonsense", status: 400, field: "kind"}, {query: "events=2", status: 400, field: "events"}, {query: "after=-1", status: 400, field: "after"},
	},
	"GET channels": {
		{query: "limit=-1", status: 400, field: "limit"}, {query: "sort=age", status: 400, field: "sort"}, {query: "sort=--name", status: 400, field: "sort"},
		{query: "kind=secret", status: 400, field: "kind"}, {query: "next=%21", status: 400, field: "next"}, {query: "next=AAAA", status: 400, field: "next"},
	},
	"GET channel": {
		{query: "name=room", status: 400, field: "app"}, {query: "app=1", status: 400, field: "channel"},
		{query: "app=1&name=a%20b", status: 400, field: "channel"}, {query: "app=1&name=" + strings.Repeat("a", 165), status: 400, field: "channel"},
		{query: "app=1&name=room&limit=0", status: 400, field: "limit"},
	},
	"GET channel/history": {
		{query: "name=room", status: 400, field: "app"}, {query: "app=1&name=%00", status: 400, field: "channel"},
		{query: "app=1&name=room&before=x", status: 400, field: "before"}, {query: "app=1&name=room&log=2", status: 400, field: "log"},
		{query: "app=1&name=room&q=%3f", status: 400, field: "q"}, {query: "app=1&name=room&limit=1000", status: 400, field: "limit"},
	},
	"DELETE channel/history": {{query: "app=1", status: 400, field: "channel"}, {query: "name=room", status: 400, field: "app"}},
	"GET sessions": {
		{query: "sort=user", status: 400, field: "sort"}, {query: "channel=a%20b", status: 400, field: "channel"}, {query: "next=x", status: 400, field: "next"},
	},
	"GET session":        {{status: 400, field: "id"}, {query: "id=1.1", status: 404}, {query: "id=%3Cscript%3E", status: 404}},
	"POST session/close": {{body: `{}`, status: 400, field: "id"}, {body: `{"id":"1.1"}`, status: 404}, {body: `{"id":5}`, status: 400, field: "body"}},
	"POST user/terminate": {
		{body: `{"user":"ann"}`, status: 400, field: "app"}, {body: `{"app":"1"}`, status: 400, field: "user_id"},
		{body: `{"app":"1","user":"` + strings.Repeat("a", 129) + `"}`, status: 400, field: "user_id"},
	},
	"POST publish": {
		{body: `{"channel":"room","event":"x"}`, status: 400, field: "app"}, {body: `{"app":"1","channel":"a b","event":"x"}`, status: 400, field: "channel"},
		{body: `{"app":"1","channel":"room","event":"x","surprise":1}`, status: 400, field: "body"}, {body: `[]`, status: 400, field: "body"},
		{body: `{"app":"1"}{}`, status: 400, field: "body"}, {body: `{"app":"` + strings.Repeat("a", maxBody) + `"}`, status: 413},
	},
	"POST curl": {
		{body: `{"app":"1","channel":"room","event":"x"}`, status: 501}, {body: `{"app":"signs","channel":"a b","event":"x"}`, status: 400, field: "channel"},
		{body: `{"app":"signs","channel":"room","event":"pusher:x"}`, status: 400, field: "name"},
	},
	"GET trace": {
		{query: "app=1&channel=room", status: 400, field: "event"}, {query: "event=x", status: 400, field: "channel"}, {query: "seq=5", status: 404},
		{query: "seq=0", status: 400, field: "seq"}, {query: "app=1&channel=room&event=x&session=1&user=2", status: 400, field: "user"},
		{query: "app=1&channel=a%20b&event=x", status: 400, field: "channel"},
	},
	"POST arm": {
		{body: `{"channel":"room"}`, status: 400, field: "app"}, {body: `{"app":"1"}`, status: 400, field: "channel"},
		{body: `{"app":"1","channel":"room","user":"ann"}`, status: 400, field: "channel"}, {body: `{"app":"1","channel":"a b"}`, status: 400, field: "channel"},
		{body: `{"app":"1","channel":"room","minutes":61}`, status: 400, field: "minutes"}, {body: `{"app":"1","channel":"room","minutes":-1}`, status: 400, field: "minutes"},
		{body: `{"app":"1","user":"` + strings.Repeat("a", 2000) + `"}`, status: 400, field: "session"},
	},
	"DELETE arm":          {{status: 404}, {query: "id=x", status: 404}},
	"GET webhooks":        {{query: "state=lost", status: 400, field: "state"}, {query: "next=x", status: 400, field: "next"}},
	"POST webhook/resend": {{body: `{}`, status: 404}, {body: `{"id":"x"}`, status: 404}},
}

func TestEveryCallRefusesBadInput(t *testing.T) {
	d := newDesk(t, []Option{WithApps(App{ID: "signs", Key: "k", Secret: "s"})})
	readOnly := newDesk(t, []Option{WithReadOnly()})
	for name, route := range d.routes {
		for method, act := range route {
			cases, ok := badInputs[method+" "+name]
			require.True(t, ok, "%s %s has no bad inputs", method, name)
			target := "/api/" + name
			for _, bad := range cases {
				resp := do(d.Console, request(method, target+"?"+bad.query, bad.body))
				p := problemOf(t, resp)
				assert.Equal(t, bad.status, resp.StatusCode, "%s %s?%s %.80s: %+v", method, name, bad.query, bad.body, p)
				if bad.field != "" {
					assert.Equal(t, bad.field, p.Field, "%s %s?%s %.80s: %+v", method, name, bad.query, bad.body, p)
				}
				assert.NotEmpty(t, p.Error)
				assert.NotEmpty(t, p.Code)
			}
			// What is wrong with any call.
			for _, query := range []string{"app=1&app=2", "q=" + strings.Repeat("a", maxParameter+1), "q=%ff", "%zz", "a=;"} {
				assert.Equal(t, http.StatusBadRequest, do(d.Console, request(method, target+"?"+query, "")).StatusCode, "%s %s?%s", method, name, query)
			}
			if changes(method) {
				r := request(method, target, `{}`)
				r.Header.Del(csrfHeader)
				assert.Equal(t, http.StatusForbidden, do(d.Console, r).StatusCode, "%s %s without the header", method, name)
			}
			if method == http.MethodPost && name != "sign-out" && name != "sign-in" {
				r := request(method, target, `{}`)
				r.Header.Set("Content-Type", "text/plain")
				assert.Contains(t, []int{http.StatusUnsupportedMediaType}, do(d.Console, r).StatusCode, "%s %s", method, name)
			}
			if act.changes {
				assert.Equal(t, http.StatusForbidden, do(readOnly.Console, request(method, target, `{}`)).StatusCode, "%s %s of one that is read-only", method, name)
			}
		}
		assert.Equal(t, http.StatusMethodNotAllowed, do(d.Console, request(http.MethodPatch, "/api/"+name, "")).StatusCode, name)
	}
	assert.Equal(t, http.StatusNotFound, do(d.Console, request(http.MethodGet, "/api/", "")).StatusCode)
	assert.Equal(t, http.StatusNotFound, do(d.Console, request(http.MethodGet, "/api/nothing", "")).StatusCode)
	assert.Equal(t, http.StatusNotFound, do(d.Console, request(http.MethodGet, "/api/../web/index.html", "")).StatusCode)
}

func TestNobodyWithoutPermissionGetsAnything(t *testing.T) {
	d := newDesk(t, nil)
	d.auth = programAuthorizer(func(*http.Request) error { return errors.New("no") })
	for name, route := range d.routes {
		for method, act := range route {
			resp := do(d.Console, request(method, "/api/"+name, ""))
			if !act.open {
				assert.Equal(t, http.StatusForbidden, resp.StatusCode, "%s %s", method, name)
			}
		}
	}
	open := []string{}
	for name, route := range d.routes {
		for _, act := range route {
			if act.open {
				open = append(open, name)
			}
		}
	}
	assert.ElementsMatch(t, []string{"session-state", "sign-in", "sign-out"}, open)
}

func TestEveryAnswerHasItsHeaders(t *testing.T) {
	d := newDesk(t, nil)
	for _, target := range []string{"/", "/index.html", "/nothing", "/api/info", "/api/nothing", "/api/channel"} {
		h := do(d.Console, request(http.MethodGet, target, "")).Header
		assert.Contains(t, h.Get("Content-Security-Policy"), "default-src 'none'", target)
		assert.Contains(t, h.Get("Content-Security-Policy"), "frame-ancestors 'none'", target)
		assert.NotContains(t, h.Get("Content-Security-Policy"), "unsafe", target)
		assert.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), target)
		assert.Equal(t, "no-referrer", h.Get("Referrer-Policy"), target)
		assert.Equal(t, "DENY", h.Get("X-Frame-Options"), target)
		assert.Empty(t, h.Get("Access-Control-Allow-Origin"), target)
		if strings.HasPrefix(target, "/api/") {
			assert.Equal(t, "no-store", h.Get("Cache-Control"), target)
		}
	}
}

func TestPage(t *testing.T) {
	d := newDesk(t, nil)
	resp := do(d.Console, request(http.MethodGet, "/", ""))
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Equal(t, "text/html; charset=utf-8", resp.Header.Get("Content-Type"))
	again := request(http.MethodGet, "/index.html", "")
	again.Header.Set("If-None-Match", resp.Header.Get("ETag"))
	assert.Equal(t, http.StatusNotModified, do(d.Console, again).StatusCode)
	assert.Equal(t, http.StatusMethodNotAllowed, do(d.Console, request(http.MethodPost, "/", "")).StatusCode)
	for _, target := range []string{"/../console.go", "/web/index.html", "/%2e%2e/go.mod", "/.", "//"} {
		r := request(http.MethodGet, "/", "")
		r.URL.Path = target
		assert.Equal(t, http.StatusNotFound, do(d.Console, r).StatusCode, target)
	}
	// Mounted without a slash at the end, it sends to where its relative addresses work.
	r := request(http.MethodGet, "/admin/console", "")
	r.RequestURI = "/admin/console?x=1"
	resp = do(http.StripPrefix("/admin/console", d.Console), r)
	assert.Equal(t, http.StatusMovedPermanently, resp.StatusCode)
	assert.Equal(t, "./console/", resp.Header.Get("Location"))
	for name, page := range d.pages {
		if strings.HasSuffix(name, ".html") {
			assert.NotContains(t, string(page.data), "<style", name)
			assert.NotContains(t, string(page.data), " style=", name)
			assert.NotRegexp(t, `<script(>| [^>]*[^/"]>[^<])`, string(page.data), name)
		}
	}
}

func TestAttach(t *testing.T) {
	c, err := New(WithAuthorization(func(*http.Request) error { return nil }))
	require.NoError(t, err)
	defer c.Close()
	resp := do(c, request(http.MethodGet, "/api/now", ""))
	assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	assert.Equal(t, "1", resp.Header.Get("Retry-After"))
	require.ErrorIs(t, c.Attach(nil, nil), broker.ErrInvalid)
	b, err := broker.New(broker.WithObserver(c))
	require.NoError(t, err)
	require.NoError(t, c.Attach(b, nil))
	require.ErrorIs(t, c.Attach(b, nil), ErrAttached)
	assert.Equal(t, http.StatusOK, do(c, request(http.MethodGet, "/api/now", "")).StatusCode)
	assert.Equal(t, http.StatusNotImplemented, do(c, request(http.MethodPost, "/api/webhook/resend", `{"id":"x"}`)).StatusCode)
	c.Close()
	c.Close()
	_, err = b.App("1").Publish(t.Context(), "room", "x", nil)
	require.NoError(t, err, "the broker goes on")
	require.NoError(t, b.Shutdown(t.Context()))

	closed, err := New(WithLoopbackOnly())
	require.NoError(t, err)
	closed.Close()
	require.NoError(t, closed.Attach(b, nil), "which starts nothing")
}

func TestErrorsOfTheStore(t *testing.T) {
	d := newDesk(t, nil)
	for err, want := range map[error]int{
		errors.New("disk is full"):                           http.StatusBadGateway,
		fmt.Errorf("history: %w", errors.ErrUnsupported):     http.StatusNotImplemented,
		fmt.Errorf("x: %w", broker.ErrShutdown):              http.StatusServiceUnavailable,
		fmt.Errorf("x: %w", broker.ErrNotKept):               http.StatusBadRequest,
		&broker.FieldError{Field: "channel", Problem: "bad"}: http.StatusBadRequest,
	} {
		e := d.describe(request(http.MethodGet, "/api/x", ""), err)
		assert.Equal(t, want, e.status, "%v", err)
		assert.NotEmpty(t, e.Code)
	}
}
