package pusher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/transport/memory"
)

// apiTest is a handler with an app, and a backend that signs its requests.
type apiTest struct {
	t       testing.TB
	app     *App
	broker  *broker.Broker
	handler *Handler
}

func newAPITest(t testing.TB, opts ...broker.Option) *apiTest {
	t.Helper()
	return newHandlerTest(t, opts)
}

func newHandlerTest(t testing.TB, opts []broker.Option, handlerOpts ...Option) *apiTest {
	t.Helper()
	b, err := broker.New(append([]broker.Option{broker.WithDrainWindow(0)}, opts...)...)
	require.NoError(t, err)
	apps, err := NewApps(App{ID: "1", Key: "key", Secret: "secret", EncryptionMasterKey: []byte("0123456789abcdef0123456789abcdef")})
	require.NoError(t, err)
	h, err := NewHandler(b, apps, handlerOpts...)
	require.NoError(t, err)
	a := &apiTest{t: t, app: apps.byID["1"], broker: b, handler: h}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		assert.NoError(t, b.Shutdown(ctx))
	})
	return a
}

func (a *apiTest) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	return w
}

func (a *apiTest) get(path string, params url.Values) *httptest.ResponseRecorder {
	return a.do(signedRequest(a.app, "GET", "/apps/1"+path, "", params))
}

func (a *apiTest) post(path, body string) *httptest.ResponseRecorder {
	return a.do(signedRequest(a.app, "POST", "/apps/1"+path, body, nil))
}

// expect checks an answer of 200.
func (a *apiTest) expect(w *httptest.ResponseRecorder, body string) {
	a.t.Helper()
	assert.Equal(a.t, 200, w.Code, w.Body)
	assert.Equal(a.t, "application/json", w.Header().Get("Content-Type"))
	assert.Equal(a.t, body, w.Body.String())
}

func (a *apiTest) expectError(w *httptest.ResponseRecorder, status int, text string) {
	a.t.Helper()
	assert.Equal(a.t, status, w.Code, w.Body)
	assert.Contains(a.t, w.Body.String(), text)
}

// client is a connection that has subscribed; what it was sent so far is read.
func (a *apiTest) client(channels ...string) *memory.Client {
	a.t.Helper()
	c := Connect(a.t, a.handler.Open(context.Background(), Dial{Key: a.app.Key, Protocol: "7"}))
	socketID := socketIDOf(a.t, c)
	for _, channel := range channels {
		data := ""
		if isPresence(channel) {
			data = fmt.Sprintf(`{"user_id":%q}`, "user-"+socketID)
		}
		message, err := json.Marshal(map[string]any{"event": "pusher:subscribe", "data": map[string]string{
			"channel": channel, "auth": UncheckedChannelAuth(a.app, socketID, channel, data), "channel_data": data}})
		require.NoError(a.t, err)
		require.NoError(a.t, c.Send(message))
		for {
			if _, ok := c.TryReceive(); !ok {
				break
			}
		}
	}
	return c
}

func socketIDOf(t testing.TB, c *memory.Client) string {
	t.Helper()
	hello, ok := c.TryReceive()
	require.True(t, ok)
	var f struct{ Data string }
	require.NoError(t, json.Unmarshal(hello, &f))
	var data struct {
		SocketID string `json:"socket_id"`
	}
	require.NoError(t, json.Unmarshal([]byte(f.Data), &data))
	return data.SocketID
}

func next(t testing.TB, c *memory.Client) string {
	t.Helper()
	message, ok := c.TryReceive()
	require.True(t, ok, "no message")
	return string(message)
}

func none(t testing.TB, c *memory.Client) {
	t.Helper()
	message, ok := c.TryReceive()
	require.False(t, ok, "%s", message)
}

func TestChannels(t *testing.T) {
	a := newAPITest(t)
	a.expect(a.get("/channels", nil), `{"channels":{}}`)
	a.client("presence-a", "b")
	a.client("presence-a")
	a.expect(a.get("/channels", nil), `{"channels":{"b":{},"presence-a":{}}}`)
	a.expect(a.get("/channels", url.Values{"filter_by_prefix": {"presence-"}, "info": {"user_count"}}), `{"channels":{"presence-a":{"user_count":2}}}`)
	a.expect(a.get("/channels", url.Values{"info": {"subscription_count"}}), `{"channels":{"b":{"subscription_count":1},"presence-a":{"subscription_count":2}}}`)
	a.expectError(a.get("/channels", url.Values{"info": {"user_count"}}), 400, "filter_by_prefix")
	a.expectError(a.get("/channels", url.Values{"info": {"weather"}}), 400, "weather")
}

func TestChannel(t *testing.T) {
	a := newAPITest(t)
	a.client("presence-a", "b")
	a.expect(a.get("/channels/b", nil), `{"occupied":true}`)
	a.expect(a.get("/channels/c", nil), `{"occupied":false}`)
	a.expect(a.get("/channels/presence-a", url.Values{"info": {"user_count,subscription_count"}}), `{"occupied":true,"user_count":1,"subscription_count":1}`)
	a.expect(a.get("/channels/presence-c", url.Values{"info": {"user_count,subscription_count"}}), `{"occupied":false,"user_count":0,"subscription_count":0}`)
	a.expectError(a.get("/channels/b", url.Values{"info": {"user_count"}}), 400, "presence")
	a.expectError(a.get("/channels/b", url.Values{"info": {"cache"}}), 400, "cache channel")
	a.expectError(a.get("/channels/b%20b", nil), 400, "character")

	a.expect(a.get("/channels/cache-a", url.Values{"info": {"cache"}}), `{"occupied":false}`)
	a.expect(a.post("/events", `{"name":"m","data":"\"quoted\"","channel":"cache-a"}`), "{}")
	a.expect(a.get("/channels/cache-a", url.Values{"info": {"cache"}}), `{"occupied":false,"cache":{"data":"\"quoted\"","ttl":1800}}`)
}

func TestChannelUsers(t *testing.T) {
	a := newAPITest(t)
	a.expect(a.get("/channels/presence-a/users", nil), `{"users":[]}`)
	a.client("presence-a")
	w := a.get("/channels/presence-a/users", nil)
	assert.Regexp(t, `\A\{"users":\[\{"id":"user-\d+\.\d+"\}\]\}\z`, w.Body.String())
	a.expectError(a.get("/channels/b/users", nil), 400, "presence")
}

func TestConnections(t *testing.T) {
	a := newAPITest(t)
	a.expect(a.get("/connections", nil), `{"connections":0}`)
	a.client("news")
	ends := a.client()
	a.expect(a.get("/connections", nil), `{"connections":2}`)
	ends.Close(1000, "")
	a.expect(a.get("/connections", nil), `{"connections":1}`)
	a.expectError(a.post("/connections", "{}"), 405, "GET")
	a.expectError(a.do(httptest.NewRequest("GET", "/apps/1/connections", nil)), 401, "auth_key")
}

func TestTerminate(t *testing.T) {
	a := newAPITest(t)
	for path, id := range map[string]string{
		"/users/ann/terminate_connections": "ann", "/users/a%20b@c/terminate_connections": "a b@c",
		"/users/a%2Fb/terminate_connections": "a/b", "/users/a/b/terminate_connections": "a/b",
		"/users/%C3%BC+%25/terminate_connections": "ü+%",
	} {
		c := Connect(t, a.handler.Open(t.Context(), Dial{Key: "key", Protocol: "7"}))
		data := fmt.Sprintf(`{"id":%q}`, id)
		message, err := json.Marshal(map[string]any{"event": "pusher:signin", "data": map[string]string{
			"auth": UncheckedUserAuth(a.app, socketIDOf(t, c), data), "user_data": data}})
		require.NoError(t, err)
		require.NoError(t, c.Send(message))
		next(t, c)
		a.expect(a.post(path, ""), "{}")
		code, _ := c.CloseStatus()
		assert.Equal(t, 4009, code)
	}
	// Being on a presence channel is not being signed in.
	c := a.client("presence-a")
	a.expect(a.post("/users/ann/terminate_connections", ""), "{}")
	code, _ := c.CloseStatus()
	assert.Zero(t, code)
	a.expectError(a.post("/users/"+strings.Repeat("x", 129)+"/terminate_connections", ""), 400, "limit is 128")
}

func TestRefusedRequests(t *testing.T) {
	a := newAPITest(t)
	a.expectError(a.do(signedRequest(a.app, "GET", "/apps/2/channels", "", nil)), 404, `app "2" does not exist`)
	a.expectError(a.do(httptest.NewRequest("GET", "/apps/1/channels", nil)), 401, "auth_key is missing")
	a.expectError(a.do(signedRequest(&App{Key: "key", Secret: "wrong"}, "GET", "/apps/1/channels", "", nil)), 401, "auth_signature")
	a.expectError(a.do(signedRequest(a.app, "GET", "/apps/%31/channels", "", nil)), 200, "{}")
	wrongMethod := a.get("/events", nil)
	a.expectError(wrongMethod, 405, "use POST")
	assert.Equal(t, "POST", wrongMethod.Header().Get("Allow"))
	a.expectError(a.post("/channels", ""), 405, "use GET, HEAD")
	a.expectError(a.get("/users/ann", nil), 404, "not found")
	a.expectError(a.do(httptest.NewRequest("GET", "/nothing", nil)), 404, "")
	a.expectError(a.do(httptest.NewRequest("GET", "/app/key", nil)), http.StatusUpgradeRequired, "WebSocket")
	a.app.Disabled = true
	a.expectError(a.get("/channels", nil), 403, "disabled")
}

func TestPublishLimitsAndHooks(t *testing.T) {
	limits, err := ratelimit.New(nil, ratelimit.PublishesPerApp(1, 2))
	require.NoError(t, err)
	a := newAPITest(t, broker.WithRateLimits(limits), broker.WithHooks(broker.Hooks{
		Publish: func(_ context.Context, r *broker.PublishRequest) error {
			switch r.Channel {
			case "closed":
				return broker.Refuse(http.StatusConflict, "channel is closed")
			case "forbidden":
				return broker.Refuse(0, "not here")
			case "broken":
				return errors.New("dial tcp 10.0.0.5:5432: connection refused")
			}
			return nil
		},
	}))
	a.expectError(a.post("/events", `{"name":"m","data":"x","channel":"closed"}`), 409, "channel is closed")
	a.expectError(a.post("/events", `{"name":"m","data":"x","channel":"forbidden"}`), 403, "not here")
	broken := a.post("/events", `{"name":"m","data":"x","channel":"broken"}`)
	a.expectError(broken, 500, "internal error")
	assert.NotContains(t, broken.Body.String(), "10.0.0.5")
	assert.NotContains(t, a.post("/events", `{"name":"m","data":"x","channel":"closed"}`).Header(), "Retry-After")
	a.expect(a.post("/events", `{"name":"m","data":"x","channel":"a"}`), "{}")
	a.expect(a.post("/events", `{"name":"m","data":"x","channel":"a"}`), "{}")
	w := a.post("/events", `{"name":"m","data":"x","channel":"a"}`)
	a.expectError(w, 429, "retry in")
	assert.Equal(t, "1", w.Header().Get("Retry-After"))
	for path, body := range map[string]string{
		"/events":       `{"name":"m","data":"x","channels":["a","b","c"]}`,
		"/batch_events": `{"batch":[{"name":"m","data":"x","channel":"a"},{"name":"m","data":"x","channel":"a"},{"name":"m","data":"x","channel":"b"}]}`,
	} {
		w := a.post(path, body)
		a.expectError(w, 413, "3 at once is more than the rate limit ever lets through: a burst has at most 2")
		assert.NotContains(t, w.Header(), "Retry-After")
	}
	require.NoError(t, a.broker.Shutdown(t.Context()))
	a.expectError(a.post("/events", `{"name":"m","data":"x","channel":"a"}`), 503, "shut down")
}

// TestHeadIsAnsweredWhereGetIs goes through all that GET is for.
func TestHeadIsAnsweredWhereGetIs(t *testing.T) {
	a := newAPITest(t)
	a.client("presence-a")
	srv := httptest.NewServer(a.handler)
	defer srv.Close()
	for _, path := range []string{"/apps/1/channels", "/apps/1/channels/presence-a", "/apps/1/channels/presence-a/users",
		"/sse/app/key?channels=a", "/info", "/iframe.html", "/app/key", "/nothing", "/apps/1/channels/a/users"} {
		ask := func(method string) *http.Response {
			target := path
			if strings.HasPrefix(path, "/apps/") {
				target = signedRequest(a.app, method, path, "", nil).URL.RequestURI()
			}
			r, err := http.NewRequestWithContext(t.Context(), method, srv.URL+target, nil)
			require.NoError(t, err)
			resp, err := srv.Client().Do(r)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			return resp
		}
		get, head := ask("GET"), ask("HEAD")
		assert.Equal(t, get.StatusCode, head.StatusCode, path)
		assert.Equal(t, get.Header.Get("Content-Type"), head.Header.Get("Content-Type"), path)
	}
	a.expectError(a.do(signedRequest(a.app, "HEAD", "/apps/1/events", "", nil)), 405, "use POST")
	assert.Equal(t, "GET, HEAD", a.post("/channels", "").Header().Get("Allow"))
}
