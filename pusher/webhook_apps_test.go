package pusher

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
)

// changingApps is one app that changes, in a place that may hang.
type changingApps struct {
	mu      sync.Mutex
	app     App           // guarded by mu
	lookups int           // guarded by mu: by ID
	hangs   chan struct{} // guarded by mu
}

func (c *changingApps) AppByKey(context.Context, string) (*App, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	app := c.app
	return &app, nil
}

func (c *changingApps) AppByID(ctx context.Context, _ string) (*App, error) {
	c.mu.Lock()
	c.lookups++
	app, hangs := c.app, c.hangs
	c.mu.Unlock()
	if hangs != nil {
		<-hangs
	}
	return &app, nil
}

func (c *changingApps) set(hooks []Webhook, hangs chan struct{}) (lookups int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.app.Webhooks, c.hangs = hooks, hangs
	lookups, c.lookups = c.lookups, 0
	return lookups
}

func TestWebhooksKnowTheirApps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(nil)
		apps := &changingApps{app: App{ID: "1", Key: "key", Secret: "secret"}}
		b, err := broker.New()
		require.NoError(t, err)
		h, err := NewHandler(b, apps, WithHTTPClient(&http.Client{Transport: r}))
		require.NoError(t, err)
		hooks := []Webhook{{URL: hookURL, Events: []string{WebhookCacheMiss, WebhookChannelVacated}}}
		client := Connect(t, h.Open(t.Context(), Dial{Key: "key", Protocol: "7"}))
		wants := h.webhooks.apps.wants
		miss := func() []string {
			before := len(r.names())
			require.NoError(t, client.Send([]byte(`{"event":"pusher:subscribe","data":{"channel":"cache-room"}}`)))
			require.NoError(t, client.Send([]byte(`{"event":"pusher:unsubscribe","data":{"channel":"cache-room"}}`)))
			synctest.Wait()
			return r.names()[before:]
		}
		for range 50 {
			assert.Empty(t, miss())
		}
		assert.Zero(t, apps.set(hooks, nil), "it was known from the connection")
		assert.False(t, wants("1", broker.HookCacheMissed))

		time.Sleep(appsFresh)
		_ = miss() // looks it up, for the next
		assert.True(t, wants("1", broker.HookCacheMissed))
		assert.True(t, wants("1", broker.HookChannelOccupied), "which undoes that it was vacated")
		assert.False(t, wants("1", broker.HookClientEventSent))
		assert.False(t, wants("1", broker.HookMemberJoined))
		for range 50 {
			assert.Equal(t, []string{"cache_miss cache-room"}, miss())
		}
		release := make(chan struct{})
		assert.Equal(t, 1, apps.set(nil, release))

		time.Sleep(appsFresh)
		start := time.Now()
		for range 50 {
			assert.Equal(t, []string{"cache_miss cache-room"}, miss(), "what was known holds while the look-up hangs")
		}
		assert.Zero(t, time.Since(start))
		time.Sleep(b.StoreTimeout())
		assert.Equal(t, []string{"cache_miss cache-room"}, miss(), "and after it has failed")
		assert.Equal(t, 1, apps.set(nil, nil))
		close(release)
		time.Sleep(appsFresh)
		_ = miss()
		assert.Empty(t, miss())
		require.NoError(t, b.Shutdown(t.Context()))
	})
}
