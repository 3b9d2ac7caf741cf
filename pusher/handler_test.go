package pusher_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/transport/sse"
	"github.com/carillon-rt/carillon/transport/websocket"
	"github.com/carillon-rt/carillon/transport/xhr"
)

func TestHandlersThatMakeNoSense(t *testing.T) {
	b, err := broker.New()
	require.NoError(t, err)
	apps, err := pusher.NewApps(pusher.App{ID: "1", Key: "key", Secret: "secret"})
	require.NoError(t, err)
	for name, test := range map[string]struct {
		b       *broker.Broker
		apps    pusher.Apps
		options []pusher.Option
		text    string
	}{
		"no broker":           {apps: apps, text: "broker is nil"},
		"no apps":             {b: b, text: "apps is nil"},
		"no time-out":         {b: b, apps: apps, options: []pusher.Option{pusher.WithActivityTimeout(0)}, text: `activity timeout "0s" is less than a second`},
		"part of a second":    {b: b, apps: apps, options: []pusher.Option{pusher.WithActivityTimeout(time.Second - 1)}, text: "less than a second"},
		"no HTTP client":      {b: b, apps: apps, options: []pusher.Option{pusher.WithHTTPClient(nil)}, text: "HTTP client is nil"},
		"no range of proxies": {b: b, apps: apps, options: []pusher.Option{pusher.WithTrustedProxies(netip.MustParsePrefix("::1/128"), netip.Prefix{})}, text: "trusted proxies[1]"},
		"WebSockets":          {b: b, apps: apps, options: []pusher.Option{pusher.WithWebSocket(websocket.WithReadLimit(0))}, text: `WithWebSocket: read limit "0" is not positive`},
		"fallback":            {b: b, apps: apps, options: []pusher.Option{pusher.WithXHR(xhr.WithGap(time.Millisecond))}, text: `WithXHR: gap "1ms" is less than a second`},
		"feeds":               {b: b, apps: apps, options: []pusher.Option{pusher.WithFeeds(sse.WithQueueLimits(1, -1))}, text: `WithFeeds: limit of queued bytes "-1" is negative`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := pusher.NewHandler(test.b, test.apps, test.options...)
			require.ErrorIs(t, err, broker.ErrInvalid)
			assert.ErrorContains(t, err, test.text)
		})
	}
	// What failed has left nothing on the broker.
	newHandler(t, b, apps)
	require.NoError(t, b.Shutdown(t.Context()))
	_, err = pusher.NewHandler(b, apps)
	assert.ErrorIs(t, err, broker.ErrShutdown)
}

func TestABrokerHasOneHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took := make(chan string, 10)
		client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			took <- r.URL.Path
			return httptest.NewRecorder().Result(), nil
		})}
		b, err := broker.New()
		require.NoError(t, err)
		apps, err := pusher.NewApps(pusher.App{ID: "1", Key: "key", Secret: "secret",
			Webhooks: []pusher.Webhook{{URL: "http://backend.example/hook", Events: []string{pusher.WebhookChannelOccupied}}}})
		require.NoError(t, err)
		h := newHandler(t, b, apps, pusher.WithHTTPClient(client))
		_, err = pusher.NewHandler(b, apps, pusher.WithHTTPClient(client))
		require.ErrorIs(t, err, pusher.ErrSecondHandler)

		c := dialMemory(t, h)
		require.NoError(t, c.Send([]byte(`{"event":"pusher:subscribe","data":{"channel":"room"}}`)))
		require.NoError(t, b.Shutdown(t.Context()))
		assert.Len(t, took, 1)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
