package xhr

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/transport"
)

// sockJS answers a request without a socket.
func sockJS(s *Server, method, id, action, body string, h *hooked) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, "/", strings.NewReader(body))
	r.Header.Set("Origin", "https://page.example")
	s.ServeSockJS(w, r, id, action, opening(h))
	return w
}

// TestTheServerEndsALongSockJSResponse since these clients wait for that.
func TestTheServerEndsALongSockJSResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		h := &hooked{}
		done := make(chan string)
		stream := func() { done <- sockJS(s, "POST", "one", "xhr_streaming", "", h).Body.String() }
		go stream()
		synctest.Wait()
		text := strings.Repeat("x", 100<<10)
		for i := range 4 {
			require.NoError(t, h.conn.Send(transport.NewMessage(fmt.Append(nil, i, text))))
		}
		first := <-done
		assert.True(t, strings.HasPrefix(first, strings.Repeat("h", 2048)+"\no\na[\"0"), "a prelude comes first")
		assert.Less(t, len(first), restart+len(text)+4096)
		go stream()
		synctest.Wait()
		h.conn.Close(4200, "restart")
		second := <-done
		assert.True(t, strings.HasPrefix(second, strings.Repeat("h", 2048)+"\na["), "it does not open again")
		assert.True(t, strings.HasSuffix(second, "c[4200,\"restart\"]\n"))
		assert.Equal(t, 4, strings.Count(first+second, "a[\""))
		assert.Zero(t, s.Stats())
		require.NoError(t, s.Shutdown(t.Context()))
	})
}

func TestSockJSPolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		got := ""
		h := &hooked{receive: func(data string) { got += data }}
		w := sockJS(s, "POST", "one", "xhr", "", h)
		assert.Equal(t, "o\n", w.Body.String())
		assert.Equal(t, "https://page.example", w.Header().Get("Access-Control-Allow-Origin"))
		assert.Equal(t, "true", w.Header().Get("Access-Control-Allow-Credentials"))
		assert.Equal(t, "Origin", w.Header().Get("Vary"))
		assert.Equal(t, "sockjs", h.conn.Info().Transport)
		sent := sockJS(s, "POST", "one", "xhr_send", `["a","b"]`, nil)
		assert.Equal(t, 204, sent.Code)
		assert.Equal(t, "https://page.example", sent.Header().Get("Access-Control-Allow-Origin"))
		assert.Equal(t, "ab", got)
		time.Sleep(time.Minute)
		assert.Equal(t, 404, sockJS(s, "POST", "one", "xhr_send", `["late"]`, nil).Code)
		require.NoError(t, s.Shutdown(t.Context()))
	})
}

func TestWhatSockJSHasBesidesIsNotThere(t *testing.T) {
	s := newServer(t)
	for _, action := range []string{"websocket", "eventsource", "htmlfile", "jsonp", "jsonp_send", "xhr_send"} {
		assert.Equal(t, 404, sockJS(s, "POST", "one", action, "", nil).Code, action)
	}
	assert.Equal(t, 405, sockJS(s, "GET", "one", "xhr", "", nil).Code)
	preflight := sockJS(s, "OPTIONS", "one", "xhr_send", "", nil)
	assert.Equal(t, 204, preflight.Code)
	assert.Equal(t, "true", preflight.Header().Get("Access-Control-Allow-Credentials"))
	require.NoError(t, s.Shutdown(t.Context()))
}

func TestSockJSInfo(t *testing.T) {
	s := newServer(t, WithHeartbeat(7*time.Second))
	ask := func(method string) (*httptest.ResponseRecorder, map[string]any) {
		w := httptest.NewRecorder()
		s.ServeSockJSInfo(w, httptest.NewRequest(method, "/", nil))
		var info map[string]any
		_ = json.Unmarshal(w.Body.Bytes(), &info)
		return w, info
	}
	w, info := ask("GET")
	assert.Equal(t, "*", w.Header().Get("Access-Control-Allow-Origin"))
	assert.Contains(t, w.Header().Get("Cache-Control"), "no-store")
	_, again := ask("GET")
	assert.NotEqual(t, info["entropy"], again["entropy"])
	delete(info, "entropy")
	assert.Equal(t, map[string]any{"websocket": false, "cookie_needed": false, "origins": []any{"*:*"},
		"server_heartbeat_interval": 7000.0}, info)
	w, _ = ask("OPTIONS")
	assert.Equal(t, 204, w.Code)
	assert.Equal(t, "GET, OPTIONS", w.Header().Get("Access-Control-Allow-Methods"))
	w, _ = ask("POST")
	assert.Equal(t, 405, w.Code)
	require.NoError(t, s.Shutdown(t.Context()))
}

func TestSockJSFrame(t *testing.T) {
	s := newServer(t)
	w := httptest.NewRecorder()
	s.ServeSockJSIframe(w, httptest.NewRequest("GET", "/iframe.html?js_path=https://evil.example/x.js", nil))
	page, err := io.ReadAll(w.Body)
	require.NoError(t, err)
	assert.Contains(t, string(page), IframeOrigin+"=")
	assert.NotContains(t, string(page), "evil")
	assert.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'")
	w = httptest.NewRecorder()
	s.ServeSockJSIframe(w, httptest.NewRequest("POST", "/iframe.html", nil))
	assert.Equal(t, 405, w.Code)
	require.NoError(t, s.Shutdown(t.Context()))
}
