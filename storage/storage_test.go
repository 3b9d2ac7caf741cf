package storage_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

var room = storage.ChannelID{App: "app", Name: "room"}

func TestGapError(t *testing.T) {
	var err error = &storage.GapError{
		Channel: room,
		From:    storage.Position{Epoch: storage.Epoch{Number: 1}, Offset: 3},
		Oldest:  storage.Position{Epoch: storage.Epoch{Number: 2}, Offset: 7},
		Latest:  storage.Position{Epoch: storage.Epoch{Number: 2}, Offset: 9},
	}
	require.ErrorIs(t, err, storage.ErrGap)
	assert.False(t, errors.Is(err, storage.ErrMemberLimit))
	assert.EqualError(t, err, `channel "room": history cannot be continued from this position: asked for 0000000000100000000000:3, kept is 0000000000200000000000:7 and later, the latest is 0000000000200000000000:9`)
	var gap *storage.GapError
	require.ErrorAs(t, fmt.Errorf("resume: %w", err), &gap)
	assert.Equal(t, uint64(3), gap.From.Offset)
}

func TestMemberLimitError(t *testing.T) {
	var err error = &storage.MemberLimitError{Channel: room, Limit: 100}
	require.ErrorIs(t, err, storage.ErrMemberLimit)
	assert.False(t, errors.Is(err, storage.ErrGap))
	assert.EqualError(t, err, `channel "room": presence channel is full: the limit is 100 members`)
	var full *storage.MemberLimitError
	require.ErrorAs(t, fmt.Errorf("subscribe: %w", err), &full)
	assert.Equal(t, 100, full.Limit)
}

func TestKeyReusedError(t *testing.T) {
	var err error = &storage.KeyReusedError{Channel: room, Key: "order-1", Position: storage.Position{Epoch: storage.Epoch{Number: 1}, Offset: 3}}
	require.ErrorIs(t, err, storage.ErrKeyReused)
	assert.False(t, errors.Is(err, storage.ErrKeyInFlight))
	assert.EqualError(t, err, `channel "room": idempotency key was used for another request: "order-1"`)
	var reused *storage.KeyReusedError
	require.ErrorAs(t, fmt.Errorf("publish: %w", err), &reused)
	assert.Equal(t, uint64(3), reused.Position.Offset)
}

func TestChannelIDString(t *testing.T) {
	assert.Equal(t, "app/room", room.String())
	assert.Equal(t, "app/", storage.ChannelID{App: "app"}.String())
}
