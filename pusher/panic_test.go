package pusher_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/transport/memory"
)

// panicking is a store with a mistake.
type panicking struct{ storage.History }

func (panicking) Read(context.Context, storage.ChannelID, storage.ReadOptions) (storage.Page, error) {
	panic("store of the test")
}

func TestAStoreThatPanicsRefuses(t *testing.T) {
	var log bytes.Buffer
	b, err := broker.New(broker.WithLogger(slog.New(slog.NewTextHandler(&log, nil))), broker.WithHistory(panicking{}))
	require.NoError(t, err)
	apps, err := pusher.NewApps(pusher.App{ID: "1", Key: "key", Secret: "secret"})
	require.NoError(t, err)
	c := dialMemory(t, newHandler(t, b, apps))
	require.NoError(t, c.Send([]byte(`{"event":"pusher:subscribe","data":{"channel":"cache-room"}}`)))
	code, _ := c.CloseStatus()
	assert.Zero(t, code)
	var last []byte
	for m, ok := c.TryReceive(); ok; m, ok = c.TryReceive() {
		last = m
	}
	assert.Contains(t, string(last), `\"status\":500`)
	assert.NotContains(t, string(last), "store of the test")
	assert.Contains(t, log.String(), "store of the test")
	assert.Contains(t, log.String(), "panic_test.go")
	require.NoError(t, b.Shutdown(t.Context()))
}

// TestAStoreThatPanicsOpensNoFeed: its session must not count for ever.
func TestAStoreThatPanicsOpensNoFeed(t *testing.T) {
	kit := brokertest.New(t, broker.WithLogger(slog.New(slog.DiscardHandler)), broker.WithHistory(panicking{}))
	kit.Config.MaxConnections = 1
	for range 3 {
		w := httptest.NewRecorder()
		kit.Handler.ServeHTTP(w, httptest.NewRequest("GET", "/sse/app/"+brokertest.Key+"?channels=cache-room", nil))
		assert.Equal(t, http.StatusInternalServerError, w.Code, w.Body.String())
	}
	stats := kit.Broker.Stats()
	assert.EqualValues(t, 6, stats.StorePanics, "asked where the channel stands, and for the event")
	assert.Zero(t, stats.Sessions)
	assert.Zero(t, stats.Channels)
	kit.Connect(t)
}

// wildApps find what they are told to, or do anything else.
type wildApps struct {
	pusher.Apps
	do atomic.Pointer[func()]
}

func (w *wildApps) set(do func()) { w.do.Store(&do) }

func (w *wildApps) AppByKey(ctx context.Context, key string) (*pusher.App, error) {
	(*w.do.Load())()
	return w.Apps.AppByKey(ctx, key)
}

func (w *wildApps) AppByID(ctx context.Context, id string) (*pusher.App, error) {
	(*w.do.Load())()
	return w.Apps.AppByID(ctx, id)
}

func TestALookupThatPanicsOrHangsFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		static, err := pusher.NewApps(pusher.App{ID: "1", Key: "key", Secret: "secret", EncryptionMasterKey: []byte(brokertest.MasterKey)})
		require.NoError(t, err)
		b, err := broker.New(broker.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		require.NoError(t, err)
		apps := &wildApps{Apps: static}
		h := newHandler(t, b, apps)
		release := make(chan struct{})
		lookups := map[string]func(){
			"connect": func() {
				code, _ := dialMemory(t, h).CloseStatus()
				assert.Equal(t, 4100, code)
			},
			"feed": func() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest("GET", "/sse/app/key?channels=room", nil))
				assert.Equal(t, http.StatusInternalServerError, w.Code)
			},
			"api": func() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest("POST", "/apps/1/events", strings.NewReader("{}")))
				assert.Equal(t, http.StatusInternalServerError, w.Code)
			},
			"publish": func() {
				_, err := b.App("1").Publish(t.Context(), "private-encrypted-room", "message", nil)
				assert.Error(t, err)
			},
		}
		n := int64(0)
		for name, do := range lookups {
			n++
			apps.set(func() { panic("apps of the test") })
			do()
			assert.Equal(t, n, h.Stats().LookupPanics, name)
			apps.set(func() { <-release })
			start := time.Now()
			do()
			assert.Equal(t, b.StoreTimeout(), time.Since(start), name)
			assert.Equal(t, n, h.Stats().LookupTimeouts, name)
		}
		assert.Contains(t, log.String(), "panic_test.go")
		close(release)
		require.NoError(t, b.Shutdown(t.Context()))
	})
}

func dialMemory(t *testing.T, h *pusher.Handler) *memory.Client {
	return pusher.Connect(t, h.Open(t.Context(), pusher.Dial{Key: "key", Protocol: "7"}))
}
