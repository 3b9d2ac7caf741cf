package pusher

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/internal/alloctest"
)

var testLimits = Limits{}.withDefaults()

func mustParse(t testing.TB, message string) clientMessage {
	t.Helper()
	f, err := parseClientMessage([]byte(message), testLimits)
	require.NoError(t, err)
	return f
}

func TestParseFrame(t *testing.T) {
	f := mustParse(t, `{"event":"pusher:subscribe","data":{"channel":"presence-a","auth":"k:s","channel_data":"{\"user_id\":1}"},"extra":[1]}`)
	assert.Equal(t, "pusher:subscribe", f.event)
	sub, err := f.subscribe()
	require.NoError(t, err)
	assert.Equal(t, subscribeData{channel: "presence-a", auth: "k:s", channelData: `{"user_id":1}`}, sub)

	f = mustParse(t, `{"event":"pusher:subscribe","data":"{\"channel\":\"a\"}"}`)
	sub, err = f.subscribe()
	require.NoError(t, err)
	assert.Equal(t, subscribeData{channel: "a"}, sub)

	f = mustParse(t, `{"\u0065vent":"x","eve\u006et2":"y","\u0063hannel":"a"}`)
	assert.Equal(t, clientMessage{event: "x", channel: "a"}, f)

	f = mustParse(t, ` {"event":"pusher:unsubscribe","data":{"channel":"a"}} `)
	channel, err := f.unsubscribe()
	require.NoError(t, err)
	assert.Equal(t, "a", channel)

	f = mustParse(t, `{"event":"pusher:signin","data":{"auth":"k:s","user_data":"{}"}}`)
	in, err := f.signIn()
	require.NoError(t, err)
	assert.Equal(t, signInData{"k:s", "{}"}, in)
}

func TestClientEventsKeepTheShapeOfTheirData(t *testing.T) {
	for data, want := range map[string]clientEventData{
		`{"a": 1}`: {"private-a", []byte(`{"a": 1}`), true},
		`"text"`:   {"private-a", []byte(`text`), false},
		`[1]`:      {"private-a", []byte(`[1]`), true},
		`null`:     {"private-a", []byte(`null`), true},
		`12`:       {"private-a", []byte(`12`), true},
	} {
		f := mustParse(t, fmt.Sprintf(`{"event":"client-x","channel":"private-a","data":%s}`, data))
		got, err := f.clientEvent(testLimits)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	f := mustParse(t, `{"event":"client-x","channel":"private-a"}`)
	got, err := f.clientEvent(testLimits)
	require.NoError(t, err)
	assert.Equal(t, clientEventData{"private-a", []byte("null"), true}, got)
}

func TestLargestClientEvent(t *testing.T) {
	name := "client-" + strings.Repeat("ü", testLimits.EventNameChars-len("client-"))
	for _, data := range []string{strings.Repeat("x", testLimits.EventBytes-2), strings.Repeat("x", testLimits.EventBytes)} {
		f := mustParse(t, fmt.Sprintf(`{"event":%q,"channel":"private-a","data":%q}`, name, data))
		ev, err := f.clientEvent(testLimits)
		require.NoError(t, err)
		assert.Equal(t, data, string(ev.data))
	}
	f := mustParse(t, fmt.Sprintf(`{"event":%q,"channel":"private-a","data":[%q]}`, name, strings.Repeat("x", testLimits.EventBytes-4)))
	_, err := f.clientEvent(testLimits)
	require.NoError(t, err)
}

func TestClientEventsOutliveTheirMessage(t *testing.T) {
	message := []byte(`{"event":"client-x","channel":"private-a","data":{"a":1}}`)
	f, err := parseClientMessage(message, testLimits)
	require.NoError(t, err)
	ev, err := f.clientEvent(testLimits)
	require.NoError(t, err)
	clear(message)
	assert.Equal(t, `{"a":1}`, string(ev.data))
	assert.Equal(t, "private-a", ev.channel)
	assert.Equal(t, "client-x", f.event)
}

func TestMalformedFrames(t *testing.T) {
	subscribe := func(f clientMessage) error { _, err := f.subscribe(); return err }
	unsubscribe := func(f clientMessage) error { _, err := f.unsubscribe(); return err }
	signIn := func(f clientMessage) error { _, err := f.signIn(); return err }
	clientEvent := func(f clientMessage) error { _, err := f.clientEvent(testLimits); return err }
	for _, c := range []struct {
		message string
		then    func(clientMessage) error
		field   string
	}{
		{``, nil, "message"},
		{`nonsense`, nil, "message"},
		{"\u00a0{\"event\":\"a\"}", nil, "message"},
		{"{\"event\":\"a\"}\v", nil, "message"},
		{`{"event":"a"}{}`, nil, "message"},
		{`[]`, nil, "message"},
		{`null`, nil, "message"},
		{`{"event":"a"`, nil, "message"},
		{`{}`, nil, "event"},
		{`{"event":1}`, nil, "event"},
		{`{"event":""}`, nil, "event"},
		{`{"event":"` + strings.Repeat("ü", 201) + `"}`, nil, "event"},
		{`{"event":"client-a","channel":[]}`, nil, "channel"},
		{`{"event":"pusher:subscribe"}`, subscribe, "data"},
		{`{"event":"pusher:subscribe","data":[]}`, subscribe, "data"},
		{`{"event":"pusher:subscribe","data":"nonsense"}`, subscribe, "data"},
		{`{"event":"pusher:subscribe","data":{"channel":1}}`, subscribe, "channel"},
		{`{"event":"pusher:subscribe","data":{"channel":"a","auth":{}}}`, subscribe, "auth"},
		{`{"event":"pusher:subscribe","data":{"channel":"a","channel_data":{}}}`, subscribe, "channel_data"},
		{`{"event":"pusher:unsubscribe","data":7}`, unsubscribe, "data"},
		{`{"event":"pusher:signin","data":{"user_data":{}}}`, signIn, "user_data"},
		{`{"event":"client-","channel":"private-a"}`, clientEvent, "event"},
		{`{"event":"client-a"}`, clientEvent, "channel"},
		{`{"event":"client-a","channel":"private-a","data":"` + strings.Repeat("x", 10241) + `"}`, clientEvent, "data"},
	} {
		f, err := parseClientMessage([]byte(c.message), testLimits)
		if c.then != nil {
			require.NoError(t, err, c.message)
			err = c.then(f)
		}
		var field *broker.FieldError
		if assert.ErrorAs(t, err, &field, c.message) {
			assert.Equal(t, c.field, field.Field, c.message)
		}
	}
}

// TestHalvesOfSurrogatePairsAreRefused wherever text is decoded: what would come in
// their place is another text.
func TestHalvesOfSurrogatePairsAreRefused(t *testing.T) {
	messageWith := func(message string, then func(clientMessage) error) func() error {
		return func() error {
			f, err := parseClientMessage([]byte(message), testLimits)
			if err == nil {
				err = then(f)
			}
			return err
		}
	}
	subscribe := func(f clientMessage) error { _, err := f.subscribe(); return err }
	signIn := func(f clientMessage) error { _, err := f.signIn(); return err }
	clientEvent := func(f clientMessage) error { _, err := f.clientEvent(testLimits); return err }
	member := func(text string) func() error {
		return func() error { _, err := parseChannelData(text, testLimits); return err }
	}
	user := func(text string) func() error {
		return func() error { _, err := parseUserData(text, testLimits); return err }
	}
	publish := func(text string) func() error {
		return func() error { _, err := parseEvent([]byte(text), "event"); return err }
	}
	for _, c := range []struct {
		field string
		parse func() error
	}{
		{"event", messageWith(`{"event":"client-\ud800"}`, clientEvent)},
		{"channel", messageWith(`{"event":"client-a","channel":"private-\udc00"}`, clientEvent)},
		{"data", messageWith(`{"event":"client-a","channel":"private-a","data":"\ud800x"}`, clientEvent)},
		{"channel", messageWith(`{"event":"pusher:subscribe","data":{"channel":"\ud800"}}`, subscribe)},
		{"auth", messageWith(`{"event":"pusher:subscribe","data":{"channel":"a","auth":"\ud800"}}`, subscribe)},
		{"channel_data", messageWith(`{"event":"pusher:subscribe","data":{"channel":"a","channel_data":"{\"user_id\":\"\ud800\"}"}}`, subscribe)},
		{"data", messageWith(`{"event":"pusher:subscribe","data":"{\"channel\":\"\ud800\"}"}`, subscribe)},
		{"channel", messageWith(`{"event":"pusher:subscribe","data":"{\"channel\":\"\\ud800\"}"}`, subscribe)},
		{"user_data", messageWith(`{"event":"pusher:signin","data":{"user_data":"\ud800"}}`, signIn)},
		{"channel_data.user_id", member(`{"user_id":"ann\ud800"}`)},
		{"user_data.id", user(`{"id":"ann\ud800"}`)},
		{"user_data.watchlist", user(`{"id":"ann","watchlist":["bob","\ude00\ud83d"]}`)},
		{"name", publish(`{"name":"\ud800"}`)},
		{"data", publish(`{"name":"m","data":"\udfff"}`)},
		{"channel", publish(`{"channel":"\ud800"}`)},
		{"channels", publish(`{"name":"m","channels":["a","\ud800"]}`)},
		{"info", publish(`{"info":"\ud800"}`)},
	} {
		var field *broker.FieldError
		if err := c.parse(); assert.ErrorAs(t, err, &field, c.field) {
			assert.Equal(t, c.field, field.Field, err)
			assert.Equal(t, "holds half of a surrogate pair, which is no character", field.Problem)
		}
	}
	_, err := parseUserData(`{"id":"\ud83d\ude00","watchlist":["\uD83D\uDE00"]}`, testLimits)
	require.NoError(t, err, "both halves")
	// What stays JSON keeps what it says, and is for the page to make out.
	f := mustParse(t, `{"event":"client-a","channel":"private-a","data":{"a":"\ud800"},"other":"\ud800"}`)
	ev, err := f.clientEvent(testLimits)
	require.NoError(t, err)
	assert.Equal(t, `{"a":"\ud800"}`, string(ev.data))
	_, err = parseChannelData(`{"user_id":"ann","user_info":"\ud800"}`, testLimits)
	require.NoError(t, err)
}

func TestParseChannelData(t *testing.T) {
	for data, want := range map[string]broker.Member{
		`{"user_id":"ann","user_info":{"name":"Ann"}}`:                                   {UserID: "ann", Info: []byte(`{"name":"Ann"}`)},
		fmt.Sprintf(`{"user_id":"a","user_info":"%0*d"}`, testLimits.UserInfoBytes-2, 0): {UserID: "a", Info: fmt.Appendf(nil, `"%0*d"`, testLimits.UserInfoBytes-2, 0)},
		`{"user_id":"` + strings.Repeat("ü", 128) + `"}`:                                 {UserID: strings.Repeat("ü", 128)},
		`{"user_id":0}`:                   {UserID: "0"},
		`{"user_id":9}`:                   {UserID: "9"},
		`{"user_id":12}`:                  {UserID: "12"},
		`{"user_id":9007199254740993}`:    {UserID: "9007199254740993"},
		`{"user_id":-1,"user_info":null}`: {UserID: "-1"},
		// As JavaScript has it, for which all of these are the same number.
		`{"user_id":1.0}`:    {UserID: "1"},
		`{"user_id":10e-1}`:  {UserID: "1"},
		`{"user_id":1E3}`:    {UserID: "1000"},
		`{"user_id":-0}`:     {UserID: "0"},
		`{"user_id":-0.0}`:   {UserID: "0"},
		`{"user_id":1.50}`:   {UserID: "1.5"},
		`{"user_id":1e21}`:   {UserID: "1e+21"},
		`{"user_id":1.5e-7}`: {UserID: "1.5e-7"},
		// Names of fields have one spelling, and the last of several counts.
		`{"user_id":"ann","USER_ID":"bob","User_Info":1}`: {UserID: "ann"},
		`{"user_id":"bob","user_id":"ann"}`:               {UserID: "ann"},
		`{"user_id":"a\u00a0b"}`:                          {UserID: "a\u00a0b"},
		`{"user_id":"a","user_info":"text"}`:              {UserID: "a", Info: []byte(`"text"`)},
	} {
		got, err := parseChannelData(data, testLimits)
		require.NoError(t, err, data)
		assert.Equal(t, want, got, data)
	}
	for data, want := range map[string]string{
		`nonsense`:          "channel_data",
		`{}`:                "channel_data.user_id",
		`{"user_id":null}`:  "channel_data.user_id",
		`{"user_id":true}`:  "channel_data.user_id",
		`{"user_id":{}}`:    "channel_data.user_id",
		`{"user_id":1e999}`: "channel_data.user_id",
		`{"user_id":` + strings.Repeat("1", 129) + `}`: "user_id",
		`{"user_id":""}`:        "user_id",
		`{"user_id":"a\u0000"}`: "user_id",
		`{"user_id":"` + strings.Repeat("x", 129) + `"}`:                  "user_id",
		`{"user_id":"a","user_info":"` + strings.Repeat("x", 1024) + `"}`: "user_info",
	} {
		_, err := parseChannelData(data, testLimits)
		var field *broker.FieldError
		if assert.ErrorAs(t, err, &field, data) {
			assert.Equal(t, want, field.Field, data)
		}
	}
}

func TestParseUserData(t *testing.T) {
	user, err := parseUserData(`{"id":"ann","user_info":{"name":"Ann"},"watchlist":["bob","eve"]}`, testLimits)
	require.NoError(t, err)
	assert.Equal(t, broker.User{ID: "ann", Info: []byte(`{"name":"Ann"}`), Watchlist: []string{"bob", "eve"}}, user)
	user, err = parseUserData(`{"id":"ann","ID":"bob","watchlist":null}`, testLimits)
	require.NoError(t, err)
	assert.Equal(t, broker.User{ID: "ann"}, user)
	for _, data := range []string{``, `{}`, `{"id":""}`, `{"id":null}`, `{"Id":"ann"}`, `{"id":" "}`, `{"id":12}`, `{"id":"a","watchlist":"b"}`, `{"id":"a","watchlist":[1]}`,
		`{"id":"` + strings.Repeat("x", 129) + `"}`, `{"id":"a","user_info":"` + strings.Repeat("x", 1024) + `"}`} {
		_, err := parseUserData(data, testLimits)
		require.ErrorIs(t, err, broker.ErrInvalid, data)
	}
}

// FuzzFrame feeds messages to everything that parses them.
func FuzzFrame(f *testing.F) {
	for _, s := range []string{
		`{"event":"pusher:subscribe","data":{"channel":"presence-a","auth":"k:s","channel_data":"{\"user_id\":1}"}}`,
		`{"event":"client-x","channel":"private-a","data":[1,{"a":"b"}]}`,
		`{"event":"pusher:signin","data":"{\"auth\":\"\",\"user_data\":\"{\\\"id\\\":\\\"1\\\"}\"}"}`,
		`{"event":"\ud800","data":"\u0000"}`, `{"data":`, `[[[[`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fr, err := parseClientMessage(data, testLimits)
		if err != nil {
			require.ErrorIs(t, err, broker.ErrInvalid)
			return
		}
		require.NotEmpty(t, fr.event)
		var whole map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(data, &whole))
		var event string
		require.NoError(t, json.Unmarshal(whole["event"], &event))
		require.Equal(t, event, fr.event)
		require.Equal(t, string(whole["data"]), string(fr.data))
		if sub, err := fr.subscribe(); err == nil {
			_, err = parseChannelData(sub.channelData, testLimits)
			requireInvalid(t, err)
		}
		if in, err := fr.signIn(); err == nil {
			_, err = parseUserData(in.userData, testLimits)
			requireInvalid(t, err)
		}
		if ev, err := fr.clientEvent(testLimits); err == nil {
			require.LessOrEqual(t, len(ev.data), testLimits.EventBytes)
			if ev.json {
				require.True(t, json.Valid(ev.data))
			}
		}
	})
}

// FuzzIdentity feeds what backends sign to what says who a client is. Reading it
// with encoding/json must come to the same.
func FuzzIdentity(f *testing.F) {
	for _, s := range []string{
		`{"user_id":1.0,"user_info":{"name":"Ann"}}`, `{"user_id":-1e-9}`, `{"user_id":"\ud800","User_ID":2}`,
		`{"id":"ann","watchlist":["bob",null],"user_info":[]}`, `{"id":"a","id":null}`, "\u00a0{}", `{"id":{},"user_id":[]}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) {
		var fields map[string]json.RawMessage
		isObject := json.Unmarshal([]byte(data), &fields) == nil && fields != nil
		info := string(fields["user_info"])
		if info == "null" {
			info = ""
		}
		m, err := parseChannelData(data, testLimits)
		requireInvalid(t, err)
		if err == nil {
			require.True(t, isObject)
			require.Equal(t, info, string(m.Info))
			var id any
			require.NoError(t, json.Unmarshal(fields["user_id"], &id))
			if n, ok := id.(float64); ok {
				same, err := strconv.ParseFloat(m.UserID, 64)
				require.NoError(t, err)
				require.Equal(t, n, same)
			} else {
				require.Equal(t, id, strings.ToValidUTF8(m.UserID, "\ufffd"))
			}
		}
		u, err := parseUserData(data, testLimits)
		requireInvalid(t, err)
		if err == nil {
			require.True(t, isObject)
			require.Equal(t, info, string(u.Info))
			require.NotEmpty(t, u.ID)
		}
	})
}

func requireInvalid(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		require.ErrorIs(t, err, broker.ErrInvalid)
	}
}

// TestParsingHasAnAllocationBudget allows for the strings and data that are kept.
func TestParsingHasAnAllocationBudget(t *testing.T) {
	subscribe := []byte(`{"event":"pusher:subscribe","data":{"auth":"","channel":"room-1"}}`)
	assert.LessOrEqual(t, alloctest.PerRun(100, func() {
		f, _ := parseClientMessage(subscribe, testLimits)
		_, _ = f.subscribe()
	}), 2.0)
	event := []byte(`{"event":"client-typing","channel":"private-room","data":{"on":true}}`)
	assert.LessOrEqual(t, alloctest.PerRun(100, func() {
		f, _ := parseClientMessage(event, testLimits)
		_, _ = f.clientEvent(testLimits)
	}), 3.0)
}

func BenchmarkParseClientEvent(b *testing.B) {
	event := []byte(`{"event":"client-typing","channel":"private-room","data":{"on":true}}`)
	b.ReportAllocs()
	for b.Loop() {
		f, _ := parseClientMessage(event, testLimits)
		_, _ = f.clientEvent(testLimits)
	}
}
