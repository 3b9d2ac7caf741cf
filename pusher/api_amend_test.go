package pusher

import (
	"encoding/json"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
	memorystore "github.com/carillon-rt/carillon/storage/memory"
)

func keepingTen() broker.Option {
	return broker.WithChannelRules(broker.ChannelRule{Pattern: "nothing"}, broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 10}})
}

func TestEventsHaveIDsForThoseWhoAsk(t *testing.T) {
	a := newAPITest(t, keepingTen())
	a.expect(a.post("/events", `{"name":"m","data":"x","channel":"room","id":"row-1","info":"id"}`), `{"channels":{"room":{"id":"row-1"}}}`)
	var answer struct {
		Channels map[string]struct{ ID, Position string }
		Batch    []struct{ ID, Position string }
	}
	w := a.post("/events", `{"name":"m","data":"x","channels":["a","b"],"info":"id,position"}`)
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
	assert.NotEmpty(t, answer.Channels["a"].ID)
	assert.NotEqual(t, answer.Channels["a"].ID, answer.Channels["b"].ID)
	p, err := storage.ParsePosition(answer.Channels["a"].Position)
	require.NoError(t, err)
	assert.EqualValues(t, 1, p.Offset)
	w = a.post("/batch_events", `{"batch":[{"name":"m","data":"x","channel":"a","id":"x","info":"id"},{"name":"m","data":"x","channel":"nothing","info":"position"}]}`)
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
	assert.Equal(t, []struct{ ID, Position string }{{ID: "x"}, {}}, answer.Batch)
	a.expect(a.post("/events", `{"name":"m","data":"x","channel":"room","id":"row-2"}`), "{}")
	a.expectError(a.post("/events", `{"name":"m","data":"x","channel":"room","id":"a\u0000"}`), 400, "id")
}

func TestAmendOverHTTP(t *testing.T) {
	a := newAPITest(t, keepingTen())
	c := a.client("room")
	a.expect(a.post("/events", `{"name":"m","data":"one","channel":"room","id":"a/b c"}`), "{}")
	assert.Equal(t, `{"event":"m","channel":"room","data":"one"}`, next(t, c))
	const path = "/channels/room/events/a%2Fb%20c"
	var done struct {
		Position  string
		Version   int
		Duplicate bool
	}
	expect := func(w *httptest.ResponseRecorder, version int, duplicate bool) {
		t.Helper()
		done.Duplicate = false
		require.Equal(t, 200, w.Code, w.Body)
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &done))
		assert.Equal(t, version, done.Version)
		assert.Equal(t, duplicate, done.Duplicate)
		assert.NotEmpty(t, done.Position)
	}
	for i := range 2 {
		expect(a.post(path+"/edit", `{"data":"two","operation_id":"op","user_id":"ann"}`), 1, i > 0)
	}
	assert.Equal(t, `{"event":"carillon:edited","channel":"room","data":"{\"id\":\"a/b c\",\"version\":1,\"data\":\"two\",\"operation_id\":\"op\"}","user_id":"ann"}`, next(t, c))
	expect(a.post(path+"/append", `{"text":"!","version":1}`), 2, false)
	assert.Equal(t, `{"event":"carillon:appended","channel":"room","data":"{\"id\":\"a/b c\",\"version\":2,\"text\":\"!\"}"}`, next(t, c))
	a.expectError(a.post(path+"/append", `{"text":"!","version":1}`), 409, "has version 2, asked for 1")
	a.expectError(a.post(path+"/edit", `{"data":"other","operation_id":"op","user_id":"ann"}`), 422, "idempotency key")
	expect(a.post(path+"/retract", ""), 3, false)
	assert.Equal(t, `{"event":"carillon:retracted","channel":"room","data":"{\"id\":\"a/b c\",\"version\":3}"}`, next(t, c))
	a.expectError(a.post(path+"/retract", "{}"), 410, "retracted")
	none(t, c)

	for _, bad := range []struct {
		path, body string
		status     int
		text       string
	}{
		{"/channels/room/events/other/edit", `{"data":"x"}`, 404, "no event to amend"},
		{"/channels/r%20oom/events/x/edit", `{"data":"x"}`, 400, "channel"},
		{"/channels/nothing/events/x/edit", `{"data":"x"}`, 400, "keeps no history"},
		{path + "/edit", `{}`, 400, "data is missing"},
		{path + "/edit", `{"data":{}}`, 400, "data is not a string"},
		{path + "/append", `{}`, 400, "text is missing"},
		{path + "/append", ``, 400, "body"},
		{path + "/edit", `{"data":"x","version":-1}`, 400, "version"},
		{path + "/edit", `{"data":"x","version":"1"}`, 400, "version"},
		{path + "/remove", `{}`, 405, "use GET"},
		{"/channels/room/events//edit", `{"data":"x"}`, 400, "id is empty"},
	} {
		a.expectError(a.post(bad.path, bad.body), bad.status, bad.text)
	}
	a.expectError(a.get(path+"/edit", nil), 405, "use POST")
	a.expectError(a.do(httptest.NewRequest("POST", "/apps/1"+path+"/retract", nil)), 401, "")

	key := signedRequest(a.app, "POST", "/apps/1/channels/room/events/b/retract", "", nil)
	key.Header.Set(idempotencyHeader, "k")
	a.expect(a.post("/events", `{"name":"m","data":"one","channel":"room","id":"b"}`), "{}")
	expect(a.do(key), 1, false)
	again := signedRequest(a.app, "POST", "/apps/1/channels/room/events/b/retract", "", nil)
	again.Header.Set(idempotencyHeader, "k")
	expect(a.do(again), 1, true)
}

func TestAmendOverHTTPSeals(t *testing.T) {
	a := newAPITest(t, keepingTen())
	const room = "private-encrypted-room"
	_, err := a.broker.App("1").Publish(t.Context(), room, "m", []byte("secret"), broker.WithID("a"))
	require.NoError(t, err)
	w := a.post("/channels/"+room+"/events/a/append", `{"text":" more"}`)
	require.Equal(t, 200, w.Code, w.Body)
	for ev, err := range a.broker.App("1").History(t.Context(), room) {
		require.NoError(t, err)
		assert.NotContains(t, string(ev.Data), "secret")
	}
}

func TestAmendWithAStoreThatCannot(t *testing.T) {
	a := newAPITest(t, keepingTen(), broker.WithHistory(struct{ storage.History }{memorystore.New()}))
	a.expectError(a.post("/channels/room/events/a/edit", `{"data":"x"}`), 501, "history amendment")
}
