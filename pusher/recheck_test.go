package pusher

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/transport/memory"
)

// appList is a list that a test changes.
type appList struct {
	atomic.Pointer[StaticApps]
	failing atomic.Bool
	// meanwhile happens between a look-up and its answer.
	meanwhile func()
}

func (a *appList) AppByKey(ctx context.Context, key string) (*App, error) {
	app, err := a.Load().AppByKey(ctx, key)
	if a.meanwhile != nil {
		a.meanwhile()
	}
	return app, err
}

func (a *appList) AppByID(ctx context.Context, id string) (*App, error) {
	if a.failing.Load() {
		return nil, errors.New("no answer")
	}
	return a.Load().AppByID(ctx, id)
}

func (a *appList) set(t *testing.T, apps ...App) {
	made, err := NewApps(apps...)
	require.NoError(t, err)
	a.Store(made)
}

func TestRecheckClosesWhatIsRefusedNow(t *testing.T) {
	stays, goes, off := App{ID: "1", Key: "stays", Secret: "s"}, App{ID: "2", Key: "goes", Secret: "s"}, App{ID: "3", Key: "off", Secret: "s"}
	apps := &appList{}
	apps.set(t, stays, goes, off)
	b, err := broker.New(broker.WithDrainWindow(0))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Shutdown(context.Background())) })
	h, err := NewHandler(b, apps)
	require.NoError(t, err)
	clients := make(map[string]*memory.Client)
	for _, key := range []string{"stays", "goes", "off"} {
		clients[key] = Connect(t, h.Open(context.Background(), Dial{Key: key, Protocol: "7"}))
	}

	code := func(key string) int {
		for {
			if _, err := clients[key].Receive(t.Context()); err != nil {
				code, _ := clients[key].CloseStatus()
				return code
			}
		}
	}

	closed, err := h.Recheck(t.Context())
	require.NoError(t, err)
	require.Zero(t, closed, "nothing has changed")

	apps.failing.Store(true)
	closed, err = h.Recheck(t.Context())
	require.ErrorContains(t, err, "no answer")
	require.Zero(t, closed, "nobody is closed for a look-up that fails")
	apps.failing.Store(false)

	off.Disabled, stays.Secret = true, "changed"
	apps.set(t, stays, off)
	closed, err = h.Recheck(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, closed)
	require.Equal(t, 4001, code("goes"))
	require.Equal(t, 4003, code("off"))
	require.NoError(t, clients["stays"].Send([]byte(`{"event":"pusher:ping","data":{}}`)))
	require.Equal(t, 1, b.App("1").SessionCount())
	require.Zero(t, b.App("2").SessionCount()+b.App("3").SessionCount())
}

// TestRecheckClosesWhoIsConnecting holds that nobody slips in between the look-up of an app
// and the list of those who are connected.
func TestRecheckClosesWhoIsConnecting(t *testing.T) {
	goes := App{ID: "1", Key: "goes", Secret: "s"}
	b, err := broker.New(broker.WithDrainWindow(0))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Shutdown(context.Background())) })
	apps := &appList{}
	h, err := NewHandler(b, apps)
	require.NoError(t, err)
	apps.meanwhile = func() {
		apps.set(t)
		_, err := h.Recheck(t.Context())
		assert.NoError(t, err)
	}

	apps.set(t, goes)
	client := Connect(t, h.Open(context.Background(), Dial{Key: "goes", Protocol: "7"}))
	for err == nil {
		_, err = client.Receive(t.Context())
	}
	code, _ := client.CloseStatus()
	require.Equal(t, 4001, code)

	apps.set(t, goes)
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/sse/app/goes?channels=news", nil))
	require.Zero(t, b.App("1").SessionCount(), "the feed has ended: %s", answer.Body)
}

// TestChangesReachConnections changes an app's secret, in the steps that App.OtherSecrets
// names, under a connection that lasts.
func TestChangesReachConnections(t *testing.T) {
	apps := &appList{}
	apps.set(t, App{ID: "1", Key: "key", Secret: "old"})
	b, err := broker.New(broker.WithDrainWindow(0))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Shutdown(context.Background())) })
	h, err := NewHandler(b, apps)
	require.NoError(t, err)
	client := Connect(t, h.Open(context.Background(), Dial{Key: "key", Protocol: "7"}))
	receive := func() string {
		m, err := client.Receive(t.Context())
		require.NoError(t, err)
		return string(m)
	}
	_, id, _ := strings.Cut(receive(), `socket_id\":\"`)
	id, _, _ = strings.Cut(id, `\"`)
	subscribe := func(channel, secret string) string {
		auth, err := SignChannel(&App{Key: "key", Secret: secret}, id, channel, "")
		require.NoError(t, err)
		require.NoError(t, client.Send(fmt.Appendf(nil, `{"event":"pusher:subscribe","data":{"channel":%q,"auth":%q}}`, channel, auth)))
		return receive()
	}
	for step, app := range []App{
		{ID: "1", Key: "key", Secret: "old", OtherSecrets: []string{"new"}},
		{ID: "1", Key: "key", Secret: "new", OtherSecrets: []string{"old"}},
	} {
		apps.set(t, app)
		_, err = h.Recheck(t.Context())
		require.NoError(t, err)
		require.Contains(t, subscribe(fmt.Sprint("private-new", step), "new"), "subscription_succeeded")
		require.Contains(t, subscribe(fmt.Sprint("private-old", step), "old"), "subscription_succeeded")
	}
	apps.set(t, App{ID: "1", Key: "key", Secret: "new", DisableClientEvents: true})
	_, err = h.Recheck(t.Context())
	require.NoError(t, err)
	require.Contains(t, subscribe("private-last", "old"), "subscription_error")
	require.Contains(t, receive(), "Invalid signature")
	require.NoError(t, client.Send([]byte(`{"event":"client-typing","channel":"private-new0","data":{}}`)))
	require.Contains(t, receive(), "client events", "they are off")
}
