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
	require.Regexp(t, `^([a-z_]+ \d+\n)+$`, string(body))
	for _, want := range []string{"carillon_broker_sessions 1\n", "carillon_broker_channels 1\n", "carillon_broker_slow_sessions 0\n",
		"carillon_websocket_open 1\n", "carillon_websocket_messages_in 1\n", "carillon_xhr_sessions 0\n",
		"carillon_feeds_connections 0\n", "carillon_webhooks_pending 0\n"} {
		require.Contains(t, string(body), want)
	}
}
