package pusher_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/transport/xhr"
)

// sockJSSite is a handler whose SockJS clients need no sockets.
type sockJSSite struct {
	t *testing.T
	b *broker.Broker
	h *pusher.Handler
}

func newSockJSSite(t *testing.T, app pusher.App, options ...broker.Option) *sockJSSite {
	t.Helper()
	app.ID, app.Key, app.Secret = "1", "key", "secret"
	b, err := broker.New(options...)
	require.NoError(t, err)
	apps, err := pusher.NewApps(app)
	require.NoError(t, err)
	return &sockJSSite{t: t, b: b, h: newHandler(t, b, apps, pusher.WithXHR(xhr.WithMaxSessions(3)))}
}

func (s *sockJSSite) request(method, path, body, origin string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	s.h.ServeHTTP(w, r)
	return w
}

// poll opens a session or receives for it.
func (s *sockJSSite) poll(id string) string {
	return s.request("POST", "/pusher/000/"+id+"/xhr", "", "").Body.String()
}

func (s *sockJSSite) send(id string, messages ...string) {
	s.t.Helper()
	body, err := json.Marshal(messages)
	require.NoError(s.t, err)
	require.Equal(s.t, 204, s.request("POST", "/pusher/000/"+id+"/xhr_send", string(body), "").Code)
}

const call = `{"path":"/app/key?protocol=7&client=js&version=8.6.0"}`

func TestSockJSClientsCallFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked broker.ConnectRequest
		s := newSockJSSite(t, pusher.App{}, broker.WithHooks(broker.Hooks{
			Connect: func(ctx context.Context, r *broker.ConnectRequest) error { asked = *r; return ctx.Err() },
		}))
		assert.Equal(t, "o\n", s.poll("one"))
		assert.Zero(t, s.b.Stats().Sessions)
		s.send("one", call, `{"event":"pusher:subscribe","data":{"channel":"room"}}`)
		got := s.poll("one")
		assert.Contains(t, got, "connection_established")
		assert.Contains(t, got, "subscription_succeeded")
		assert.Equal(t, "sockjs", asked.Transport)
		assert.Equal(t, "js", asked.Client)
		assert.Equal(t, "8.6.0", asked.Version)
		_, err := s.b.App("1").Publish(t.Context(), "room", "message", []byte("hello"))
		require.NoError(t, err)
		assert.Contains(t, s.poll("one"), "hello")
		assert.EqualValues(t, 1, s.b.Stats().Sessions)
		time.Sleep(time.Minute)
		assert.Zero(t, s.b.Stats().Sessions, "it ends as other sessions do")
		assert.Zero(t, s.h.Stats().SockJSTimeouts)
		require.NoError(t, s.b.Shutdown(t.Context()))
	})
}

func TestSockJSRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		call string
		app  pusher.App
		code string
	}{
		"unknown key":          {`{"path":"/app/other?protocol=7"}`, pusher.App{}, "4001"},
		"disabled":             {call, pusher.App{Disabled: true}, "4003"},
		"only TLS":             {call, pusher.App{RequireTLS: true}, "4000"},
		"no app":               {`{"path":"/nowhere?protocol=7"}`, pusher.App{}, "4005"},
		"no path":              {`{"event":"pusher:subscribe","data":{"channel":"room"}}`, pusher.App{}, "4005"},
		"no object":            {`hello`, pusher.App{}, "4005"},
		"no number":            {`{"path":"/app/key?protocol=x"}`, pusher.App{}, "4006"},
		"unsupported protocol": {`{"path":"/app/key?protocol=1"}`, pusher.App{}, "4007"},
		"no protocol":          {`{"path":"/app/key"}`, pusher.App{}, "4008"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSockJSSite(t, c.app)
				s.poll("one")
				s.send("one", c.call, `{"event":"pusher:ping"}`)
				got := s.poll("one")
				assert.Contains(t, got, `"code\":`+c.code)
				assert.Contains(t, got, "c["+c.code+",")
				assert.NotContains(t, got, "pong")
				assert.Zero(t, s.b.Stats().Sessions)
				require.NoError(t, s.b.Shutdown(t.Context()))
			})
		})
	}
}

func TestSockJSQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSockJSSite(t, pusher.App{MaxConnections: 1})
		s.poll("one")
		s.send("one", call)
		s.poll("two")
		s.send("two", call)
		assert.Contains(t, s.poll("two"), "c[4004,")
		s.poll("three")
		assert.Equal(t, "o\n", s.poll("four"), "the second has left its place")
		assert.Equal(t, "o\n", s.poll("five"), "the third has not called, and gives way")
		assert.Equal(t, 404, s.request("POST", "/pusher/000/three/xhr_send", "[]", "").Code)
		time.Sleep(time.Minute)
		require.NoError(t, s.b.Shutdown(t.Context()))
	})
}

// TestSockJSClientsThatDoNotCall keep their response open, as a client would.
func TestSockJSClientsThatDoNotCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSockJSSite(t, pusher.App{})
		start := time.Now()
		got := s.request("POST", "/pusher/000/one/xhr_streaming", "", "").Body.String()
		assert.Contains(t, got, "c[4202,\"path did not come within 10s\"]")
		assert.InDelta(t, 10, time.Since(start).Seconds(), 1)
		assert.EqualValues(t, 1, s.h.Stats().SockJSTimeouts)
		assert.Zero(t, s.h.Stats().XHR.Sessions)
		require.NoError(t, s.b.Shutdown(t.Context()))
	})
}

func TestShutdownSendsAwaySockJSClientsThatDidNotCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSockJSSite(t, pusher.App{})
		done := make(chan string)
		go func() { done <- s.request("POST", "/pusher/000/one/xhr_streaming", "", "").Body.String() }()
		synctest.Wait()
		require.NoError(t, s.b.Shutdown(t.Context()))
		assert.Contains(t, <-done, "c[4200,")
		assert.Equal(t, 503, s.request("POST", "/pusher/000/two/xhr", "", "").Code)
	})
}

func TestSockJSOrigins(t *testing.T) {
	const own, page, evil = "http://example.com", "https://page.example", "https://evil.example"
	for name, c := range map[string]struct {
		origin, frame string
		allowed       []string
		hosts         []string
		code          string
	}{
		"own page":                    {own, "", nil, nil, ""},
		"another page":                {page, "", nil, nil, "4009"},
		"a page that is allowed":      {page, "", []string{page}, nil, ""},
		"in a frame":                  {own, page, []string{page}, []string{"example.com"}, ""},
		"in a frame that is allowed":  {own, page, []string{page, own}, nil, ""},
		"in a frame of any name":      {own, page, []string{page}, nil, "4009"},
		"in a frame of an old client": {"", page, []string{page}, nil, ""},
		"evil in a frame":             {own, evil, []string{page}, []string{"example.com"}, "4009"},
		"evil in a frame, own only":   {own, evil, nil, nil, "4009"},
		"evil without a frame":        {evil, page, []string{page}, nil, "4009"},
		"evil says it is its own":     {evil, own, nil, nil, "4009"},
		"opaque":                      {own, "null", []string{page}, []string{"example.com"}, "4009"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSockJSSite(t, pusher.App{AllowedOrigins: c.allowed, Hosts: c.hosts})
				path := "/pusher/000/one/xhr"
				if c.frame != "" {
					path += "?" + xhr.IframeOrigin + "=" + c.frame
				}
				s.request("POST", path, "", c.origin)
				s.send("one", call)
				if got := s.poll("one"); c.code == "" {
					assert.Contains(t, got, "connection_established")
				} else {
					assert.Contains(t, got, "c["+c.code+",")
				}
				time.Sleep(time.Minute)
				require.NoError(t, s.b.Shutdown(t.Context()))
			})
		})
	}
}

func TestALookupThatPanicsEndsTheSockJSSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := broker.New()
		require.NoError(t, err)
		s := &sockJSSite{t: t, b: b, h: newHandler(t, b, panickingApps{})}
		s.poll("one")
		s.send("one", call)
		assert.Contains(t, s.poll("one"), "c[4100,")
		assert.EqualValues(t, 1, s.h.Stats().LookupPanics)
		assert.Zero(t, s.h.Stats().XHR.Sessions)
		require.NoError(t, s.b.Shutdown(t.Context()))
	})
}

type panickingApps struct{}

func (panickingApps) AppByKey(context.Context, string) (*pusher.App, error) {
	panic("apps of the test")
}
func (panickingApps) AppByID(context.Context, string) (*pusher.App, error) { panic("apps of the test") }

func TestSockJSRoutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSockJSSite(t, pusher.App{})
		for path, status := range map[string]int{
			"/pusher/info": 200, "/info": 200, "/a/prefix/info": 200, "/pusher/iframe.html": 200,
			"/pusher/000/abcdefgh/eventsource": 404, "/pusher/000/abcdefgh/htmlfile": 404, "/pusher/000/abcdefgh/jsonp": 404,
			"/pusher/000/abcdefgh/websocket": 404, "/pusher": 404, "/pusher/websocket": 404, "/apps/1/channels/info": 401,
			"/app/info": 426, "/pusher/000/abcdefgh/xhr": 405, "/pusher/0000/abcdefgh/xhr": 404, "/pusher//abcdefgh/xhr": 404,
			"/pusher/000/" + strings.Repeat("x", 33) + "/xhr": 404,
		} {
			assert.Equal(t, status, s.request("GET", path, "", "").Code, path)
		}
		upgrade := httptest.NewRequest("GET", "/pusher/000/abcdefgh/websocket", nil)
		upgrade.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
		w := httptest.NewRecorder()
		s.h.ServeHTTP(w, upgrade)
		assert.Equal(t, 404, w.Code)
		require.NoError(t, s.b.Shutdown(t.Context()))
	})
}
