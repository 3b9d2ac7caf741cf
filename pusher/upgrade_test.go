package pusher_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestUpgradeIsAList offers several protocols to switch to.
func TestUpgradeIsAList(t *testing.T) {
	s := newSite(t, func(h http.Handler) http.Handler { return h }, (*httptest.Server).Start)
	for header, want := range map[string]int{
		"Upgrade: websocket":                     http.StatusSwitchingProtocols,
		"Upgrade: WebSocket":                     http.StatusSwitchingProtocols,
		"Upgrade: h2c, websocket":                http.StatusSwitchingProtocols,
		"Upgrade: websocket,h2c":                 http.StatusSwitchingProtocols,
		"Upgrade: h2c\r\nUpgrade: websocket":     http.StatusSwitchingProtocols,
		"Upgrade: websocket\r\nUpgrade: TLS/1.0": http.StatusSwitchingProtocols,
		"Upgrade: h2c":                           http.StatusUpgradeRequired,
		"Upgrade: xwebsocket":                    http.StatusUpgradeRequired,
		"X: y":                                   http.StatusUpgradeRequired,
	} {
		nc, err := net.Dial("tcp", s.http.Listener.Addr().String())
		require.NoError(t, err)
		require.NoError(t, nc.SetDeadline(time.Now().Add(10*time.Second)))
		_, err = io.WriteString(nc, "GET /app/key?protocol=7 HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\n"+header+
			"\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
		require.NoError(t, err)
		assert.Equal(t, want, resp.StatusCode, header)
		assert.Equal(t, "websocket", resp.Header.Get("Upgrade"), header)
		assert.Equal(t, "Upgrade", resp.Header.Get("Connection"), header)
		assert.NoError(t, nc.Close())
	}
}

// TestUpgradeRequiredOverHTTP2 gets no header that breaks the connection there.
func TestUpgradeRequiredOverHTTP2(t *testing.T) {
	s := newSite(t, func(h http.Handler) http.Handler { return h }, func(h *httptest.Server) {
		h.EnableHTTP2 = true
		h.StartTLS()
	})
	resp, err := s.http.Client().Get(s.http.URL + "/app/key?protocol=7")
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, 2, resp.ProtoMajor)
	assert.Equal(t, http.StatusUpgradeRequired, resp.StatusCode)
	assert.Empty(t, resp.Header.Values("Upgrade"))
	assert.Empty(t, resp.Header.Values("Connection"))
	assert.Contains(t, strings.ToLower(string(body)), "websocket")
}
