package pusher_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
)

func TestStatsCountEveryTransport(t *testing.T) {
	b, err := broker.New()
	require.NoError(t, err)
	apps, err := pusher.NewApps(pusher.App{ID: "1", Key: "key", Secret: "secret"})
	require.NoError(t, err)
	h := newHandler(t, b, apps)
	srv := httptest.NewServer(h)
	defer srv.Close()
	defer func() { require.NoError(t, b.Shutdown(t.Context())) }()

	socket, _, err := websocket.Dial(t.Context(), srv.URL+"/app/key?protocol=7", nil)
	require.NoError(t, err)
	defer func() { _ = socket.CloseNow() }()
	feed, err := http.Get(srv.URL + "/sse/app/key?channels=room")
	require.NoError(t, err)
	defer func() { _ = feed.Body.Close() }()
	poll, err := http.Post(srv.URL+"/app/key/7/abcdefgh/xhr?protocol=7", "text/plain", strings.NewReader(""))
	require.NoError(t, err)
	require.NoError(t, poll.Body.Close())

	s := h.Stats()
	assert.EqualValues(t, 1, s.WebSocket.Open)
	assert.Equal(t, 1, s.Feeds.Connections)
	assert.Equal(t, 1, s.XHR.Sessions)
	assert.Zero(t, s.Webhooks)
}

// Clients take no other message for the first one of a connection.
func TestTheWelcomeComesBeforeWhatHooksSend(t *testing.T) {
	subscribed := make(chan error, 1)
	b, err := broker.New(broker.WithHooks(broker.Hooks{Connected: func(_ context.Context, c broker.SessionChange) {
		subscribed <- c.Session.Subscribe(c.Session.Context(), broker.SubscribeRequest{Channel: "news"})
	}}))
	require.NoError(t, err)
	apps, err := pusher.NewApps(pusher.App{ID: "1", Key: "key", Secret: "secret"})
	require.NoError(t, err)
	c := dialMemory(t, newHandler(t, b, apps))
	require.NoError(t, <-subscribed)
	for _, event := range []string{"pusher:connection_established", "pusher_internal:subscription_succeeded"} {
		message, err := c.Receive(t.Context())
		require.NoError(t, err)
		assert.Contains(t, string(message), `"event":"`+event+`"`)
	}
	c.Close(1000, "")
	require.NoError(t, b.Shutdown(t.Context()))
}
