package pusher

import (
	"encoding/json"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
)

func TestSearchOverHTTP(t *testing.T) {
	a := newAPITest(t, keepingTen())
	for _, body := range []string{
		`{"name":"m","data":"hello <world>","channel":"room-1","id":"1"}`,
		`{"name":"m","data":"{\"text\":\"Hello 世界\"}","channel":"room-2","id":"2"}`,
		`{"name":"m","data":"hello","channel":"other","id":"3"}`,
	} {
		a.expect(a.post("/events", body), "{}")
	}
	_, err := a.broker.App("1").Edit(t.Context(), "other", "3", []byte("hello you"), broker.ByUser("ann"))
	require.NoError(t, err)
	type event struct {
		ID, Name, Channel, Data, Position, Time string
		Version                                 int
		Highlights                              [][2]int
	}
	find := func(query url.Values) (found []event, next string) {
		t.Helper()
		w := a.get("/search", query)
		require.Equal(t, 200, w.Code, w.Body)
		var answer struct {
			Events []event
			Next   string
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
		return answer.Events, answer.Next
	}
	found, next := find(url.Values{"q": {"hello"}})
	assert.Empty(t, next)
	require.Len(t, found, 3)
	assert.Equal(t, []string{"3", "2", "1"}, []string{found[0].ID, found[1].ID, found[2].ID})
	assert.Equal(t, "hello you", found[0].Data)
	assert.Equal(t, 1, found[0].Version)
	assert.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`, found[0].Time)
	assert.NotEmpty(t, found[0].Position)
	assert.Equal(t, [][2]int{{9, 14}}, found[1].Highlights)
	assert.Equal(t, "hello <world>", found[2].Data)

	found, next = find(url.Values{"q": {"hel*"}, "channel": {"room-*", "other"}, "limit": {"2"}})
	assert.Len(t, found, 2)
	found, next = find(url.Values{"q": {"hel*"}, "channel": {"room-*", "other"}, "limit": {"2"}, "next": {next}})
	assert.Len(t, found, 1)
	assert.Empty(t, next)
	found, _ = find(url.Values{"q": {"世界"}, "ranked": {"1"}})
	assert.Len(t, found, 1)
	a.expect(a.get("/search", url.Values{"q": {"nothing"}}), `{"events":[]}`)

	for text, query := range map[string]url.Values{
		"q has no word":      {},
		"limit \"x\" is not": {"q": {"x"}, "limit": {"x"}},
		"limit is not":       {"q": {"x"}, "limit": {"1000"}},
		"ranked":             {"q": {"x"}, "ranked": {"yes"}},
		"next is not":        {"q": {"x"}, "next": {"x"}},
		"channel":            {"q": {"x"}, "channel": {"a b"}},
	} {
		a.expectError(a.get("/search", query), 400, text)
	}
	a.expectError(a.post("/search", "{}"), 405, "GET")
}
