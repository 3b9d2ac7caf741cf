package server

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMetrics(t *testing.T) {
	f := start(t, "-admin", "127.0.0.1:0")
	ws := f.dial()
	ws.subscribe("news", "")
	res, err := f.http.Get("http://" + f.server.admin.listener.Addr().String() + "/metrics")
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode)
	for _, want := range []string{"carillon_sessions{app=\"7\"} 1\n", "carillon_channels{app=\"7\"} 1\n", "carillon_websocket_open 1\n",
		"carillon_websocket_messages_in_total 1\n", "carillon_webhooks_pending 0\n", "# TYPE carillon_websocket_bytes_out_total counter\n", "go_goroutines ", "process_open_fds "} {
		require.Contains(t, string(body), want)
	}
}
