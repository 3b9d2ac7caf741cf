package broker_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
)

func TestLookingIntoABroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t, broker.WithChannelRules(
			broker.ChannelRule{Pattern: "kept-*", History: broker.Retention{Events: 5}}))
		start := time.Now()
		ann := kit.Connect(t)
		time.Sleep(time.Minute)
		bob := kit.Connect(t)
		ann.Subscribe("room")
		ann.Subscribe("kept-1")
		bob.Subscribe("room")
		bob.SubscribeAs("presence-x", "bob", `{}`)
		sub, err := kit.App.Subscribe(t.Context(), "room")
		require.NoError(t, err)
		t.Cleanup(sub.Close)

		since := make(map[string]time.Duration)
		for s := range kit.Broker.Sessions() {
			since[s.ID()] = s.Since().Sub(start)
		}
		assert.Equal(t, map[string]time.Duration{ann.SocketID(): 0, bob.SocketID(): time.Minute}, since)

		open := make(map[string]broker.OpenChannel)
		for c := range kit.Broker.OpenChannels() {
			open[c.ID.Name] = c
		}
		app := kit.App.ID()
		assert.Equal(t, map[string]broker.OpenChannel{
			"room":       {ID: broker.ChannelID{App: app, Name: "room"}, Sessions: 2, InProcess: 1},
			"kept-1":     {ID: broker.ChannelID{App: app, Name: "kept-1"}, Rule: "kept-*", Sessions: 1},
			"presence-x": {ID: broker.ChannelID{App: app, Name: "presence-x"}, Kind: broker.Presence, Sessions: 1},
		}, open)

		some, total, err := kit.App.Subscribers("room", 1)
		require.NoError(t, err)
		assert.Len(t, some, 1)
		assert.Equal(t, 2, total)
		some, _, err = kit.App.Subscribers("presence-x", 10)
		require.NoError(t, err)
		require.Len(t, some, 1)
		assert.Equal(t, "bob", some[0].UserID)
		assert.Equal(t, bob.SocketID(), some[0].Session.ID())
		some, total, err = kit.App.Subscribers("nobody", 10)
		require.NoError(t, err)
		assert.Empty(t, some)
		assert.Zero(t, total)

		channels, total := kit.Broker.Session(bob.SocketID()).Channels(10)
		assert.Equal(t, 2, total)
		assert.Len(t, channels, 2)
		channels, _ = kit.Broker.Session(bob.SocketID()).Channels(1)
		assert.Len(t, channels, 1)
		bob.Unsubscribe("room")
		synctest.Wait()
		channels, _ = kit.Broker.Session(bob.SocketID()).Channels(10)
		require.Len(t, channels, 1)
		assert.Equal(t, "presence-x", channels[0].Channel)

		rule, err := kit.App.Rule("kept-1")
		require.NoError(t, err)
		assert.Equal(t, 5, rule.Retention("kept-1").Events)
		rule, err = kit.App.Rule("cache-a")
		require.NoError(t, err)
		assert.Equal(t, 1, rule.Retention("cache-a").Events)

		for _, bad := range []string{"", "a b", "ü"} {
			_, _, err := kit.App.Subscribers(bad, 1)
			assert.ErrorIs(t, err, broker.ErrInvalid, bad)
			_, err = kit.App.Rule(bad)
			assert.ErrorIs(t, err, broker.ErrInvalid, bad)
		}
		store := kit.Broker.Store()
		assert.Equal(t, "memory.Store", store.Name)
		assert.False(t, store.Durable)
		assert.True(t, store.Amend)
	})
}

func TestLookingIntoAnApp(t *testing.T) {
	kit := brokertest.New(t)
	ann, bob := kit.Connect(t), kit.Connect(t)
	ann.Subscribe("room")
	ann.Subscribe("hall")
	bob.Subscribe("room")
	assert.Equal(t, []string{kit.App.ID()}, kit.Broker.Apps())
	assert.Equal(t, 2, kit.App.SessionCount())
	assert.Equal(t, 2, kit.App.ChannelCount())
	var ids []string
	for s := range kit.App.Sessions() {
		ids = append(ids, s.ID())
	}
	assert.ElementsMatch(t, []string{ann.SocketID(), bob.SocketID()}, ids)
	other := kit.Broker.App("other")
	assert.NotNil(t, kit.App.Session(ann.SocketID()))
	assert.Nil(t, other.Session(ann.SocketID()))
	for range other.Sessions() {
		t.Error("of another app")
	}
	assert.Zero(t, other.SessionCount()+other.ChannelCount())
	kit.App.Session(bob.SocketID()).Close(broker.CloseTerminated)
	assert.Equal(t, 4009, bob.CloseCode())
	assert.Equal(t, 1, kit.App.SessionCount())
}
