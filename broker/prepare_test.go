package broker_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
)

// commit does what a store with transactions does when one commits.
func commit(t *testing.T, store storage.History, p storage.Prepared) storage.Appended {
	t.Helper()
	out, err := store.Append(t.Context(), p.Channel, p.Event, p.Options)
	require.NoError(t, err)
	return out
}

func TestAPreparedEventGoesOutWhenItIsAppended(t *testing.T) {
	store := memory.New(memory.WithShared())
	var asked, told []string
	kit := brokertest.New(t, broker.WithHistory(store), keeping(10), broker.WithHooks(broker.Hooks{
		Publish: func(_ context.Context, r *broker.PublishRequest) error {
			asked = append(asked, r.Event)
			r.Data = append(r.Data, '!')
			return nil
		},
		Published: func(_ context.Context, c broker.EventChange) { told = append(told, c.Event.ID) },
	}))
	ann, bob := kit.Connect(t), kit.Connect(t)
	ann.Subscribe("room")
	bob.Subscribe("room")

	p, err := kit.App.Prepare(t.Context(), "room", "message", []byte("hi"),
		broker.Exclude(bob.SocketID()), broker.AsUser("eve"), broker.IdempotencyKey("k"))
	require.NoError(t, err)
	assert.Equal(t, []string{"message"}, asked)
	assert.NotEmpty(t, p.Event.ID)
	assert.Nil(t, p.Amendment)
	ann.ExpectNothing()
	for range kit.App.History(t.Context(), "room") {
		t.Fatal("what is prepared is in the history")
	}

	_, err = kit.App.Publish(t.Context(), "room", "message", []byte("first"))
	require.NoError(t, err)
	ann.Expect("message", "room")
	bob.Expect("message", "room")

	assert.EqualValues(t, 2, commit(t, store, p).Position.Offset)
	got := ann.Expect("message", "room")
	assert.Equal(t, "hi!", got.Data)
	assert.Equal(t, "eve", got.UserID)
	bob.ExpectNothing()
	assert.True(t, commit(t, store, p).Duplicate)
	ann.ExpectNothing()

	require.NoError(t, kit.Broker.Shutdown(t.Context()))
	assert.Contains(t, told, p.Event.ID)
}

func TestPrepareRefusesAsPublishDoes(t *testing.T) {
	limits, err := ratelimit.New(nil, ratelimit.PublishesPerApp(0.001, 1))
	require.NoError(t, err)
	kit := brokertest.New(t, broker.WithRateLimits(limits), broker.WithChannelRules(
		broker.ChannelRule{Pattern: "private-*", History: broker.Retention{Events: 1}},
		broker.ChannelRule{Pattern: "room", History: broker.Retention{Events: 1}}))
	for _, c := range []struct {
		channel, event string
		want           error
	}{
		{"a b", "message", broker.ErrInvalid},
		{"room", "pusher:x", broker.ErrInvalid},
		{"other", "message", broker.ErrNotKept},
		{"room", "message", nil}, // takes what the rate limit allows
		{"room", "message", ratelimit.ErrLimited},
	} {
		_, err := kit.App.Prepare(t.Context(), c.channel, c.event, []byte("x"))
		require.ErrorIs(t, err, c.want, c.channel)
	}
}

func TestPrepareSeals(t *testing.T) {
	store := memory.New(memory.WithShared())
	kit := brokertest.New(t, broker.WithHistory(store), keeping(10))
	ann := kit.Connect(t)
	ann.Subscribe("private-encrypted-room")
	p, err := kit.App.Prepare(t.Context(), "private-encrypted-room", "message", []byte("secret"))
	require.NoError(t, err)
	assert.NotContains(t, string(p.Event.Data), "secret")
	commit(t, store, p)
	assert.Equal(t, string(p.Event.Data), ann.Expect("message", "private-encrypted-room").Data)

	bare, err := broker.New(keeping(10))
	require.NoError(t, err)
	_, err = bare.App("1").Prepare(t.Context(), "private-encrypted-room", "message", []byte("secret"))
	require.ErrorIs(t, err, broker.ErrNoCipher)
	require.NoError(t, bare.Shutdown(t.Context()))
}
