package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/storage"
)

type channelPage struct {
	Total int
	Items []channelItem
	Next  string
}

type sessionPage struct {
	Total int
	Items []sessionItem
	Next  string
}

type channelDetail struct {
	Kind, Position           string
	Subscribers, MemberCount int
	Kept                     bool
	Rule                     ruleJSON
	Sessions                 []subscriberJSON
	Members                  []memberJSON
}

func TestChannels(t *testing.T) {
	d := newDesk(t, nil, broker.WithChannelRules(broker.ChannelRule{Pattern: "room-*", History: broker.Retention{Events: 3}}))
	ann, bob := d.Connect(t), d.Connect(t)
	for i := range 30 {
		ann.Subscribe(fmt.Sprintf("room-%02d", i))
	}
	bob.Subscribe("room-07")
	bob.SubscribeAs("presence-x", "bob", `{"name":"<b>Bob</b>"}`)
	bob.Subscribe("cache-price")
	sub, err := d.App.Subscribe(t.Context(), "inside")
	require.NoError(t, err)
	t.Cleanup(sub.Close)

	page := get[channelPage](d, "/api/channels?limit=200")
	assert.Equal(t, 33, page.Total)
	assert.Empty(t, page.Next)
	assert.True(t, slices.IsSortedFunc(page.Items, func(a, b channelItem) int { return strings.Compare(a.Name, b.Name) }))
	for _, sort := range []string{"name", "-name", "subscribers", "-subscribers"} {
		var all []string
		next := ""
		for pages := 0; ; pages++ {
			p := get[channelPage](d, "/api/channels?limit=7&sort="+sort+next)
			assert.Equal(t, 33, p.Total)
			for _, c := range p.Items {
				all = append(all, c.Name)
			}
			if p.Next == "" {
				assert.Equal(t, 4, pages)
				break
			}
			next = "&next=" + p.Next
		}
		assert.Len(t, all, 33, sort)
		slices.Sort(all)
		assert.Len(t, slices.Compact(all), 33, sort)
	}
	assert.Equal(t, "room-07", get[channelPage](d, "/api/channels?sort=-subscribers&limit=1").Items[0].Name)
	assert.Equal(t, "room-29", get[channelPage](d, "/api/channels?sort=-name&limit=1").Items[0].Name)
	for query, want := range map[string]int{"q=ROOM-0": 10, "q=*-0%3f": 10, "kind=presence": 1, "kind=private": 0, "app=other": 0, "q=nothing": 0, "kind=public&q=cache": 1} {
		p := get[channelPage](d, "/api/channels?"+query)
		assert.Equal(t, want, p.Total, query)
		assert.NotNil(t, p.Items)
	}

	for range 4 {
		d.send("room-07")
	}
	one := get[channelDetail](d, "/api/channel?app="+d.App.ID()+"&name=room-07")
	assert.Equal(t, 2, one.Subscribers)
	assert.Len(t, one.Sessions, 2)
	assert.True(t, one.Kept)
	assert.NotEmpty(t, one.Position)
	assert.Equal(t, "room-*", one.Rule.Pattern)
	assert.Equal(t, 3, one.Rule.HistoryEvents)
	member := get[channelDetail](d, "/api/channel?app="+d.App.ID()+"&name=presence-x")
	require.Len(t, member.Members, 1)
	assert.Equal(t, "bob", member.Members[0].ID)
	assert.JSONEq(t, `{"name":"<b>Bob</b>"}`, member.Members[0].Info)

	history := get[historyPage](d, "/api/channel/history?app="+d.App.ID()+"&name=room-07&limit=2")
	require.Len(t, history.Events, 2)
	assert.Equal(t, "ev-4", history.Events[0].ID)
	require.NotEmpty(t, history.Next)
	history = get[historyPage](d, "/api/channel/history?app="+d.App.ID()+"&name=room-07&limit=2&before="+history.Next)
	require.Len(t, history.Events, 1)
	assert.Equal(t, "ev-2", history.Events[0].ID)
	assert.Empty(t, history.Next)

	assert.True(t, ask[okay](d, http.MethodDelete, "/api/channel/history?app="+d.App.ID()+"&name=room-07", "").OK)
	assert.Empty(t, get[historyPage](d, "/api/channel/history?app="+d.App.ID()+"&name=room-07").Events)
}

func TestSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		hostile := `<img src=x onerror=alert(1)>/../?&"'`
		ann, bob := d.Connect(t), d.Connect(t)
		ann.SignIn(hostile)
		time.Sleep(time.Second)
		cid := d.Connect(t)
		ann.Subscribe("room")
		bob.Subscribe("room")
		bob.SubscribeAs("presence-x", "bob", `{}`)
		cid.Subscribe("other")
		for range 5 {
			d.send("room")
		}
		bob.Expect("message", "room")
		page := get[sessionPage](d, "/api/sessions?sort=-since")
		assert.Equal(t, 3, page.Total)
		assert.Equal(t, cid.SocketID(), page.Items[0].ID)
		page = get[sessionPage](d, "/api/sessions?sort=-queue&limit=1")
		assert.Equal(t, ann.SocketID(), page.Items[0].ID)
		assert.Equal(t, 5, page.Items[0].Queue.Messages)
		assert.NotEmpty(t, page.Next)
		page = get[sessionPage](d, "/api/sessions?sort=-channels&limit=1")
		assert.Equal(t, bob.SocketID(), page.Items[0].ID)
		assert.Equal(t, "bob", page.Items[0].User, "the member")
		for query, want := range map[string]int{"user=bob": 1, "channel=room": 2, "channel=nothing": 0, "transport=memory": 3, "transport=websocket": 0,
			"q=" + ann.SocketID(): 1, "q=onerror": 1, "app=other": 0, "user=nobody": 0} {
			assert.Equal(t, want, get[sessionPage](d, "/api/sessions?"+query).Total, query)
		}
		var one struct {
			sessionItem
			Subscriptions []subscriptionJSON
		}
		resp := do(d.Console, request(http.MethodGet, "/api/session?id="+bob.SocketID(), ""))
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&one))
		assert.Equal(t, []subscriptionJSON{{"presence-x", "presence", "bob"}, {"room", "public", ""}}, one.Subscriptions)

		assert.True(t, ask[okay](d, http.MethodPost, "/api/session/close", fmt.Sprintf(`{"id":%q}`, bob.SocketID())).OK)
		for bob.Next().Event != "presence" && bob.CloseCode() == 0 {
		}
		assert.NotZero(t, bob.CloseCode())
		body, err := json.Marshal(map[string]string{"app": d.App.ID(), "user": hostile})
		require.NoError(t, err)
		assert.Equal(t, 1, ask[struct{ Sessions int }](d, http.MethodPost, "/api/user/terminate", string(body)).Sessions)
		synctest.Wait()
	})
}

func TestActionsAreLogged(t *testing.T) {
	var log bytes.Buffer
	d := newDesk(t, []Option{WithLogger(slog.New(slog.NewTextHandler(&log, nil)))})
	ask[publishedJSON](d, http.MethodPost, "/api/publish", `{"app":"1","channel":"room","event":"x","data":"secret"}`)
	assert.Contains(t, log.String(), "console: event published")
	assert.Contains(t, log.String(), "channel=room")
	assert.NotContains(t, log.String(), "secret")
}

func TestRedaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, []Option{WithRedact()}, broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 5}}))
		ann := d.Connect(t)
		ann.SubscribeAs("presence-room", "ann", `{"email":"a-secret@example.com"}`)
		v := d.view(d.serve(), "")
		_, err := d.App.Publish(t.Context(), "presence-room", "x", []byte("a secret text"))
		require.NoError(t, err)
		b, _ := v.batch()
		shown, err := json.Marshal(b)
		require.NoError(t, err)
		for _, target := range []string{"/api/events", "/api/channel?app=1&name=presence-room", "/api/channel/history?app=1&name=presence-room", "/api/sessions", "/api/session?id=" + ann.SocketID(), "/api/now"} {
			resp := do(d.Console, request(http.MethodGet, target, ""))
			require.Equal(t, http.StatusOK, resp.StatusCode, target)
			var body bytes.Buffer
			_, err := body.ReadFrom(resp.Body)
			require.NoError(t, err)
			shown = append(shown, body.Bytes()...)
		}
		assert.NotContains(t, string(shown), "secret")
		assert.NotContains(t, string(shown), "127.0.0.1")
		assert.Contains(t, string(shown), hidden)
		assert.Contains(t, string(shown), `"ann"`)
		assert.Equal(t, http.StatusForbidden, do(d.Console, request(http.MethodGet, "/api/channel/history?app=1&name=presence-room&q=secret", "")).StatusCode)
		assert.ElementsMatch(t, []string{"payloads", "users", "addresses", "secrets"}, get[struct{ Redacted []string }](d, "/api/info").Redacted)
		assert.Empty(t, get[struct{ Events []eventJSON }](d, "/api/events?q=secret").Events)
	})
}

// TestHiddenDataIsLeftOut sees to it that nothing stands for it which could be sent again.
func TestHiddenDataIsLeftOut(t *testing.T) {
	for _, test := range []struct {
		options []Option
		shown   any
	}{{nil, `a "secret"`}, {[]Option{WithRedact(Payloads)}, nil}} {
		d := newDesk(t, test.options, broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 5}}))
		_, err := d.App.Publish(t.Context(), "room", "x", []byte(`a "secret"`))
		require.NoError(t, err)
		d.Observe(t.Context(), broker.WebhookSent{App: d.App.ID(), ID: "a", Attempt: 1, Body: []byte(`a "secret"`)})
		type thing map[string]any
		assert.Equal(t, test.shown, get[struct{ Events []thing }](d, "/api/events?kind=publish").Events[0]["data"])
		assert.Equal(t, test.shown, get[struct{ Events []thing }](d, "/api/channel/history?app=1&name=room").Events[0]["data"])
		assert.Equal(t, test.shown, get[struct{ Items []thing }](d, "/api/webhooks").Items[0]["body"])
	}
}

// TestWhoMayOnlyLookGetsNoSignedCommand: whoever has one can publish with it.
func TestWhoMayOnlyLookGetsNoSignedCommand(t *testing.T) {
	d := newDesk(t, []Option{WithReadOnly(), WithApps(App{ID: "1", Key: "k", Secret: "s"})})
	resp := do(d.Console, request(http.MethodPost, "/api/curl", `{"app":"1","channel":"room","event":"x"}`))
	assert.Equal(t, http.StatusForbidden, resp.StatusCode)
	assert.Equal(t, "read_only", problemOf(t, resp).Code)
	assert.False(t, get[struct{ Apps []appInfo }](d, "/api/info").Apps[0].CanCurl)
}

// TestAnAnswerOfTheStoreIsNoFailure keeps a client that asks twice from raising an alarm.
func TestAnAnswerOfTheStoreIsNoFailure(t *testing.T) {
	d := newDesk(t, nil)
	for _, answer := range []error{storage.ErrKeyInFlight, storage.ErrKeyReused, storage.ErrBadQuery, context.Canceled} {
		d.Observe(t.Context(), broker.StoreCall{Operation: "history append", App: "1", Err: fmt.Errorf("append: %w", answer)})
		now := get[nowJSON](d, "/api/now")
		assert.True(t, now.Store.OK, "%v", answer)
		assert.Empty(t, now.Errors, "%v", answer)
	}
	d.Observe(t.Context(), broker.StoreCall{Operation: "history append", App: "1", Err: errors.New("disk full")})
	assert.False(t, get[nowJSON](d, "/api/now").Store.OK)
}

func TestURLsAreShownWithoutSecrets(t *testing.T) {
	open, err := New(WithLoopbackOnly())
	require.NoError(t, err)
	closed, err := New(WithLoopbackOnly(), WithRedact(Secrets))
	require.NoError(t, err)
	const raw = "https://user:password@example.com/hook?token=hunter2#x"
	assert.Equal(t, "https://user:xxxxx@example.com/hook?token=hunter2", open.shownURL(raw))
	assert.Equal(t, "https://example.com/hook?hidden", closed.shownURL(raw))
	assert.Equal(t, hidden, open.shownURL("http://[::1"))
}

func TestWebhooks(t *testing.T) {
	var bodies []string
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		_, _ = b.ReadFrom(r.Body)
		bodies = append(bodies, b.String())
	}))
	defer receiver.Close()
	d := newDesk(t, nil)
	hook := pusher.Webhook{URL: receiver.URL + "/hook?secret=hunter2"}
	d.Config.Webhooks = []pusher.Webhook{hook}
	sent := func(id string, attempt int, err error, final bool) {
		status := 200
		if err != nil {
			status = 500
		}
		d.Observe(t.Context(), broker.WebhookSent{App: d.App.ID(), ID: id, URL: receiver.URL + "/hook", Attempt: attempt, Events: 1, Status: status, Err: err, Final: final,
			Took: time.Millisecond, Body: []byte(`{"time_ms":1,"events":[{"name":"member_added","channel":"presence-x","user_id":"ann"}]}`)})
	}
	failed := errors.New("receiver answered 500")
	sent("a", 1, nil, true)
	sent("b", 1, failed, false)
	sent("c", 1, failed, false)
	for i := range 30 {
		sent("c", 2+i, failed, i == 29)
	}
	d.Observe(t.Context(), broker.WebhookDropped{App: d.App.ID(), URL: receiver.URL, Events: 7, Err: failed})
	type page struct {
		Items []webhookJSON
		Next  string
		Stats webhookTotals
		Kept  int
	}
	p := get[page](d, "/api/webhooks")
	require.Len(t, p.Items, 3)
	assert.Equal(t, webhookTotals{Delivered: 1, Retried: 30, Dropped: 7}, p.Stats)
	assert.Equal(t, []string{"failed", "retrying", "delivered"}, []string{p.Items[0].State, p.Items[1].State, p.Items[2].State})
	assert.Len(t, p.Items[0].Attempts, maxAttempts)
	assert.Equal(t, []string{"member_added"}, p.Items[0].Events)
	assert.Equal(t, []string{"presence-x"}, p.Items[0].Channels)
	assert.True(t, p.Items[0].CanResend)
	assert.Len(t, get[page](d, "/api/webhooks?state=failed").Items, 1)
	p = get[page](d, "/api/webhooks?limit=2")
	require.Len(t, p.Items, 2)
	assert.Len(t, get[page](d, "/api/webhooks?limit=2&next="+p.Next).Items, 1)

	again := ask[struct {
		OK     bool
		Status int
		Error  string
	}](d, http.MethodPost, "/api/webhook/resend", `{"id":"c"}`)
	assert.True(t, again.OK, "%+v", again)
	assert.Equal(t, 200, again.Status)
	require.Len(t, bodies, 1)
	assert.Contains(t, bodies[0], "member_added")
	p = get[page](d, "/api/webhooks")
	require.Len(t, p.Items, 3, "it is no other webhook")
	assert.Equal(t, []string{"c", "delivered"}, []string{p.Items[0].ID, p.Items[0].State})
	assert.True(t, p.Items[0].Attempts[maxAttempts-1].Again)
	assert.False(t, p.Items[0].Attempts[maxAttempts-2].Again)
}

func TestWebhooksAreBounded(t *testing.T) {
	d := newDesk(t, []Option{WithLimits(Limits{Webhooks: 10, WebhookBytes: 20_000})})
	for i := range 100 {
		d.Observe(context.Background(), broker.WebhookSent{ID: fmt.Sprint(i), Body: make([]byte, 10), Attempt: 1})
	}
	assert.Len(t, d.webhooks.all, 10)
	assert.Len(t, d.webhooks.byID, 10)
	assert.EqualValues(t, 90, d.webhooks.forgotten)
	for i := range 100 {
		d.Observe(context.Background(), broker.WebhookSent{ID: fmt.Sprint("large-", i), Body: make([]byte, 8000), Attempt: 1})
	}
	assert.LessOrEqual(t, d.webhooks.bytes, 20_000)
	assert.Len(t, d.webhooks.all, 2)
	long := errors.New(strings.Repeat("e", maxText))
	for i := range 10 * maxAttempts {
		d.Observe(context.Background(), broker.WebhookSent{ID: fmt.Sprint("failing-", i%10), Attempt: 1 + i/10, Err: long})
	}
	held := 0
	for _, w := range d.webhooks.all {
		held += w.size()
	}
	assert.Equal(t, held, d.webhooks.bytes)
	assert.LessOrEqual(t, held, 20_000, "what attempts have to say counts as well")
	assert.Equal(t, len(d.webhooks.all), len(d.webhooks.byID))
}

func TestCurl(t *testing.T) {
	d := newDesk(t, nil)
	server := httptest.NewServer(d.Handler)
	defer server.Close()
	require.NoError(t, d.SetApps(App{ID: d.App.ID(), Key: d.Config.Key, Secret: d.Config.Secret, URL: server.URL}))
	require.ErrorIs(t, d.SetApps(App{Name: "without ID"}), broker.ErrInvalid, "and nothing changes")
	ann := d.Connect(t)
	ann.Subscribe("room")
	body, err := json.Marshal(map[string]string{"app": d.App.ID(), "channel": "room", "event": "it's", "data": `{"text":"$(touch /tmp/x) 'quoted' \"twice\" ` + "`id`" + `"}`})
	require.NoError(t, err)
	out := ask[struct{ Curl string }](d, http.MethodPost, "/api/curl", string(body))
	assert.NotContains(t, out.Curl, d.Config.Secret)
	// The shell says what it would give to curl.
	words, err := exec.CommandContext(t.Context(), "sh", "-c", `curl() { for word; do printf '%s\000' "$word"; done; }; `+out.Curl).Output()
	require.NoError(t, err)
	args := strings.Split(strings.TrimSuffix(string(words), "\x00"), "\x00")
	require.Len(t, args, 7)
	assert.Equal(t, []string{"-X", "POST"}, args[:2])
	assert.Equal(t, []string{"-H", "Content-Type: application/json", "-d"}, args[3:6])
	resp, err := http.Post(args[2], "application/json", strings.NewReader(args[6]))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Equal(t, `{"text":"$(touch /tmp/x) 'quoted' \"twice\" `+"`id`"+`"}`, ann.Expect("it's", "room").Data)
}

func TestInfo(t *testing.T) {
	d := newDesk(t, []Option{WithReadOnly(), WithApps(App{ID: "named", Name: "Shop", Key: "k", Secret: "not to be seen"})})
	d.Connect(t)
	resp := do(d.Console, request(http.MethodGet, "/api/info", ""))
	var body bytes.Buffer
	_, err := body.ReadFrom(resp.Body)
	require.NoError(t, err)
	assert.NotContains(t, body.String(), "not to be seen")
	var info struct {
		Apps     []appInfo
		ReadOnly bool
		Store    storeInfo
	}
	require.NoError(t, json.Unmarshal(body.Bytes(), &info))
	assert.Len(t, info.Apps, 2)
	assert.True(t, info.ReadOnly)
	assert.Equal(t, "memory.Store", info.Store.Kind)
}
