package main

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coder/websocket"
	pusherhttp "github.com/pusher/pusher-http-go/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRouters connects and publishes through every router.
func TestRouters(t *testing.T) {
	for name, mount := range mounts {
		t.Run(name, func(t *testing.T) {
			b, err := broker.New()
			require.NoError(t, err)
			apps, err := pusher.NewApps(pusher.App{ID: "1", Key: "app-key", Secret: "app-secret"})
			require.NoError(t, err)
			h, err := pusher.NewHandler(b, apps)
			require.NoError(t, err)
			srv := httptest.NewServer(mount(h))
			defer srv.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			defer func() { require.NoError(t, b.Shutdown(ctx)) }()

			ws, _, err := websocket.Dial(ctx, srv.URL+"/realtime/app/app-key?protocol=7", nil)
			require.NoError(t, err)
			defer func() { _ = ws.CloseNow() }()
			read := func() string {
				_, data, err := ws.Read(ctx)
				require.NoError(t, err)
				return string(data)
			}
			assert.Contains(t, read(), "connection_established")
			require.NoError(t, ws.Write(ctx, websocket.MessageText, []byte(`{"event":"pusher:subscribe","data":{"channel":"room"}}`)))
			assert.Contains(t, read(), "subscription_succeeded")

			sdk := pusherhttp.Client{AppID: "1", Key: "app-key", Secret: "app-secret", Host: srv.Listener.Addr().String() + "/realtime", HTTPClient: srv.Client()}
			require.NoError(t, sdk.Trigger("room", "message", "hello"))
			assert.JSONEq(t, `{"event":"message","channel":"room","data":"hello"}`, read())

			// pusher-js with the wsPath "/realtime/".
			doubled, _, err := websocket.Dial(ctx, srv.URL+"/realtime//app/app-key?protocol=7", nil)
			require.NoError(t, err)
			require.NoError(t, doubled.CloseNow())
		})
	}
}
