package console

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
)

const testToken = "a token that is long enough"

// desk is a console with a broker and clients.
type desk struct {
	*brokertest.Kit
	*Console
	t    *testing.T
	sent atomic.Int64
}

// newDesk makes a console that anybody may use who sends the header of its page.
func newDesk(t *testing.T, opts []Option, brokerOptions ...broker.Option) *desk {
	t.Helper()
	opts = append([]Option{WithAuthorization(func(*http.Request) error { return nil }), WithLogger(slog.New(slog.DiscardHandler))}, opts...)
	c, err := New(opts...)
	require.NoError(t, err)
	kit := brokertest.New(t, append(brokerOptions, broker.WithObserver(c))...)
	require.NoError(t, c.Attach(kit.Broker, kit.Handler))
	t.Cleanup(c.Close)
	return &desk{Kit: kit, Console: c, t: t}
}

// request is one as the page makes it.
func request(method, target, body string) *http.Request {
	var r *http.Request
	if body == "" {
		r = httptest.NewRequest(method, target, nil)
	} else {
		r = httptest.NewRequest(method, target, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set(csrfHeader, "1")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return r
}

func do(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// get decodes an answer, which has to be a good one.
func get[T any](d *desk, target string) T { return ask[T](d, http.MethodGet, target, "") }

func ask[T any](d *desk, method, target, body string) (out T) {
	d.t.Helper()
	resp := do(d.Console, request(method, target, body))
	data, err := io.ReadAll(resp.Body)
	require.NoError(d.t, err)
	require.Equal(d.t, http.StatusOK, resp.StatusCode, "%s %s: %s", method, target, data)
	require.NoError(d.t, json.Unmarshal(data, &out), "%s", data)
	return out
}

// problem is an answer that is an error.
type problem struct {
	Error, Code, Field, SignIn string
}

func problemOf(t *testing.T, resp *http.Response) (p problem) {
	t.Helper()
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&p))
	return p
}

// hookThatRefuses refuses subscriptions, or none.
func hookThatRefuses(refuse bool) func(context.Context, *broker.SubscribeRequest) error {
	return func(context.Context, *broker.SubscribeRequest) error {
		if refuse {
			return broker.Refuse(403, "only bob may")
		}
		return nil
	}
}

// hookThatRefusesEvents refuses events of one name.
func hookThatRefusesEvents(name string) func(context.Context, *broker.PublishRequest) error {
	return func(_ context.Context, r *broker.PublishRequest) error {
		if r.Event == name {
			return broker.Refuse(403, "not this one")
		}
		return nil
	}
}
