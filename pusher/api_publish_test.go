package pusher

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
	memorystore "github.com/carillon-rt/carillon/storage/memory"
)

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

// TestPublishToAChannelNamedTwice tells its subscribers once.
func TestPublishToAChannelNamedTwice(t *testing.T) {
	a := newAPITest(t)
	c := a.client("a", "b")
	a.expect(a.post("/events", `{"name":"message","data":"x","channels":["a","b","a"]}`), "{}")
	assert.Contains(t, next(t, c), `"channel":"a"`)
	assert.Contains(t, next(t, c), `"channel":"b"`)
	none(t, c)
	a.expect(a.post("/events", `{"name":"message","data":"x","channels":["b","b"],"info":"subscription_count"}`),
		`{"channels":{"b":{"subscription_count":1}}}`)
	next(t, c)
	none(t, c)
	// Two events of a batch are two.
	a.expect(a.post("/batch_events", `{"batch":[{"name":"m","data":"x","channel":"a"},{"name":"m","data":"x","channel":"a"}]}`), "{}")
	next(t, c)
	next(t, c)
}

func TestPublishExcludesASocket(t *testing.T) {
	a := newAPITest(t)
	sender := Connect(t, a.handler.Open(t.Context(), Dial{Key: "key", Protocol: "7"}))
	socketID := socketIDOf(t, sender)
	require.NoError(t, sender.Send([]byte(`{"event":"pusher:subscribe","data":{"channel":"a"}}`)))
	next(t, sender)
	other := a.client("a")
	a.expect(a.post("/events", fmt.Sprintf(`{"name":"message","data":"x","channel":"a","socket_id":%q}`, socketID)), "{}")
	next(t, other)
	none(t, sender)
}

// countedPresence counts how often it is asked how many members channels have.
type countedPresence struct {
	storage.Presence
	asked atomic.Int64
}

func (p *countedPresence) Counts(ctx context.Context, channels []storage.ChannelID) ([]storage.Count, error) {
	p.asked.Add(1)
	return p.Presence.Counts(ctx, channels)
}

func TestMembersOfAllChannelsAreCountedAtOnce(t *testing.T) {
	store := &countedPresence{Presence: memorystore.New()}
	a := newAPITest(t, broker.WithPresence(store))
	a.client("presence-a", "presence-b")
	counted := `"presence-a":{"user_count":1},"presence-b":{"user_count":1}`
	for _, answer := range []func() *httptest.ResponseRecorder{
		func() *httptest.ResponseRecorder {
			return a.get("/channels", url.Values{"filter_by_prefix": {"presence-"}, "info": {"user_count"}})
		},
		func() *httptest.ResponseRecorder {
			return a.post("/events", `{"name":"m","data":"x","channels":["presence-a","presence-b"],"info":"user_count"}`)
		},
	} {
		store.asked.Store(0)
		a.expect(answer(), `{"channels":{`+counted+`}}`)
		assert.EqualValues(t, 1, store.asked.Load())
	}
	store.asked.Store(0)
	a.expect(a.post("/batch_events", `{"batch":[{"name":"m","data":"x","channel":"presence-a","info":"user_count"},
		{"name":"m","data":"x","channel":"presence-b","info":"user_count"}]}`), `{"batch":[{"user_count":1},{"user_count":1}]}`)
	assert.EqualValues(t, 1, store.asked.Load())
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

	// The events of a batch are not each other's retries.
	const batch = `{"batch":[{"name":"m","data":"x","channel":"a"},{"name":"m","data":"x","channel":"a"}]}`
	for range 2 {
		r := signedRequest(a.app, "POST", "/apps/1/batch_events", batch, nil)
		r.Header.Set("Idempotency-Key", "order-2")
		a.expect(a.do(r), "{}")
	}
	a.expect(a.post("/batch_events", batch), "{}")
	for range 4 {
		next(t, c)
	}
	none(t, c)
}

func TestIdempotencyKeyOfAnotherRequest(t *testing.T) {
	const first = `{"name":"m","data":"x","channel":"a"}`
	for name, c := range map[string]struct{ path, first, other, text string }{
		"data":       {"/events", first, `{"name":"m","data":"y","channel":"a"}`, `"a": idempotency key was used for another request`},
		"name":       {"/events", first, `{"name":"n","data":"x","channel":"a"}`, `"a": idempotency key was used for another request`},
		"channels":   {"/events", first, `{"name":"m","data":"y","channels":["a","b"]}`, `"a": idempotency key was used for another request`},
		"in a batch": {"/batch_events", `{"batch":[` + first + `]}`, `{"batch":[{"name":"m","data":"y","channel":"a"}]}`, `batch[0]: channel "a": idempotency key`},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPITest(t)
			client := a.client("a", "b")
			send := func(body string) *httptest.ResponseRecorder {
				r := signedRequest(a.app, "POST", "/apps/1"+c.path, body, nil)
				r.Header.Set("Idempotency-Key", "order-1")
				return a.do(r)
			}
			a.expect(send(c.first), "{}")
			next(t, client)
			a.expectError(send(c.other), 422, c.text)
			a.expect(send(c.first), "{}")
			none(t, client)
		})
	}
}

// busyStore cannot wait for the end of another append.
type busyStore struct{ *memorystore.Store }

func (busyStore) Append(context.Context, storage.ChannelID, *storage.Event, storage.AppendOptions) (storage.Appended, error) {
	return storage.Appended{}, fmt.Errorf("busy: %w", storage.ErrKeyInFlight)
}

func TestIdempotencyKeyInFlight(t *testing.T) {
	a := newAPITest(t, broker.WithHistory(busyStore{memorystore.New()}))
	r := signedRequest(a.app, "POST", "/apps/1/events", `{"name":"m","data":"x","channel":"a"}`, nil)
	r.Header.Set("Idempotency-Key", "order-1")
	w := a.do(r)
	a.expectError(w, 409, "in flight")
	assert.Equal(t, "1", w.Header().Get("Retry-After"))
	assert.Zero(t, a.broker.Stats().StoreErrors)
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
		{"/events", `{"name":"m","data":"\ud800","channel":"a"}`, 400, "data holds half of a surrogate pair"},
		{"/batch_events", `{"batch":[{"name":"m","data":"x","channel":"a"},{"name":"\ud800","data":"x","channel":"a"}]}`, 400, "batch[1]: name holds half"},
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
		// Suites of SDKs look for these words.
		{"/events", `{"name":"m","data":"` + strings.Repeat("x", 10241) + `","channel":"a"}`, 413, "The data content of this event exceeds the allowed maximum (10240 bytes)"},
		{"/batch_events", `{"batch":[` + strings.Repeat(`{"name":"m","data":"x","channel":"a"},`, 10) + `{}]}`, 400, "Batch too large (11 > 10)"},
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

// TestDeepJSONIsRefused asks with what would exhaust a parser that calls itself.
func TestDeepJSONIsRefused(t *testing.T) {
	a := newAPITest(t)
	for _, open := range []string{"[", `{"a":`} {
		deep := strings.Repeat(open, 1<<20/len(open)-200)
		for _, body := range []string{deep, `{"batch":` + deep, `{"name":"m","channel":"a","data":` + deep, `{"channels":` + deep} {
			a.expectError(a.post("/batch_events", body), 400, "")
			a.expectError(a.post("/events", body), 400, "")
		}
	}
	c := a.client("private-room")
	for _, data := range []string{strings.Repeat("[", 60000) + strings.Repeat("]", 60000), strings.Repeat(`{"a":`, 10000) + "1" + strings.Repeat("}", 10000)} {
		require.NoError(t, c.Send([]byte(`{"event":"client-deep","channel":"private-room","data":`+data+`}`)))
		assert.Contains(t, next(t, c), "pusher:error")
	}
}
