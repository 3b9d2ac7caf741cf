package pusher_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/memory"
)

// panicking is a store with a mistake.
type panicking struct{ storage.History }

func (panicking) Read(context.Context, storage.ChannelID, storage.ReadOptions) (storage.Page, error) {
	panic("store of the test")
}

func TestAStoreThatPanicsEndsTheConnection(t *testing.T) {
	var log bytes.Buffer
	b, err := broker.New(broker.WithLogger(slog.New(slog.NewTextHandler(&log, nil))), broker.WithHistory(panicking{}))
	require.NoError(t, err)
	apps, err := pusher.NewApps(pusher.App{ID: "1", Key: "key", Secret: "secret"})
	require.NoError(t, err)
	c := dialMemory(t, newHandler(t, b, apps))
	require.NoError(t, c.Send([]byte(`{"event":"pusher:subscribe","data":{"channel":"cache-room"}}`)))
	code, _ := c.CloseStatus()
	assert.Equal(t, transport.StatusInternal, code)
	assert.Contains(t, log.String(), "store of the test")
	assert.Contains(t, log.String(), "panic_test.go")
	assert.Zero(t, b.Stats().Sessions)
	require.NoError(t, b.Shutdown(t.Context()))
}

func dialMemory(t *testing.T, h *pusher.Handler) *memory.Client {
	return memory.Connect(h.Open(t.Context(), pusher.Dial{Key: "key", Protocol: "7"}))
}
