package broker

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/internal/alloctest"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
)

// A store that waits for nothing is called as if nothing were around it.
func TestAStoreInMemoryIsCalledForFree(t *testing.T) {
	store := memory.New()
	b, err := New(WithHistory(store), WithPresence(store))
	require.NoError(t, err)
	ch := ChannelID{App: "1", Name: "room"}
	ev := &Event{Name: "message", Data: []byte("x")}
	channels := []ChannelID{ch}
	opts := storage.AppendOptions{Retention: Retention{Events: 1}}
	users := []string{"ann"}
	conn, ann := storage.Connection{Node: "node", ID: "1.1"}, Member{UserID: "ann"}
	allocs := func(h storage.History, p storage.Presence) float64 {
		return alloctest.PerRun(100, func() {
			_, _ = h.Append(t.Context(), ch, ev, opts)
			_, _ = h.Read(t.Context(), ch, storage.ReadOptions{})
			_, _ = h.Latest(t.Context(), channels)
			_, _ = p.Join(t.Context(), ch, conn, ann, storage.JoinOptions{})
			_, _ = p.AreMembers(t.Context(), ch, users)
			_, _ = p.Leave(t.Context(), ch, conn)
		})
	}
	assert.Equal(t, allocs(store, store), allocs(b.history, b.presenceStore))
	require.NoError(t, b.Shutdown(t.Context()))
}
