package pusher

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
)

// witness keeps what it observes of this package.
type witness struct {
	mu  sync.Mutex
	all []broker.Observation // guarded by mu
}

func (w *witness) Observe(_ context.Context, o broker.Observation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, o)
}

// observedBy takes what was observed of one type.
func observedBy[T broker.Observation](w *witness) (some []T) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = slices.DeleteFunc(w.all, func(o broker.Observation) bool {
		one, is := o.(T)
		if is {
			some = append(some, one)
		}
		return is
	})
	return some
}

func TestEachCallOfTheAPIIsObserved(t *testing.T) {
	rec := new(witness)
	a := newAPITest(t, broker.WithObserver(rec), broker.WithChannelRules(
		broker.ChannelRule{Pattern: "kept", History: broker.Retention{Events: 5}}))
	event := `{"name":"m","data":"x","channel":"kept","id":"e"}`
	for _, c := range []struct {
		do            func() *httptest.ResponseRecorder
		method, route string
		status        int
		known         bool
	}{
		{func() *httptest.ResponseRecorder { return a.post("/events", event) }, "POST", "/events", 200, true},
		{func() *httptest.ResponseRecorder { return a.post("/events", "{") }, "POST", "/events", 400, true},
		{func() *httptest.ResponseRecorder { return a.get("/events", nil) }, "GET", "/events", 405, true},
		{func() *httptest.ResponseRecorder { return a.post("/batch_events", `{"batch":[]}`) }, "POST", "/batch_events", 400, true},
		{func() *httptest.ResponseRecorder { return a.get("/channels", nil) }, "GET", "/channels", 200, true},
		{func() *httptest.ResponseRecorder { return a.get("/channels/a", nil) }, "GET", "/channels/{channel}", 200, true},
		{func() *httptest.ResponseRecorder { return a.get("/channels/presence-a/users", nil) }, "GET", "/channels/{channel}/users", 200, true},
		{func() *httptest.ResponseRecorder { return a.get("/channels/kept/history", nil) }, "GET", "/channels/{channel}/history", 200, true},
		{func() *httptest.ResponseRecorder { return a.post("/channels/kept/events/e/edit", `{"data":"y"}`) }, "POST", "/channels/{channel}/events/{event}/edit", 200, true},
		{func() *httptest.ResponseRecorder { return a.post("/users/u/terminate_connections", "") }, "POST", "/users/{user}/terminate_connections", 200, true},
		{func() *httptest.ResponseRecorder { return a.get("/connections", nil) }, "GET", "/connections", 200, true},
		{func() *httptest.ResponseRecorder { return a.get("/users/u", nil) }, "GET", "other", 404, true},
		{func() *httptest.ResponseRecorder {
			return a.do(httptest.NewRequest("PATCH", "/apps/1/channels", nil))
		}, "other", "/channels", 401, true},
		{func() *httptest.ResponseRecorder { return a.do(httptest.NewRequest("GET", "/apps/2/channels", nil)) }, "GET", "/channels", 404, false},
	} {
		w := c.do()
		calls := observedBy[broker.APICalled](rec)
		require.Len(t, calls, 1, c.route)
		call := calls[0]
		assert.Equal(t, c.status, w.Code, "%s: %s", c.route, w.Body)
		assert.Equal(t, []any{c.method, c.route, c.status, c.known}, []any{call.Method, call.Route, call.Status, call.Known}, c.route)
		assert.Equal(t, c.status != 200, call.Err != nil)
	}
	assert.Equal(t, len(event), func() int {
		a.post("/events", event)
		return observedBy[broker.APICalled](rec)[0].BytesIn
	}())
}

func TestClientsThatAreRefusedAreObserved(t *testing.T) {
	rec := new(witness)
	a := newAPITest(t, broker.WithObserver(rec), broker.WithHooks(broker.Hooks{
		Connect: func(context.Context, *broker.ConnectRequest) error { return broker.Refuse(403, "closed") }}))
	for _, c := range []struct {
		dial      Dial
		app, text string
	}{
		{Dial{Key: "nobody's", Protocol: "7"}, "", "does not exist"},
		{Dial{Key: "key", Protocol: "4"}, "1", "version"},
		{Dial{Key: "key", Protocol: "7", Origin: "https://elsewhere.example", Host: "here.example"}, "1", "origin"},
		{Dial{Key: "key", Protocol: "7"}, "1", "closed"},
	} {
		c.dial.IP = "192.0.2.1"
		Connect(t, a.handler.Open(t.Context(), c.dial))
		got := observedBy[broker.SessionRefused](rec)
		require.Len(t, got, 1, c.text)
		assert.Equal(t, []any{c.app, "192.0.2.1", "memory"}, []any{got[0].App, got[0].IP, got[0].Transport})
		assert.ErrorContains(t, got[0].Err, c.text)
		assert.ErrorIs(t, got[0].Err, broker.ErrRefused)
	}
}

// tracer gives each request a value.
type tracer struct {
	witness
	ends []any
}

type traceKey struct{}

func (*tracer) APIStart(ctx context.Context, call broker.APICalled, header textproto.MIMEHeader) context.Context {
	return context.WithValue(ctx, traceKey{}, call.Method+" "+header.Get("Traceparent"))
}

func (r *tracer) APIEnd(ctx context.Context, call broker.APICalled) {
	r.ends = append(r.ends, ctx.Value(traceKey{}), call.Status)
}

func TestACallOfTheAPIHasTheContextOfItsTracer(t *testing.T) {
	rec := new(tracer)
	var seen any
	a := newAPITest(t, broker.WithObserver(rec), broker.WithHooks(broker.Hooks{
		Publish: func(ctx context.Context, _ *broker.PublishRequest) error { seen = ctx.Value(traceKey{}); return nil }}))
	r := signedRequest(a.app, "POST", "/apps/1/events", `{"name":"m","data":"x","channel":"a"}`, nil)
	r.Header.Set("traceparent", "00-1-2-01")
	a.expect(a.do(r), "{}")
	assert.Equal(t, "POST 00-1-2-01", seen)
	assert.Equal(t, []any{"POST 00-1-2-01", 200}, rec.ends)
}

func TestMessagesOfClientsAreObserved(t *testing.T) {
	rec := new(witness)
	a := newAPITest(t, broker.WithObserver(rec))
	c := a.client("private-a")
	observedBy[broker.MessageReceived](rec)
	for _, m := range []struct{ message, event, channel string }{
		{`{"event":"pusher:ping","data":{}}`, "pusher:ping", ""},
		{`{"event":"pusher:subscribe","data":{"channel":"b"}}`, "pusher:subscribe", "b"},
		{`{"event":"client-x","channel":"private-a","data":"x"}`, "client-x", "private-a"},
		{`{`, "", ""},
	} {
		require.NoError(t, c.Send([]byte(m.message)))
		got := observedBy[broker.MessageReceived](rec)
		require.Len(t, got, 1)
		assert.Equal(t, []any{m.event, m.channel, len(m.message)}, []any{got[0].Event, got[0].Channel, got[0].Bytes})
	}
}

func TestWebhooksAreObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failing atomic.Bool
		failing.Store(true)
		r := newReceiver(func(gotRequest) (int, time.Duration) {
			if failing.Load() {
				return 503, time.Second
			}
			return 200, 0
		})
		rec := new(witness)
		kit := newWebhookKit(t, r, Webhook{URL: "https://ann:pass@hooks.example/in?token=secret"})
		require.NoError(t, kit.broker().AddObserver(rec))
		kit.occupied("room")
		time.Sleep(1500 * time.Millisecond)
		sent := observedBy[broker.WebhookSent](rec)
		require.Len(t, sent, 1)
		first := sent[0]
		assert.Equal(t, "https://hooks.example/in", first.URL)
		assert.Equal(t, []any{"1", 1, 1, 503, time.Second, false},
			[]any{first.App, first.Events, first.Attempt, first.Status, first.Took, first.Final})
		assert.Error(t, first.Err)
		failing.Store(false)
		time.Sleep(time.Minute)
		sent = observedBy[broker.WebhookSent](rec)
		require.Len(t, sent, 1)
		assert.Equal(t, []any{first.ID, 2, 200, true}, []any{sent[0].ID, sent[0].Attempt, sent[0].Status, sent[0].Final})
		assert.NoError(t, sent[0].Err)

		status, err := kit.handler.ResendWebhook(t.Context(), "1", first.URL, first.Body)
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, status)
		got := r.requests()
		assert.Equal(t, got[1].Body, got[2].Body)
		assert.Equal(t, got[1].Header.Get("X-Pusher-Signature"), got[2].Header.Get("X-Pusher-Signature"))
		again := observedBy[broker.WebhookSent](rec)
		require.Len(t, again, 1)
		assert.Equal(t, 1, again[0].Events)
		assert.NotEqual(t, first.ID, again[0].ID)
		assert.Equal(t, []any{false, true}, []any{first.Again, again[0].Again})
		_, err = kit.handler.ResendWebhook(t.Context(), "1", "https://elsewhere.example/", first.Body)
		require.ErrorIs(t, err, broker.ErrInvalid)

		failing.Store(true)
		kit.occupied("hall")
		time.Sleep(time.Hour)
		dropped := observedBy[broker.WebhookDropped](rec)
		require.Len(t, dropped, 1)
		assert.Equal(t, []any{"1", first.URL, 1}, []any{dropped[0].App, dropped[0].URL, dropped[0].Events})
		sent = observedBy[broker.WebhookSent](rec)
		assert.True(t, sent[len(sent)-1].Final)
		assert.EqualValues(t, 1, kit.stats().Dropped)
		kit.end(t)
	})
}

func (k *webhookKit) broker() *broker.Broker { return k.handler.broker }
