package pusher_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
)

// newHandler is NewHandler where it cannot fail.
func newHandler(t testing.TB, b *broker.Broker, apps pusher.Apps, opts ...pusher.Option) *pusher.Handler {
	t.Helper()
	h, err := pusher.NewHandler(b, apps, opts...)
	require.NoError(t, err)
	return h
}

// site is a broker behind a real server.
type site struct {
	app    *broker.App
	broker *broker.Broker
	http   *httptest.Server
}

func newSite(t *testing.T, mount func(h http.Handler) http.Handler, start func(*httptest.Server)) *site {
	t.Helper()
	b, err := broker.New()
	require.NoError(t, err)
	apps, err := pusher.NewApps(pusher.App{ID: "1", Key: "key", Secret: "secret", MaxConnections: 2})
	require.NoError(t, err)
	s := &site{app: b.App("1"), broker: b, http: httptest.NewUnstartedServer(mount(newHandler(t, b, apps)))}
	start(s.http)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		assert.NoError(t, b.Shutdown(ctx))
		s.http.Close()
	})
	return s
}

func (s *site) dial(t *testing.T, path string, header http.Header) *websocket.Conn {
	t.Helper()
	client := s.http.Client()
	c, _, err := websocket.Dial(t.Context(), s.http.URL+path, &websocket.DialOptions{HTTPClient: client, HTTPHeader: header})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

func read(t *testing.T, c *websocket.Conn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	kind, data, err := c.Read(ctx)
	require.NoError(t, err)
	require.Equal(t, websocket.MessageText, kind)
	return string(data)
}

// TestHiddenConnection says what is wrong where middleware hides the connection:
// nothing else does.
func TestHiddenConnection(t *testing.T) {
	var log bytes.Buffer
	b, err := broker.New(broker.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Shutdown(context.Background())) })
	apps, err := pusher.NewApps(pusher.App{ID: "1", Key: "key", Secret: "secret"})
	require.NoError(t, err)
	h := http.TimeoutHandler(newHandler(t, b, apps), time.Minute, "")
	for path, missing := range map[string]string{
		"/app/key?protocol=7":      "http.Hijacker",
		"/sse/app/key?channels=ch": "http.Flusher",
	} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		if missing == "http.Hijacker" {
			r.Header.Set("Connection", "Upgrade")
			r.Header.Set("Upgrade", "websocket")
		}
		w := httptest.NewRecorder()
		log.Reset()
		h.ServeHTTP(w, r)
		assert.Equal(t, http.StatusNotImplemented, w.Code, path)
		for _, text := range []string{w.Body.String(), log.String()} {
			assert.Contains(t, text, "*http.timeoutWriter", path)
			assert.Contains(t, text, missing, path)
		}
		assert.Contains(t, log.String(), "level=ERROR", path)
	}
}

// TestRefusalsAreLogged lets an operator see why a client does not get in.
func TestRefusalsAreLogged(t *testing.T) {
	var log bytes.Buffer
	b, err := broker.New(broker.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Shutdown(context.Background())) })
	apps, err := pusher.NewApps(pusher.App{ID: "1", Key: "key", Secret: "secret"})
	require.NoError(t, err)
	h := newHandler(t, b, apps)
	pusher.Connect(t, h.Open(t.Context(), pusher.Dial{Key: "key", Protocol: "7", Origin: "https://other.example", Host: "chat.example", IP: "192.0.2.1"}))
	assert.Regexp(t, `level=DEBUG msg="connection refused" key=key ip=192.0.2.1 origin=https://other.example host=chat.example close_code=4009 error=.*not allowed`, log.String())
	log.Reset()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/apps/1/channels", nil))
	assert.Regexp(t, `level=DEBUG msg="request refused" method=GET path=/apps/1/channels status=401 error=`, log.String())
	assert.NotContains(t, log.String(), "secret")
}

func closeCode(t *testing.T, c *websocket.Conn) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, _, err := c.Read(ctx)
	require.Error(t, err)
	return int(websocket.CloseStatus(err))
}

func TestMounts(t *testing.T) {
	for name, c := range map[string]struct {
		prefix string
		mount  func(http.Handler) http.Handler
		start  func(*httptest.Server)
	}{
		"root":        {"", func(h http.Handler) http.Handler { return h }, (*httptest.Server).Start},
		"TLS":         {"", func(h http.Handler) http.Handler { return h }, (*httptest.Server).StartTLS},
		"prefix":      {"/realtime", mux("/realtime/"), (*httptest.Server).Start},
		"deep prefix": {"/app/apps", mux("/app/"), (*httptest.Server).Start},
		"prefix stripped": {"/realtime", func(h http.Handler) http.Handler {
			return http.StripPrefix("/realtime", h)
		}, (*httptest.Server).Start},
		"wrapped writer": {"", wrapped, (*httptest.Server).Start},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, c.mount, c.start)
			ws := s.dial(t, c.prefix+"/app/key?protocol=7&client=js&version=8.6.0&flash=false", nil)
			assert.Contains(t, read(t, ws), "pusher:connection_established")
			require.NoError(t, ws.Write(t.Context(), websocket.MessageText, []byte(`{"event":"pusher:subscribe","data":{"auth":"","channel":"room"}}`)))
			assert.Contains(t, read(t, ws), "subscription_succeeded")
			_, err := s.app.Publish(t.Context(), "room", "message", []byte("hello"))
			require.NoError(t, err)
			assert.Equal(t, `{"event":"message","channel":"room","data":"hello"}`, read(t, ws))

			resp, err := s.http.Client().Get(s.http.URL + c.prefix + "/apps/1/channels")
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.Equal(t, 401, resp.StatusCode)
		})
	}
}

func mux(pattern string) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		m := http.NewServeMux()
		m.Handle(pattern, h)
		return m
	}
}

// wrapped hides the response writer behind one that can only be unwrapped, as
// middlewares that log do.
func wrapped(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(struct{ unwrapper }{unwrapper{w}}, r)
	})
}

type unwrapper struct{ http.ResponseWriter }

func (u unwrapper) Unwrap() http.ResponseWriter { return u.ResponseWriter }

func TestRefusalsAreToldOverTheSocket(t *testing.T) {
	s := newSite(t, func(h http.Handler) http.Handler { return h }, (*httptest.Server).Start)
	for _, c := range []struct {
		path   string
		header http.Header
		code   int
	}{
		{"/app/other?protocol=7", nil, 4001},
		{"/nowhere?protocol=7", nil, 4005},
		{"/app/key?protocol=x", nil, 4006},
		{"/app/key?protocol=1", nil, 4007},
		{"/app/key", nil, 4008},
		{"/app/key?protocol=7", http.Header{"Origin": {"https://evil.example"}}, 4009},
	} {
		ws := s.dial(t, c.path, c.header)
		var f struct {
			Event string
			Data  struct {
				Code    int
				Message string
			}
		}
		require.NoError(t, json.Unmarshal([]byte(read(t, ws)), &f))
		assert.Equal(t, "pusher:error", f.Event)
		assert.Equal(t, c.code, f.Data.Code)
		assert.NotEmpty(t, f.Data.Message)
		assert.Equal(t, c.code, closeCode(t, ws))
	}
}

func TestPagesOfTheSameHostConnect(t *testing.T) {
	s := newSite(t, func(h http.Handler) http.Handler { return h }, (*httptest.Server).Start)
	ws := s.dial(t, "/app/key?protocol=7", http.Header{"Origin": {s.http.URL}})
	assert.Contains(t, read(t, ws), "pusher:connection_established")
}

func TestKeysArriveEncoded(t *testing.T) {
	b, err := broker.New()
	require.NoError(t, err)
	apps, err := pusher.NewApps(pusher.App{ID: "1", Key: "my ключ", Secret: "secret"})
	require.NoError(t, err)
	server := httptest.NewServer(newHandler(t, b, apps))
	defer server.Close()
	defer func() { require.NoError(t, b.Shutdown(context.Background())) }()
	ws := (&site{http: server}).dial(t, "/app/my%20%D0%BA%D0%BB%D1%8E%D1%87?protocol=7", nil)
	assert.Contains(t, read(t, ws), "established")
	require.NoError(t, ws.Close(websocket.StatusNormalClosure, ""))
	// A reason that is longer than a close frame takes ends the connection no worse.
	ws = (&site{http: server}).dial(t, "/app/"+strings.Repeat("k", 200)+"?protocol=7", nil)
	assert.Contains(t, read(t, ws), "does not exist")
	assert.Equal(t, 4001, closeCode(t, ws))
}

func TestConnectionsOverQuota(t *testing.T) {
	s := newSite(t, func(h http.Handler) http.Handler { return h }, (*httptest.Server).Start)
	for range 2 {
		assert.Contains(t, read(t, s.dial(t, "/app/key?protocol=7", nil)), "established")
	}
	third := s.dial(t, "/app/key?protocol=7", nil)
	assert.Contains(t, read(t, third), "4004")
	assert.Equal(t, 4004, closeCode(t, third))
}

func TestShutdownOverTheSocket(t *testing.T) {
	s := newSite(t, func(h http.Handler) http.Handler { return h }, (*httptest.Server).Start)
	ws := s.dial(t, "/app/key?protocol=7", nil)
	read(t, ws)
	require.NoError(t, ws.Write(t.Context(), websocket.MessageText, []byte(`{"event":"pusher:subscribe","data":{"channel":"room"}}`)))
	read(t, ws)
	const events = 100
	for range events {
		_, err := s.app.Publish(t.Context(), "room", "message", []byte(strings.Repeat("x", 1000)))
		require.NoError(t, err)
	}
	done := make(chan error, 1)
	go func() { done <- s.broker.Shutdown(context.Background()) }()
	for range events {
		assert.Contains(t, read(t, ws), "message")
	}
	assert.Equal(t, 4200, closeCode(t, ws))
	require.NoError(t, <-done)
}

func TestTLSOnlyApps(t *testing.T) {
	b, err := broker.New()
	require.NoError(t, err)
	apps, err := pusher.NewApps(pusher.App{ID: "1", Key: "key", Secret: "secret", RequireTLS: true})
	require.NoError(t, err)
	h := newHandler(t, b, apps)
	plain, secure := httptest.NewServer(h), httptest.NewTLSServer(h)
	defer plain.Close()
	defer secure.Close()
	defer func() { require.NoError(t, b.Shutdown(context.Background())) }()
	ws := (&site{http: plain}).dial(t, "/app/key?protocol=7", nil)
	assert.Contains(t, read(t, ws), "4000")
	assert.Equal(t, 4000, closeCode(t, ws))
	require.NotNil(t, secure.Client().Transport.(*http.Transport).TLSClientConfig)
	secure.Client().Transport.(*http.Transport).TLSClientConfig.MinVersion = tls.VersionTLS12
	ws = (&site{http: secure}).dial(t, "/app/key?protocol=7", nil)
	assert.Contains(t, read(t, ws), "established")
	require.NoError(t, ws.Close(websocket.StatusNormalClosure, ""))
}
