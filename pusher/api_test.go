package pusher

import (
	"context"
	"encoding/json"
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
	b, err := broker.New(append([]broker.Option{broker.WithDrainWindow(0)}, opts...)...)
	require.NoError(t, err)
	apps, err := NewApps(App{ID: "1", Key: "key", Secret: "secret", EncryptionMasterKey: []byte("0123456789abcdef0123456789abcdef")})
	require.NoError(t, err)
	a := &apiTest{t: t, app: apps.byID["1"], broker: b, handler: NewHandler(b, apps)}
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
	c := memory.Connect(a.handler.Open(context.Background(), Dial{Key: a.app.Key, Protocol: "7"}))
	socketID := socketIDOf(a.t, c)
	for _, channel := range channels {
		data := ""
		if isPresence(channel) {
			data = fmt.Sprintf(`{"user_id":%q}`, "user-"+socketID)
		}
		message, err := json.Marshal(map[string]any{"event": "pusher:subscribe", "data": map[string]string{
			"channel": channel, "auth": SignChannel(a.app, socketID, channel, data), "channel_data": data}})
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

func TestPublish(t *testing.T) {
	a := newAPITest(t)
	one, both := a.client("a"), a.client("a", "b")
	a.expect(a.post("/events", `{"name":"message","data":"{\"x\":1}","channels":["a","b"]}`), "{}")
	assert.Equal(t, `{"event":"message","channel":"a","data":"{\"x\":1}"}`, next(t, one))
	assert.Equal(t, `{"event":"message","channel":"a","data":"{\"x\":1}"}`, next(t, both))
	assert.Equal(t, `{"event":"message","channel":"b","data":"{\"x\":1}"}`, next(t, both))
	a.expect(a.post("/events", `{"name":"message","data":"","channel":"b"}`), "{}")
	assert.Equal(t, `{"event":"message","channel":"b","data":""}`, next(t, both))
	none(t, one)
}

func TestPublishExcludesASocket(t *testing.T) {
	a := newAPITest(t)
	sender := memory.Connect(a.handler.Open(t.Context(), Dial{Key: "key", Protocol: "7"}))
	socketID := socketIDOf(t, sender)
	require.NoError(t, sender.Send([]byte(`{"event":"pusher:subscribe","data":{"channel":"a"}}`)))
	next(t, sender)
	other := a.client("a")
	a.expect(a.post("/events", fmt.Sprintf(`{"name":"message","data":"x","channel":"a","socket_id":%q}`, socketID)), "{}")
	next(t, other)
	none(t, sender)
}

func TestPublishInfo(t *testing.T) {
	a := newAPITest(t)
	a.client("presence-a", "b")
	a.client("b")
	a.expect(a.post("/events", `{"name":"m","data":"x","channels":["presence-a","b","c"],"info":"user_count,subscription_count"}`),
		`{"channels":{"b":{"subscription_count":2},"c":{"subscription_count":0},"presence-a":{"user_count":1,"subscription_count":1}}}`)
	a.expect(a.post("/events", `{"name":"m","data":"x","channels":["presence-x","b"],"info":"user_count"}`),
		`{"channels":{"b":{},"presence-x":{"user_count":0}}}`)
	a.expect(a.post("/batch_events", `{"batch":[{"name":"m","data":"x","channel":"b","info":"subscription_count"},{"name":"m","data":"x","channel":"b"}]}`),
		`{"batch":[{"subscription_count":2},{}]}`)
}

func TestPublishBatch(t *testing.T) {
	a := newAPITest(t)
	c := a.client("a", "b")
	a.expect(a.post("/batch_events", `{"batch":[{"name":"1","data":"x","channel":"a"},{"name":"2","data":"y","channel":"b"}]}`), "{}")
	assert.Contains(t, next(t, c), `"event":"1","channel":"a"`)
	assert.Contains(t, next(t, c), `"event":"2","channel":"b"`)
	a.expectError(a.post("/batch_events", `{"batch":[{"name":"1","data":"x","channel":"a"},{"name":"","data":"y","channel":"b"}]}`), 400, "batch[1]: name is missing")
	a.expectError(a.post("/batch_events", `{"batch":[{"name":"1","data":"x","channel":"a"},{"name":"2","data":"y","channel":"b b"}]}`), 400, "batch[1]: channel")
	none(t, c)
}

func TestIdempotencyKey(t *testing.T) {
	a := newAPITest(t)
	c := a.client("a")
	for range 2 {
		r := signedRequest(a.app, "POST", "/apps/1/events", `{"name":"m","data":"x","channel":"a"}`, nil)
		r.Header.Set("Idempotency-Key", "order-1")
		a.expect(a.do(r), "{}")
	}
	next(t, c)
	none(t, c)
}

func TestEncryptedChannels(t *testing.T) {
	a := newAPITest(t)
	c := a.client("private-encrypted-a")
	// A backend has sealed its event already.
	a.expect(a.post("/events", `{"name":"m","data":"{\"nonce\":\"n\",\"ciphertext\":\"c\"}","channel":"private-encrypted-a"}`), "{}")
	assert.Contains(t, next(t, c), `{\"nonce\":\"n\",\"ciphertext\":\"c\"}`)
	_, err := a.broker.App("1").Publish(t.Context(), "private-encrypted-a", "m", []byte("plain"))
	require.NoError(t, err)
	var f struct{ Data string }
	require.NoError(t, json.Unmarshal([]byte(next(t, c)), &f))
	opened, err := (&cipher{a.handler.apps}).Open("1", "private-encrypted-a", []byte(f.Data))
	require.NoError(t, err)
	assert.Equal(t, "plain", string(opened))
	for _, bad := range []string{"", "{}", `{"nonce":"AAAA","ciphertext":"AAAA"}`, strings.Replace(f.Data, "a", "b", 1) + " "} {
		if _, err := (&cipher{a.handler.apps}).Open("1", "private-encrypted-b", []byte(bad)); assert.Error(t, err) {
			assert.ErrorIs(t, err, errNotOpened)
		}
	}
	a.app.EncryptionMasterKey = nil
	_, err = a.broker.App("1").Publish(t.Context(), "private-encrypted-a", "m", []byte("plain"))
	require.ErrorIs(t, err, broker.ErrNoCipher)
}

func TestBadPublishes(t *testing.T) {
	a := newAPITest(t)
	c := a.client("a")
	many := `["` + strings.Repeat(`c","`, 100) + `c"]`
	for _, test := range []struct {
		path, body string
		status     int
		text       string
	}{
		{"/events", ``, 400, "body is not a JSON object"},
		{"/events", "{\"name\":\"m\",\"data\":\"\xff\",\"channel\":\"a\"}", 400, "body is not valid UTF-8"},
		{"/events", `[]`, 400, "body is not a JSON object"},
		{"/events", `{"name":`, 400, "body is not valid JSON"},
		{"/events", `{"data":"x","channel":"a"}`, 400, "name is missing"},
		{"/events", `{"name":1,"data":"x","channel":"a"}`, 400, "name is not a string"},
		{"/events", `{"name":"m","channel":"a"}`, 400, "data is missing"},
		{"/events", `{"name":"m","data":{"x":1},"channel":"a"}`, 400, "data is not a string: encode it as JSON first"},
		{"/events", `{"name":"m","Data":"x","channel":"a"}`, 400, "data is missing"},
		{"/events", `{"name":"m","data":"x","data":null,"channel":"a"}`, 400, "data is missing"},
		{"/events", `{"name":"m","data":"x","channels":[1]}`, 400, "channels is not a list of strings"},
		{"/events", `{"name":"m","data":"x","channels":[null]}`, 400, "channel is empty"},
		{"/events", "\u00a0{}", 400, "body is not a JSON object"},
		{"/events", `{"name":"m","channel":"a","data":"x"}}`, 400, "body is not valid JSON"},
		{"/events", `{"x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, 400, "body is not valid JSON"},
		{"/events", `{"name":"m","data":"x"}`, 400, "channels is missing"},
		{"/events", `{"name":"m","data":"x","channels":[]}`, 400, "channels is missing"},
		{"/events", `{"name":"m","data":"x","channels":"a"}`, 400, "channels is not a list of strings"},
		{"/events", `{"name":"m","data":"x","channels":["a"],"channel":"a"}`, 400, "channel and channels"},
		{"/events", `{"name":"m","data":"x","channels":` + many + `}`, 400, "channels has too many: 101, the limit is 100"},
		{"/events", `{"name":"m","data":"x","channels":["a","b b"]}`, 400, "channel \"b b\""},
		{"/events", `{"name":"m","data":"x","channel":"` + strings.Repeat("x", 165) + `"}`, 400, "limit is 164"},
		{"/events", `{"name":"` + strings.Repeat("x", 201) + `","data":"x","channel":"a"}`, 400, "limit is 200"},
		{"/events", `{"name":"pusher:x","data":"x","channel":"a"}`, 400, "name \"pusher:x\""},
		{"/events", `{"name":"pusher_internal:x","data":"x","channel":"a"}`, 400, "reserves"},
		{"/events", `{"name":"m","data":"x","channel":"a","socket_id":"1.2\n"}`, 400, "socket_id"},
		{"/events", `{"name":"m","data":"x","channel":"a","socket_id":"one"}`, 400, "socket_id"},
		{"/events", `{"name":"m","data":"x","channel":"a","info":"weather"}`, 400, "weather"},
		{"/events", `{"name":"m","data":"` + strings.Repeat("x", 10241) + `","channel":"a"}`, 413, "10241 bytes, the limit is 10240"},
		{"/batch_events", `{"batch":[]}`, 400, "batch is missing"},
		{"/batch_events", `{"batch":{}}`, 400, "batch is not a list of events"},
		{"/batch_events", `{"batch":[1]}`, 400, "batch[0]: event is not a JSON object"},
		{"/batch_events", `{"batch":[` + strings.Repeat(`{},`, 10) + `{}]}`, 400, "11, the limit is 10"},
		{"/batch_events", `{"batch":[{"name":"m","data":"x","channels":["a"]}]}`, 400, "channels is not allowed"},
		{"/batch_events", `{"batch":[{"name":"m","data":"` + strings.Repeat("x", 10241) + `","channel":"a"}]}`, 413, "batch[0]: data is too large"},
	} {
		a.expectError(a.post(test.path, test.body), test.status, test.text)
	}
	for _, path := range []string{"/events", "/batch_events"} {
		long := signedRequest(a.app, "POST", "/apps/1"+path, `{"name":"m","data":"x","channel":"a","batch":[{"name":"m","data":"x","channel":"a"}]}`, nil)
		long.Header.Set("Idempotency-Key", strings.Repeat("k", 256))
		a.expectError(a.do(long), 400, "Idempotency-Key is too long, in bytes: 256, the limit is 255")
	}
	a.app.Limits.RequestBytes = 100
	a.expectError(a.post("/events", strings.Repeat(" ", 101)), 413, "limit is 100 bytes")
	a.app.Limits.EventNameChars = 3
	a.expectError(a.post("/events", `{"name":"üüüü","data":"x","channel":"a"}`), 400, "name is too long: 4, the limit is 3")
	none(t, c)
}

// TestLargestPublishes has what is just within the limits.
func TestLargestPublishes(t *testing.T) {
	a := newAPITest(t)
	channel := strings.Repeat("c", broker.MaxChannelName)
	c := a.client(channel)
	name, data := strings.Repeat("ü", broker.MaxEventName), strings.Repeat("x", 10240)
	event := fmt.Sprintf(`{"name":%q,"data":%q,"channel":%q}`, name, data, channel)
	a.app.Limits.RequestBytes = len(event)
	r := signedRequest(a.app, "POST", "/apps/1/events", event, nil)
	r.Header.Set("Idempotency-Key", strings.Repeat("k", maxIdempotencyKey))
	a.expect(a.do(r), "{}")
	assert.Contains(t, next(t, c), name)
	a.app.Limits.RequestBytes = 0
	a.expect(a.post("/events", `{"name":"m","data":"x","channels":["`+strings.Repeat(`c","`, 99)+`c"]}`), "{}")
	a.expect(a.post("/batch_events", `{"batch":[`+strings.Repeat(event+",", 9)+event+`]}`), "{}")
	for range 10 {
		next(t, c)
	}
	none(t, c)
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

func TestTerminate(t *testing.T) {
	a := newAPITest(t)
	for path, id := range map[string]string{"/users/ann/terminate_connections": "ann", "/users/a%20b@c/terminate_connections": "a b@c"} {
		c := memory.Connect(a.handler.Open(t.Context(), Dial{Key: "key", Protocol: "7"}))
		data := fmt.Sprintf(`{"id":%q}`, id)
		message, err := json.Marshal(map[string]any{"event": "pusher:signin", "data": map[string]string{
			"auth": SignUser(a.app, socketIDOf(t, c), data), "user_data": data}})
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
	a.expectError(a.get("/events", nil), 405, "use POST")
	a.expectError(a.post("/channels", ""), 405, "use GET")
	a.expectError(a.get("/users/ann", nil), 404, "not found")
	a.expectError(a.do(httptest.NewRequest("GET", "/nothing", nil)), 404, "")
	a.expectError(a.do(httptest.NewRequest("GET", "/app/key", nil)), http.StatusUpgradeRequired, "WebSocket")
	a.app.Disabled = true
	a.expectError(a.get("/channels", nil), 403, "disabled")
}

func TestPublishLimitsAndHooks(t *testing.T) {
	limits, err := ratelimit.New(nil, ratelimit.PublishesPerApp(1, 2))
	require.NoError(t, err)
	a := newAPITest(t, broker.WithLimits(limits), broker.WithHooks(broker.Hooks{
		Publish: func(_ context.Context, r *broker.PublishRequest) error {
			if r.Channel == "closed" {
				return broker.Refuse(http.StatusConflict, "channel is closed")
			}
			return nil
		},
	}))
	a.expectError(a.post("/events", `{"name":"m","data":"x","channel":"closed"}`), 409, "channel is closed")
	a.expect(a.post("/events", `{"name":"m","data":"x","channel":"a"}`), "{}")
	a.expect(a.post("/events", `{"name":"m","data":"x","channel":"a"}`), "{}")
	w := a.post("/events", `{"name":"m","data":"x","channel":"a"}`)
	a.expectError(w, 429, "retry in")
	assert.Equal(t, "1", w.Header().Get("Retry-After"))
	require.NoError(t, a.broker.Shutdown(t.Context()))
	a.expectError(a.post("/events", `{"name":"m","data":"x","channel":"a"}`), 503, "shut down")
}

// FuzzAPIBody feeds bodies to the requests that parse them.
func FuzzAPIBody(f *testing.F) {
	f.Add("/events", []byte(`{"name":"m","data":"x","channels":["a","b"],"info":"user_count"}`))
	f.Add("/batch_events", []byte(`{"batch":[{"name":"m","data":"x","channel":"a","socket_id":"1.2"}]}`))
	f.Add("/events", []byte(`{"name":{},"channels":[[]]}`))
	a := newAPITest(f)
	f.Fuzz(func(t *testing.T, path string, body []byte) {
		if path != "/batch_events" {
			path = "/events"
		}
		w := a.post(path, string(body))
		switch w.Code {
		case 200:
			require.True(t, json.Valid(w.Body.Bytes()))
		case 400, 413:
			require.NotEmpty(t, w.Body.String())
		default:
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	})
}
