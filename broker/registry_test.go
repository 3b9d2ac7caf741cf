package broker_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
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
				infos, err := kit.App.Channels(t.Context(), "")
				require.NoError(rt, err)
				for _, info := range infos {
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
	kit := brokertest.New(t, broker.WithHooks(broker.Hooks{SubscriptionCount: func(c broker.ChannelChange) {
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
