package pusher

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
)

// feedTest is an API test behind a real server.
type feedTest struct {
	*apiTest
	http *httptest.Server
}

func newFeedTest(t *testing.T, opts ...broker.Option) *feedTest {
	a := newAPITest(t, opts...)
	f := &feedTest{apiTest: a, http: httptest.NewServer(a.handler)}
	t.Cleanup(func() {
		require.NoError(t, a.broker.Shutdown(context.Background()))
		f.http.Close()
	})
	return f
}

// reader is one open feed.
type reader struct {
	t    *testing.T
	body *http.Response
	text *bufio.Reader
	last string
}

func (f *feedTest) open(t *testing.T, params url.Values, lastEventID string) *reader {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", f.http.URL+"/sse/app/key?"+params.Encode(), nil)
	require.NoError(t, err)
	if lastEventID != "" {
		req.Header.Set("Last-Event-ID", lastEventID)
	}
	resp, err := f.http.Client().Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	require.Equal(t, 200, resp.StatusCode)
	return &reader{t: t, body: resp, text: bufio.NewReader(resp.Body), last: lastEventID}
}

// next returns the event's name and data of the next block that has data.
func (r *reader) next() (event, data string) {
	r.t.Helper()
	for {
		line, err := r.text.ReadString('\n')
		require.NoError(r.t, err)
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "id":
			r.last = value
		case "event":
			event = value
		case "data":
			data = value
		case "":
			if value == "" && data != "" {
				return event, data
			}
		}
	}
}

// sign returns a token that opens private channels for a minute.
func (f *feedTest) sign(channels ...string) string {
	token, err := SignFeed(f.app, channels, time.Now().Add(time.Minute))
	require.NoError(f.t, err)
	return token
}

func (f *feedTest) publish(t *testing.T, channel, data string) {
	t.Helper()
	_, err := f.broker.App("1").Publish(t.Context(), channel, "message", []byte(data))
	require.NoError(t, err)
}

func frameOf(channel, data string) string {
	return fmt.Sprintf(`{"event":"message","channel":%q,"data":%q}`, channel, data)
}

var keepAll = broker.WithChannelRules(broker.ChannelRule{Pattern: "room-*", History: broker.Retention{Events: 5}})

func TestFeedResumesExactly(t *testing.T) {
	f := newFeedTest(t, keepAll)
	r := f.open(t, url.Values{"channels": {"room-a,room-b"}}, "")
	f.publish(t, "room-a", "1")
	_, data := r.next()
	assert.Equal(t, frameOf("room-a", "1"), data)
	require.NoError(t, r.body.Body.Close())

	f.publish(t, "room-b", "2")
	f.publish(t, "room-a", "3")
	again := f.open(t, url.Values{"channels": {"room-a,room-b"}}, r.last)
	got := map[string]bool{}
	for range 2 {
		_, data := again.next()
		got[data] = true
	}
	assert.Equal(t, map[string]bool{frameOf("room-b", "2"): true, frameOf("room-a", "3"): true}, got)
	f.publish(t, "room-b", "4")
	_, data = again.next()
	assert.Equal(t, frameOf("room-b", "4"), data)
}

// TestFeedForgetsNoChannel cuts a feed off twice, the second time before one of
// its channels has said anything.
func TestFeedForgetsNoChannel(t *testing.T) {
	f := newFeedTest(t, keepAll)
	params := url.Values{"channels": {"room-a,room-b"}}
	r := f.open(t, params, "")
	f.publish(t, "room-b", "1")
	r.next()
	f.publish(t, "room-a", "2")
	r.next()
	require.NoError(t, r.body.Body.Close())

	f.publish(t, "room-a", "3")
	again := f.open(t, params, r.last)
	_, data := again.next()
	assert.Equal(t, frameOf("room-a", "3"), data)
	require.NoError(t, again.body.Body.Close())

	f.publish(t, "room-b", "4")
	third := f.open(t, params, again.last)
	f.publish(t, "room-a", "5")
	_, data = third.next()
	assert.Equal(t, frameOf("room-b", "4"), data)
	_, data = third.next()
	assert.Equal(t, frameOf("room-a", "5"), data)
}

// TestFeedResumesWhilePublishing comes back again and again while two publishers
// go on.
func TestFeedResumesWhilePublishing(t *testing.T) {
	f := newFeedTest(t, broker.WithChannelRules(broker.ChannelRule{Pattern: "room-*", History: broker.Retention{Events: 1000}}))
	params := url.Values{"channels": {"room-a,room-b"}}
	r := f.open(t, params, "")
	f.publish(t, "room-a", "0")
	f.publish(t, "room-b", "0")
	const n = 300
	var all sync.WaitGroup
	defer all.Wait()
	for _, channel := range []string{"room-a", "room-b"} {
		all.Go(func() {
			for i := 1; i < n; i++ {
				_, err := f.broker.App("1").Publish(context.Background(), channel, "message", []byte(strconv.Itoa(i)))
				assert.NoError(t, err)
			}
		})
	}
	next := map[string]int{}
	for got := 0; got < 2*n; got++ {
		event, data := r.next()
		require.Equal(t, "", event)
		var ev struct{ Channel, Data string }
		require.NoError(t, json.Unmarshal([]byte(data), &ev))
		require.Equal(t, strconv.Itoa(next[ev.Channel]), ev.Data, ev.Channel)
		next[ev.Channel]++
		if got%20 == 19 {
			require.NoError(t, r.body.Body.Close())
			r = f.open(t, params, r.last)
		}
	}
}

// TestFeedOfClientEvents has a client send JSON that is laid out on lines.
func TestFeedOfClientEvents(t *testing.T) {
	f := newFeedTest(t)
	const channel = "private-a"
	r := f.open(t, url.Values{"channels": {channel}, "token": {f.sign(channel)}}, "")
	c := Connect(t, f.handler.Open(t.Context(), Dial{Key: "key", Protocol: "7"}))
	established, ok := c.TryReceive()
	require.True(t, ok)
	id := regexp.MustCompile(`\d+\.\d+`).FindString(string(established))
	require.NoError(t, c.Send(fmt.Appendf(nil, `{"event":"pusher:subscribe","data":{"channel":%q,"auth":%q}}`,
		channel, "key:"+sign(f.app.Secret, id, ":", channel))))
	require.NoError(t, c.Send([]byte("{\"event\":\"client-x\",\"channel\":\"private-a\",\"data\":{\n\"a\":\r\n1}}")))
	f.publish(t, channel, "end")
	text := ""
	for {
		line, err := r.text.ReadString('\n')
		require.NoError(t, err)
		if strings.Contains(line, "end") {
			break
		}
		if part, ok := strings.CutPrefix(line, "data: "); ok {
			text += part
		}
	}
	assert.JSONEq(t, `{"event":"client-x","channel":"private-a","data":{"a":1}}`, text)
	c.Close(1000, "")
}

func TestFeedTellsOfAGap(t *testing.T) {
	f := newFeedTest(t, keepAll)
	r := f.open(t, url.Values{"channels": {"room-a"}}, "")
	f.publish(t, "room-a", "0")
	r.next()
	for i := range 9 {
		f.publish(t, "room-a", fmt.Sprint("missed ", i))
	}
	again := f.open(t, url.Values{"channels": {"room-a"}}, r.last)
	event, data := again.next()
	assert.Equal(t, "gap", event)
	assert.Equal(t, `{"channel":"room-a"}`, data)
	f.publish(t, "room-a", "now")
	_, data = again.next()
	assert.Equal(t, frameOf("room-a", "now"), data)
	third := f.open(t, url.Values{"channels": {"room-a"}}, again.last)
	f.publish(t, "room-a", "then")
	_, data = third.next()
	assert.Equal(t, frameOf("room-a", "then"), data)
}

func TestFeedOfPrivateChannels(t *testing.T) {
	f := newFeedTest(t)
	channels := []string{"private-b", "a"}
	r := f.open(t, url.Values{"channels": {"a,private-b"}, "token": {f.sign(channels...)}}, "")
	f.publish(t, "private-b", "secret")
	_, data := r.next()
	assert.Equal(t, frameOf("private-b", "secret"), data)
}

// TestFeedEndsWithItsToken, and then cannot come back.
func TestFeedEndsWithItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPITest(t)
		server := servePipes(t, a.handler)
		start := time.Now()
		token, err := SignFeed(a.app, []string{"private-a"}, start.Add(time.Hour))
		require.NoError(t, err)
		target := "/sse/app/key?" + url.Values{"channels": {"private-a"}, "token": {token}}.Encode()
		resp, err := http.ReadResponse(bufio.NewReader(server.send("GET "+target+" HTTP/1.1\r\nHost: x\r\n\r\n")), nil)
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
		event, data := (&reader{t: t, text: bufio.NewReader(resp.Body)}).next()
		assert.Equal(t, "close", event)
		assert.Contains(t, data, `"code":4200`)
		assert.WithinRange(t, time.Now(), start.Add(time.Hour), start.Add(time.Hour+time.Second))
		w := httptest.NewRecorder()
		a.handler.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
		a.expectError(w, 401, "token has expired")
	})
}

// TestFeedOfANameWithACommaInIt is of one channel, and not of the two that it reads as.
func TestFeedOfANameWithACommaInIt(t *testing.T) {
	f := newFeedTest(t)
	const both = "private-a,private-b"
	r := f.open(t, url.Values{"channel": {both, "c", both}, "token": {f.sign(both, "c")}}, "")
	f.publish(t, "private-a", "not this")
	f.publish(t, "c", "1")
	f.publish(t, both, "2")
	_, data := r.next()
	assert.Equal(t, frameOf("c", "1"), data)
	_, data = r.next()
	assert.Equal(t, frameOf(both, "2"), data)

	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, httptest.NewRequest("GET", "/sse/app/key?channels="+both+"&token="+f.sign(both), nil))
	f.expectError(w, 401, "not made with the app's secret for these channels")
}

func TestFeedEndsWithTheBroker(t *testing.T) {
	f := newFeedTest(t)
	r := f.open(t, url.Values{"channels": {"a"}}, "")
	done := make(chan error, 1)
	go func() { done <- f.broker.Shutdown(context.Background()) }()
	event, data := r.next()
	assert.Equal(t, "close", event)
	assert.Contains(t, data, `"code":4200`)
	require.NoError(t, <-done)
}

func TestRefusedFeeds(t *testing.T) {
	f := newFeedTest(t)
	token := func(a *App, expires time.Duration, channels ...string) string {
		token, err := SignFeed(a, channels, time.Now().Add(expires))
		require.NoError(t, err)
		return "&token=" + token
	}
	for _, c := range []struct {
		path, origin string
		status       int
		text         string
	}{
		{"/sse/app/other?channels=a", "", 404, `"other"`},
		{"/sse/app/key", "", 400, "channels is missing"},
		{"/sse/app/key?channels=" + strings.Repeat("a,", 10) + "b", "https://evil.example", 403, "origin"},
		{"/sse/app/key?channels=" + manyChannels(MaxFeedChannels+1), "", 400, "limit is 20"},
		{"/sse/app/key?channels=b%20b", "", 400, "character"},
		{"/sse/app/key?channels=presence-a", "", 400, "presence"},
		{"/sse/app/key?channels=%23server-to-user-ann", "", 400, "server-to-user"},
		{"/sse/app/key?channels=private-a", "", 401, "token is missing"},
		{"/sse/app/key?channels=private-a" + token(f.app, time.Minute, "private-b"), "", 401, "token"},
		{"/sse/app/key?channels=private-a" + token(f.app, -time.Minute, "private-a"), "", 401, "expired"},
		{"/sse/app/key?channels=private-a" + token(&App{Secret: "x"}, time.Minute, "private-a"), "", 401, "secret"},
	} {
		r := httptest.NewRequest("GET", c.path, nil)
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		f.expectError(f.do(r), c.status, c.text)
	}
	r := httptest.NewRequest("GET", "/sse/app/key?channels=a", nil)
	r.Header.Set("Last-Event-ID", strings.Repeat("a=e:1&", 10000))
	f.expectError(f.do(r), 400, "limit is 16384")
	w := f.do(httptest.NewRequest("POST", "/sse/app/key?channels=a", nil))
	assert.Equal(t, 405, w.Code)
	assert.Equal(t, "GET, HEAD, OPTIONS", w.Header().Get("Allow"))
	preflight := f.do(httptest.NewRequest("OPTIONS", "/sse/app/key?channels=a", nil))
	assert.Equal(t, 204, preflight.Code)
	assert.Contains(t, preflight.Header().Get("Access-Control-Allow-Headers"), "Last-Event-ID")
	assert.Zero(t, f.broker.Stats().Sessions, "nothing is left of refused feeds")
	f.app.RequireTLS = true
	f.expectError(f.do(httptest.NewRequest("GET", "/sse/app/key?channels=a", nil)), 403, "https")
	f.app.Disabled = true
	f.expectError(f.do(httptest.NewRequest("GET", "/sse/app/key?channels=a", nil)), 403, "disabled")
}

func manyChannels(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint("c", i)
	}
	return strings.Join(names, ",")
}

func TestFeedOverQuota(t *testing.T) {
	f := newFeedTest(t)
	f.app.MaxConnections = 1
	f.open(t, url.Values{"channels": {"a"}}, "")
	w := f.do(httptest.NewRequest("GET", "/sse/app/key?channels=a", nil))
	f.expectError(w, 503, "limit is 1")
	assert.NotEmpty(t, w.Header().Get("Retry-After"))
}

// An EventSource comes back only after a feed, so that is what it gets where coming back
// may help.
func TestAnEventSourceComesBackAfterWhatMayPass(t *testing.T) {
	for name, c := range map[string]struct {
		accept, path string
		change       func(*App)
		status       int
		body         string
	}{
		"over the quota":                  {accept: "text/event-stream", path: "?channels=a", change: func(a *App) { a.MaxConnections = 1 }, status: 200, body: "retry: 10000\n: "},
		"over the quota, for another":     {accept: "*/*", path: "?channels=a", change: func(a *App) { a.MaxConnections = 1 }, status: 503, body: "limit is 1"},
		"nothing that waiting would mend": {accept: "text/event-stream", path: "?channels=private-a", status: 401, body: "token"},
		"no channels":                     {accept: "text/event-stream", path: "", status: 400, body: "channels is missing"},
		"disabled":                        {accept: "text/event-stream", path: "?channels=a", change: func(a *App) { a.Disabled = true }, status: 403, body: "disabled"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFeedTest(t)
			f.open(t, url.Values{"channels": {"a"}}, "")
			if c.change != nil {
				c.change(f.app)
			}
			r := httptest.NewRequest("GET", "/sse/app/key"+c.path, nil)
			r.Header.Set("Accept", c.accept)
			w := f.do(r)
			assert.Equal(t, c.status, w.Code)
			assert.Contains(t, w.Body.String(), c.body)
			assert.Equal(t, c.status == 200, w.Header().Get("Content-Type") == "text/event-stream")
		})
	}
}

func TestPagesOfAllowedOriginsMayRead(t *testing.T) {
	f := newFeedTest(t)
	f.app.AllowedOrigins = []string{"https://*.example"}
	req, err := http.NewRequestWithContext(t.Context(), "GET", f.http.URL+"/sse/app/key?channels=a", nil)
	require.NoError(t, err)
	req.Header.Set("Origin", "https://chat.example")
	resp, err := f.http.Client().Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	assert.Equal(t, 200, resp.StatusCode)
	assert.Equal(t, "https://chat.example", resp.Header.Get("Access-Control-Allow-Origin"))
}
