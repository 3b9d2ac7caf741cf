package broker_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
)

// TestRegistryModel subscribes, unsubscribes, publishes and disconnects at
// random, and compares who gets what, and which channels exist, with plain maps.
func TestRegistryModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		kit := brokertest.New(t)
		channels := []string{"a", "b", "private-c", "cache-d"}
		clients := make([]*brokertest.Client, 4)
		subscribed := map[string]map[int]bool{}
		for _, name := range channels {
			subscribed[name] = map[int]bool{}
		}
		for i := range clients {
			clients[i] = kit.Connect(t)
		}
		cached := false
		published := 0
		draw := func(rt *rapid.T) (string, int) {
			return rapid.SampledFrom(channels).Draw(rt, "channel"), rapid.IntRange(0, len(clients)-1).Draw(rt, "client")
		}
		rt.Repeat(map[string]func(*rapid.T){
			"subscribe": func(rt *rapid.T) {
				channel, i := draw(rt)
				if subscribed[channel][i] {
					rt.Skip("is subscribed")
				}
				subscribed[channel][i] = true
				clients[i].Subscribe(channel)
				if channel == "cache-d" && cached {
					clients[i].Expect("message", channel)
				} else if channel == "cache-d" {
					clients[i].Expect("pusher:cache_miss", channel)
				}
			},
			"unsubscribe": func(rt *rapid.T) {
				channel, i := draw(rt)
				delete(subscribed[channel], i)
				clients[i].Unsubscribe(channel)
			},
			"reconnect": func(rt *rapid.T) {
				_, i := draw(rt)
				clients[i].Close()
				for _, subs := range subscribed {
					delete(subs, i)
				}
				clients[i] = kit.Connect(t)
			},
			"publish": func(rt *rapid.T) {
				channel, excluded := draw(rt)
				published++
				data := fmt.Sprint(published)
				_, err := kit.App.Publish(t.Context(), channel, "message", []byte(data), broker.Exclude(clients[excluded].SocketID()))
				require.NoError(rt, err)
				cached = cached || channel == "cache-d"
				for i := range subscribed[channel] {
					if i != excluded {
						assert.Equal(rt, data, clients[i].Expect("message", channel).Data)
					}
				}
			},
			"": func(rt *rapid.T) {
				occupied := map[string]int{}
				for name, subs := range subscribed {
					if len(subs) > 0 {
						occupied[name] = len(subs)
					}
				}
				got := map[string]int{}
				for info, err := range kit.App.Channels(t.Context(), "") {
					require.NoError(rt, err)
					got[info.Name] = info.SubscriptionCount
				}
				assert.Equal(rt, occupied, got)
				assert.EqualValues(rt, len(occupied), kit.Broker.Stats().Channels, "empty channels are removed")
				for _, c := range clients {
					c.ExpectNothing()
				}
			},
		})
		for _, c := range clients {
			c.Close()
		}
		assert.Zero(rt, kit.Broker.Stats().Channels)
		assert.Zero(rt, kit.Broker.Stats().Sessions)
	})
}

// countedPresence counts how often it is asked for counts, and of how many channels.
type countedPresence struct {
	storage.Presence
	calls, channels atomic.Int64
}

func (p *countedPresence) Counts(ctx context.Context, channels []storage.ChannelID) ([]storage.Count, error) {
	p.calls.Add(1)
	p.channels.Add(int64(len(channels)))
	return p.Presence.Counts(ctx, channels)
}

// TestChannelsAreThoseOfTheApp lists the channels of one of two apps: the store is
// asked for the members of that one's presence channels, many at a time.
func TestChannelsAreThoseOfTheApp(t *testing.T) {
	store := &countedPresence{Presence: memory.New()}
	br := newBroker(t, broker.WithPresence(store))
	defer func() { assert.NoError(t, br.Shutdown(t.Context())) }()
	const rooms = 2500
	want := map[string]broker.ChannelInfo{}
	for _, app := range []string{"1", "2"} {
		s, err := br.Connect(t.Context(), broker.ConnectOptions{
			ConnectRequest: broker.ConnectRequest{App: app}, Conn: &sink{}, Protocol: &plain{}})
		require.NoError(t, err)
		defer s.End(1000)
		for i := range rooms {
			for _, name := range []string{fmt.Sprint("presence-room-", i), fmt.Sprint("room-", i)} {
				require.NoError(t, s.Subscribe(t.Context(), broker.SubscribeRequest{
					Channel: name, Authorized: true, Member: &broker.Member{UserID: "ann"}}))
				if i%3 == 0 {
					s.Unsubscribe(t.Context(), name)
				} else if app == "1" {
					want[name] = broker.ChannelInfo{Name: name, Occupied: true, SubscriptionCount: 1}
				}
			}
		}
	}
	local, err := br.App("1").Subscribe(t.Context(), "of-the-program") // counts for nothing
	require.NoError(t, err)
	defer local.Close()
	presence := map[string]broker.ChannelInfo{}
	for name, info := range want {
		if strings.HasPrefix(name, "presence-") {
			info.UserCount = 1
			want[name], presence[name] = info, info
		}
	}
	for prefix, want := range map[string]map[string]broker.ChannelInfo{"": want, "presence-": presence, "absent": {}} {
		store.calls.Store(0)
		store.channels.Store(0)
		got := map[string]broker.ChannelInfo{}
		for info, err := range br.App("1").Channels(t.Context(), prefix) {
			require.NoError(t, err)
			_, twice := got[info.Name]
			assert.False(t, twice, info.Name)
			got[info.Name] = info
		}
		assert.Equal(t, want, got)
		if prefix == "absent" {
			assert.Zero(t, store.calls.Load())
			continue
		}
		assert.EqualValues(t, len(presence), store.channels.Load())
		assert.LessOrEqual(t, store.calls.Load(), int64(len(want)/1000+1))
	}
	for range br.App("3").Channels(t.Context(), "") {
		assert.Fail(t, "app 3 has no channels")
	}
}

// TestChannelsCanBeLeft stops after the first, and has no more of them described than
// come at once; a context that has ended is told.
func TestChannelsCanBeLeft(t *testing.T) {
	kit := brokertest.New(t)
	c := kit.Connect(t)
	c.Subscribe("a")
	c.Subscribe("b")
	n := 0
	for _, err := range kit.App.Channels(t.Context(), "") {
		assert.NoError(t, err)
		n++
		break
	}
	assert.Equal(t, 1, n)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range kit.App.Channels(ctx, "") {
		assert.ErrorIs(t, err, context.Canceled)
	}
}

// TestDescribeAsksOnce describes channels of several kinds with one call of the store.
func TestDescribeAsksOnce(t *testing.T) {
	store := &countedPresence{Presence: memory.New()}
	kit := brokertest.New(t, broker.WithPresence(store))
	c := kit.Connect(t)
	c.Subscribe("room")
	c.SubscribeAs("presence-a", "ann", "")
	infos, err := kit.App.Describe(t.Context(), "presence-a", "room", "presence-b", "presence-a")
	require.NoError(t, err)
	there := broker.ChannelInfo{Name: "presence-a", Occupied: true, SubscriptionCount: 1, UserCount: 1}
	assert.Equal(t, []broker.ChannelInfo{there, {Name: "room", Occupied: true, SubscriptionCount: 1}, {Name: "presence-b"}, there}, infos)
	assert.EqualValues(t, 1, store.calls.Load())
	_, err = kit.App.Describe(t.Context(), "room", "no name")
	require.ErrorIs(t, err, broker.ErrInvalid)
}

// TestChannelsComeAndGoUnderLoad has goroutines subscribe to few channels and
// leave again, so that channels are created and removed all the time: an event
// published by one that is subscribed always reaches it.
func TestChannelsComeAndGoUnderLoad(t *testing.T) {
	kit := brokertest.New(t)
	const workers, rounds = 8, 300
	names := []string{"a", "b", "c"}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for round := range rounds {
				channel := names[(w+round)%len(names)]
				data := fmt.Sprintf("%d/%d", w, round)
				sub, err := kit.App.Subscribe(t.Context(), channel)
				if !assert.NoError(t, err) {
					return
				}
				_, err = kit.App.Publish(t.Context(), channel, "message", []byte(data))
				if !assert.NoError(t, err) {
					sub.Close()
					return
				}
				for ev, err := range sub.Events() {
					if assert.NoError(t, err) && string(ev.Data) == data {
						break
					}
				}
				sub.Close()
			}
		})
	}
	wg.Wait()
	stats := kit.Broker.Stats()
	assert.Zero(t, stats.Channels)
	assert.Zero(t, stats.InProcessSubscriptions)
	assert.EqualValues(t, workers*rounds, stats.Published)
}

// A channel without subscribers is vacated, not one with a count of nobody.
func TestCountOfNobodyIsNeverTold(t *testing.T) {
	var zeros atomic.Int64
	kit := brokertest.New(t, broker.WithHooks(broker.Hooks{SubscriptionCount: func(_ context.Context, c broker.ChannelChange) {
		if c.SubscriptionCount == 0 {
			zeros.Add(1)
		}
	}}))
	kit.Config.SubscriptionCounts = true
	var wg sync.WaitGroup
	for range 4 {
		c := kit.Connect(t)
		wg.Go(func() {
			for range 500 {
				c.Write(`{"event":"pusher:subscribe","data":{"channel":"room"}}`)
				c.Unsubscribe("room")
			}
		})
	}
	wg.Wait()
	assert.NoError(t, kit.Broker.Shutdown(t.Context()))
	assert.Zero(t, zeros.Load())
}
