package broker_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
)

// A client that may amend nothing gives the store no work.
func TestWhatNoHookCanAllowIsNotLookedFor(t *testing.T) {
	store := &searched{Store: memory.New()}
	kit := brokertest.New(t, broker.WithHistory(store), keeping(10))
	ann := kit.Connect(t)
	ann.Subscribe("private-room")
	id := publishTo(t, kit, "private-room", "x").ID
	ann.Expect("message", "private-room")
	for _, id := range []string{id, "none"} {
		ann.Trigger("private-room", "client-carillon-retract", map[string]string{"id": id})
		assert.Contains(t, ann.Expect("pusher:error", "").Data, "lets clients amend no events")
	}
	assert.Zero(t, store.targets)
}

// A version that a hook asks for is final, as one that the caller asks for is.
func TestAVersionFromAHookIsNotTriedAgain(t *testing.T) {
	asked := 0
	kit := brokertest.New(t, keeping(10), broker.WithHooks(broker.Hooks{Amend: func(_ context.Context, r *broker.AmendRequest) error {
		version := uint64(7)
		r.Version = &version
		if asked++; asked > 3 {
			return broker.Refuse(403, "asked too often")
		}
		return nil
	}}))
	_, err := kit.App.Retract(t.Context(), "room", publishTo(t, kit, "room", "x").ID)
	require.ErrorIs(t, err, storage.ErrStaleVersion)
	assert.Equal(t, 1, asked)
}

// Subscribers are told what was added as text, which half a character cannot be.
func TestHalfACharacterIsNotAppended(t *testing.T) {
	kit := brokertest.New(t, keeping(10))
	id := publishTo(t, kit, "room", "x").ID
	_, err := kit.App.Append(t.Context(), "room", id, []byte("世")[:2])
	require.ErrorIs(t, err, broker.ErrInvalid)
	assert.ErrorContains(t, err, "UTF-8")
	assert.Equal(t, []string{"message x"}, historyOf(t, kit, "room"))
}
