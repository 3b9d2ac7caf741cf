package pusher

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
)

var keepMany = broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 5000}})

// historyPage is a page of history as a backend reads it.
type historyPage struct {
	Events []struct {
		ID, Name, Channel, Position, Time string
		Data                              any
		UserID                            string `json:"user_id"`
		Version                           int
		Retracted                         bool
	}
	More bool
}

func (a *apiTest) page(channel string, params ...string) (p historyPage, data []any) {
	a.t.Helper()
	query := url.Values{}
	for i := 0; i < len(params); i += 2 {
		query.Set(params[i], params[i+1])
	}
	w := a.get("/channels/"+channel+"/history", query)
	require.Equal(a.t, 200, w.Code, w.Body)
	require.NoError(a.t, json.Unmarshal(w.Body.Bytes(), &p))
	for _, ev := range p.Events {
		data = append(data, ev.Data)
	}
	return p, data
}

func TestHistoryOverHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPITest(t, keepMany)
		app := a.broker.App("1")
		a.expect(a.get("/channels/room/history", nil), `{"events":[],"more":false}`)
		published, err := app.Publish(t.Context(), "room", "message", []byte(`{"n":0}`), broker.AsUser("ann"))
		require.NoError(t, err)
		a.expect(a.get("/channels/room/history", nil), fmt.Sprintf(
			`{"events":[{"id":%q,"name":"message","channel":"room","data":"{\"n\":0}","position":%q,"time":"2000-01-01T00:00:00.000Z","user_id":"ann"}],"more":false}`,
			published.ID, published.Position))
		time.Sleep(1500 * time.Millisecond)
		for i := 1; i < 10; i++ {
			_, err := app.Publish(t.Context(), "room", "message", fmt.Appendf(nil, "%d", i))
			require.NoError(t, err)
		}
		p, data := a.page("room", "limit", "3")
		assert.Equal(t, []any{"9", "8", "7"}, data)
		assert.True(t, p.More)
		assert.Equal(t, "2000-01-01T00:00:01.500Z", p.Events[0].Time)
		seven := p.Events[2].Position
		_, data = a.page("room", "limit", "2", "position", seven)
		assert.Equal(t, []any{"6", "5"}, data)
		p, data = a.page("room", "limit", "2", "position", seven, "direction", "forward")
		assert.Equal(t, []any{"8", "9"}, data)
		assert.False(t, p.More)
		p, data = a.page("room", "limit", "2", "direction", "forward")
		assert.Equal(t, []any{`{"n":0}`, "1"}, data)
		assert.True(t, p.More)
		p, _ = a.page("room", "direction", "backward")
		assert.Len(t, p.Events, 10)

		// A search among the events of this channel alone.
		_, err = app.Publish(t.Context(), "room-2", "message", []byte("needle"))
		require.NoError(t, err)
		_, err = app.Publish(t.Context(), "room", "message", []byte("a needle"))
		require.NoError(t, err)
		_, data = a.page("room", "q", "needle")
		assert.Equal(t, []any{"a needle"}, data)
		a.expectError(a.get("/channels/room*/history", url.Values{"q": {"needle"}}), 400, "character")
		a.expectError(a.get("/channels/room/history", url.Values{"q": {""}}), 400, "q")
		a.expectError(a.get("/channels/room/history", url.Values{"q": {"x"}, "position": {"y"}}), 400, "position")

		// What clients have sent, what was amended, and names that have to be escaped.
		first := a.client("private-room")
		require.NoError(t, first.Send([]byte(`{"event":"client-x","channel":"private-room","data":{"on":true}}`)))
		_, data = a.page("private-room")
		assert.Equal(t, []any{map[string]any{"on": true}}, data)
		_, err = app.Edit(t.Context(), "room", published.ID, []byte("edited"))
		require.NoError(t, err)
		_, data = a.page("room", "direction", "forward", "limit", "1")
		assert.Equal(t, []any{"edited"}, data)
		_, err = app.Retract(t.Context(), "room", published.ID)
		require.NoError(t, err)
		p, _ = a.page("room", "direction", "forward", "limit", "1")
		assert.True(t, p.Events[0].Retracted)
		assert.Nil(t, p.Events[0].Data)
		assert.Equal(t, 2, p.Events[0].Version)
		_, err = app.PublishToUser(t.Context(), "ann", "message", []byte("x"))
		require.NoError(t, err)
		_, data = a.page("%23server-to-user-ann")
		assert.Equal(t, []any{"x"}, data)
		_, err = app.Publish(t.Context(), "private-encrypted-room", "message", []byte("secret"))
		require.NoError(t, err)
		_, data = a.page("private-encrypted-room")
		assert.Contains(t, data[0], "ciphertext")
	})
}

func TestHistoryOverHTTPIsBounded(t *testing.T) {
	a := newAPITest(t, keepMany)
	app := a.broker.App("1")
	for range 1100 {
		_, err := app.Publish(t.Context(), "many", "message", []byte("x"))
		require.NoError(t, err)
	}
	p, _ := a.page("many")
	assert.Len(t, p.Events, defaultAPIPage)
	p, _ = a.page("many", "limit", strconv.Itoa(maxAPIPage))
	assert.Len(t, p.Events, maxAPIPage)
	assert.True(t, p.More)
	for range 3 {
		_, err := app.Publish(t.Context(), "large", "message", []byte(strings.Repeat("x", 600<<10)))
		require.NoError(t, err)
	}
	p, _ = a.page("large")
	assert.Len(t, p.Events, 1)
	assert.True(t, p.More)
}

func TestHistoryOverHTTPIsRefused(t *testing.T) {
	a := newAPITest(t, keepMany)
	foreign := storage.Position{Epoch: storage.NewEpoch(storage.Epoch{}), Offset: 1}.String()
	for _, test := range []struct {
		channel string
		params  url.Values
		status  int
		text    string
	}{
		{"room", url.Values{"limit": {"0"}}, 400, "limit"},
		{"room", url.Values{"limit": {"1001"}}, 400, "1000"},
		{"room", url.Values{"limit": {"x"}}, 400, "limit"},
		{"room", url.Values{"direction": {"up"}}, 400, "backward or forward"},
		{"room", url.Values{"position": {"x"}}, 400, "position"},
		{"room", url.Values{"position": {foreign}}, 404, "cannot be continued"},
		{"bad%20name", nil, 400, "channel"},
	} {
		a.expectError(a.get("/channels/"+test.channel+"/history", test.params), test.status, test.text)
	}
	a.expectError(a.post("/channels/room/history", "{}"), 405, "GET")
	unsigned := signedRequest(a.app, "GET", "/apps/1/channels/room/history", "", nil)
	unsigned.URL.RawQuery += "x"
	a.expectError(a.do(unsigned), 401, "")
}
