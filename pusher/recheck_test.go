package pusher

import (
	"context"
	"errors"
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
}

func (a *appList) AppByKey(ctx context.Context, key string) (*App, error) {
	return a.Load().AppByKey(ctx, key)
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
