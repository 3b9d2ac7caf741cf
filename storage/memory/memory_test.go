package memory_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
	"github.com/carillon-rt/carillon/storage/storagetest"
)

func TestStore(t *testing.T) {
	storagetest.Run(t, func(*testing.T) storagetest.Store { return memory.New() }, storagetest.WithSynctest())
}

func TestSharedStore(t *testing.T) {
	storagetest.Run(t, func(*testing.T) storagetest.Store { return memory.New(memory.WithShared()) }, storagetest.WithSynctest())
}

// A store that forgets channels at once has to keep the same promises.
func TestStoreThatForgetsAtOnce(t *testing.T) {
	storagetest.Run(t, func(*testing.T) storagetest.Store {
		return memory.New(memory.WithForgetAfter(0))
	}, storagetest.WithSynctest())
}

func TestLastSeenLimit(t *testing.T) {
	for limit, remembered := range map[int][]bool{
		-1: {false, false, false}, 0: {false, false, false}, 1: {true, false, false}, 2: {true, false, true}, 3: {true, true, true},
	} {
		store := memory.New(memory.WithLastSeenLimit(limit))
		ch, conn := storage.ChannelID{App: "app", Name: "presence-room"}, storage.Connection{Node: "node", ID: "1"}
		visit := func(userID string) {
			_, err := store.Join(t.Context(), ch, conn, storage.Member{UserID: userID}, storage.JoinOptions{})
			require.NoError(t, err)
			_, err = store.Leave(t.Context(), ch, conn)
			require.NoError(t, err)
		}
		for _, id := range []string{"ann", "bob", "eve", "ann"} {
			visit(id)
		}
		for i, id := range []string{"ann", "bob", "eve"} {
			seen, err := store.LastSeen(t.Context(), ch, []string{id})
			require.NoError(t, err)
			require.Equal(t, remembered[i], !seen[0].IsZero(), "limit %d: %s", limit, id)
		}
	}
}
