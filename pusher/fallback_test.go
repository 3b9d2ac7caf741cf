package pusher_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
)

// post posts and returns status and body of the answer.
func (s *site) post(t *testing.T, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.http.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	resp, err := s.http.Client().Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(answer)
}

// TestConnectHooksSeeTheRequest whatever the transport is.
func TestConnectHooksSeeTheRequest(t *testing.T) {
	s := newSite(t, func(h http.Handler) http.Handler { return h }, (*httptest.Server).Start)
	seen := make(chan string, 1)
	s.broker.AddHooks(broker.Hooks{Connect: func(_ context.Context, r *broker.ConnectRequest) error {
		user, _ := r.Cookie("user")
		_, ok := r.Cookie("use")
		assert.False(t, ok)
		seen <- r.Transport + " " + user + " " + r.Header.Get("x-tenant")
		return broker.Refuse(403, "that is all")
	}})
	header := http.Header{"Cookie": {`theme=dark; user="ann"`, "user=bob"}, "X-Tenant": {"blue"}}
	s.dial(t, "/app/key?protocol=7", header)
	assert.Equal(t, "websocket ann blue", <-seen)
	for transport, request := range map[string]struct{ method, path string }{
		"xhr_streaming": {"POST", "/app/key/1/abcdefgh/xhr_streaming?protocol=7"},
		"xhr_polling":   {"POST", "/app/key/1/abcdefgi/xhr?protocol=7"},
		"sse":           {"GET", "/sse/app/key?channels=room"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), request.method, s.http.URL+request.path, nil)
		require.NoError(t, err)
		req.Header = header.Clone()
		resp, err := s.http.Client().Do(req)
		require.NoError(t, err)
		_ = resp.Body.Close()
		assert.Equal(t, transport+" ann blue", <-seen)
	}
}

func TestSessionsBelongToTheirApp(t *testing.T) {
	s := newSite(t, func(h http.Handler) http.Handler { return h }, (*httptest.Server).Start)
	status, answer := s.post(t, "/app/key/1/abcdefgh/xhr?protocol=7", "")
	assert.Equal(t, 200, status)
	assert.Contains(t, answer, "connection_established")
	assert.EqualValues(t, 1, s.broker.Stats().Sessions)

	subscribe := `["{\"event\":\"pusher:subscribe\",\"data\":{\"channel\":\"room\"}}"]`
	for _, path := range []string{"/app/other/1/abcdefgh/xhr_send", "/app/key/2/abcdefgh/xhr_send", "/app/key/1/abcdefgi/xhr_send"} {
		status, _ = s.post(t, path, subscribe)
		assert.Equal(t, 404, status, path)
	}
	status, _ = s.post(t, "/app/key/1/abcdefgh/xhr_send", subscribe)
	assert.Equal(t, 204, status)
	_, answer = s.post(t, "/app/key/1/abcdefgh/xhr?protocol=7", "")
	assert.Contains(t, answer, "subscription_succeeded")
	assert.Equal(t, 1, strings.Count(answer, "\n"))

	_, answer = s.post(t, "/app/other/1/abcdefgh/xhr?protocol=7", "")
	assert.Contains(t, answer, "c[4001,")
	status, _ = s.post(t, "/app/key/1/"+strings.Repeat("x", 33)+"/xhr?protocol=7", "")
	assert.Equal(t, 404, status, "the session's name is too long")
	status, _ = s.post(t, "/app/key/1/abcdefgh/xhr_send", string(bytes.Repeat([]byte("x"), 1<<20)))
	assert.Equal(t, 413, status)
	_, answer = s.post(t, "/app/key/1/abcdefgh/xhr?protocol=7", "")
	assert.Contains(t, answer, "c[1009,")
}
