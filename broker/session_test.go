package broker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/ratelimit"
)

// subscribeFrame is a signed subscription to a presence channel.
func subscribeFrame(t *testing.T, c *brokertest.Client, channel, userID string) string {
	t.Helper()
	data := fmt.Sprintf(`{"user_id":%q}`, userID)
	auth := c.Auth(channel, data)
	return fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":%q,"auth":%q,"channel_data":%q}}`, channel, auth, data)
}

func TestSubscribingTwiceHarmsNothing(t *testing.T) {
	kit := brokertest.New(t)
	ann := kit.Connect(t)
	ann.Subscribe("room")
	ann.Write(`{"event":"pusher:subscribe","data":{"channel":"room"}}`)
	assert.Contains(t, ann.Expect("pusher:error", "").Raw, "Existing subscription to channel room")
	_, err := kit.App.Publish(t.Context(), "room", "message", []byte("x"))
	require.NoError(t, err)
	ann.Expect("message", "room")
	ann.ExpectNothing()
	assert.EqualValues(t, 1, kit.Broker.Stats().Refused)
	ann.Unsubscribe("room")
	ann.Unsubscribe("room")
	ann.Unsubscribe("never")
	_, err = kit.App.Publish(t.Context(), "room", "message", []byte("x"))
	require.NoError(t, err)
	ann.ExpectNothing()
	ann.Subscribe("room")
}

func TestRewindComesRightAfterSuccess(t *testing.T) {
	kit := brokertest.New(t, broker.WithChannelRules(
		broker.ChannelRule{Pattern: "chat-*", History: broker.Retention{Events: 5}, Rewind: 3}))
	publish(t, kit.App, "chat-1", 1, 9)
	ann := kit.Connect(t)
	ann.Subscribe("chat-1")
	for _, want := range []string{"7", "8", "9"} {
		assert.Equal(t, want, ann.Expect("message", "chat-1").Data)
	}
	ann.ExpectNothing()
}

func TestCacheChannelDeliversItsLastEventOrAMiss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		missed := make(chan string, 1)
		kit := brokertest.New(t, broker.WithHooks(broker.Hooks{
			CacheMissed: func(_ context.Context, c broker.ChannelChange) { missed <- c.Channel },
		}))
		ann := kit.Connect(t)
		ann.Subscribe("cache-price")
		ann.Expect("pusher:cache_miss", "cache-price")
		assert.Equal(t, "cache-price", <-missed)

		publish(t, kit.App, "cache-price", 1, 2)
		ann.Expect("message", "cache-price")
		ann.Expect("message", "cache-price")
		bob := kit.Connect(t)
		bob.Subscribe("cache-price")
		assert.Equal(t, "2", bob.Expect("message", "cache-price").Data)
		bob.ExpectNothing()

		time.Sleep(10 * time.Minute)
		ev, ttl, ok, err := kit.App.Cached(t.Context(), "cache-price")
		require.NoError(t, err)
		assert.True(t, ok)
		assert.Equal(t, "2", string(ev.Data))
		assert.InDelta(t, 20*time.Minute, ttl, float64(time.Second), "it was read twice in a row")

		time.Sleep(20 * time.Minute)
		cleo := kit.Connect(t)
		cleo.Subscribe("cache-price")
		cleo.Expect("pusher:cache_miss", "cache-price")
		_, _, ok, err = kit.App.Cached(t.Context(), "cache-price")
		require.NoError(t, err)
		assert.False(t, ok)
		_, _, _, err = kit.App.Cached(t.Context(), "room")
		assert.ErrorIs(t, err, broker.ErrInvalid)
	})
}

// TestARewindOfACacheChannelKeepsToItsTTL, of which nothing that is older is for new
// subscribers. The history has it all the same.
func TestARewindOfACacheChannelKeepsToItsTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t, broker.WithChannelRules(broker.ChannelRule{Pattern: "*", CacheTTL: time.Minute,
			History: broker.Retention{Events: 10}, Rewind: 3}))
		subscribe := func(channel string, want ...string) {
			t.Helper()
			c := kit.Connect(t)
			c.Subscribe(channel)
			for _, data := range want {
				if data == "" {
					c.Expect("pusher:cache_miss", channel)
				} else {
					assert.Equal(t, data, c.Expect("message", channel).Data)
				}
			}
			c.ExpectNothing()
		}
		for _, channel := range []string{"cache-price", "room"} {
			publish(t, kit.App, channel, 1, 2)
		}
		time.Sleep(30 * time.Second)
		publish(t, kit.App, "cache-price", 3, 3)
		subscribe("cache-price", "1", "2", "3")
		time.Sleep(30 * time.Second)
		subscribe("cache-price", "3")
		subscribe("room", "1", "2")
		time.Sleep(30 * time.Second)
		subscribe("cache-price", "")
		_, _, ok, err := kit.App.Cached(t.Context(), "cache-price")
		require.NoError(t, err)
		assert.False(t, ok)
		n := 0
		for _, err := range kit.App.History(t.Context(), "cache-price") {
			require.NoError(t, err)
			n++
		}
		assert.Equal(t, 3, n)
	})
}

func TestClientEventsAreNeverTheEventOfACacheChannel(t *testing.T) {
	kit := brokertest.New(t, keeping(5))
	ann, bob := kit.Connect(t), kit.Connect(t)
	ann.Subscribe("private-cache-room")
	ann.Expect("pusher:cache_miss", "private-cache-room")
	publish(t, kit.App, "private-cache-room", 1, 1)
	ann.Expect("message", "private-cache-room")
	for range 6 {
		ann.Trigger("private-cache-room", "client-x", "typed")
	}
	bob.Subscribe("private-cache-room")
	assert.Equal(t, "1", bob.Expect("message", "private-cache-room").Data)
	bob.ExpectNothing()
}

func TestARuleMayLeaveClientEventsOutOfHistory(t *testing.T) {
	for _, skip := range []bool{false, true} {
		kit := brokertest.New(t, broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 5}, SkipClientEvents: skip}))
		ann, bob := kit.Connect(t), kit.Connect(t)
		ann.Subscribe("private-room")
		bob.Subscribe("private-room")
		publish(t, kit.App, "private-room", 1, 1)
		bob.Expect("message", "private-room")
		ann.Trigger("private-room", "client-typing", "x")
		bob.Expect("client-typing", "private-room")
		publish(t, kit.App, "private-room", 2, 2)
		bob.Expect("message", "private-room")
		var kept []string
		for ev, err := range kit.App.History(t.Context(), "private-room") {
			require.NoError(t, err)
			kept = append(kept, ev.Name)
		}
		if skip {
			assert.Equal(t, []string{"message", "message"}, kept)
		} else {
			assert.Equal(t, []string{"message", "client-typing", "message"}, kept)
		}
	}
}

func TestClientEventsGoToTheOthersOnly(t *testing.T) {
	kit := brokertest.New(t)
	ann, bob, eve := kit.Connect(t), kit.Connect(t), kit.Connect(t)
	ann.SubscribeAs("presence-room", "ann", "")
	bob.SubscribeAs("presence-room", "bob", "")
	ann.Expect("pusher_internal:member_added", "presence-room")
	ann.Trigger("presence-room", "client-typing", map[string]bool{"on": true})
	f := bob.Expect("client-typing", "presence-room")
	assert.Equal(t, "ann", f.UserID)
	assert.Contains(t, f.Raw, `"data":{"on":true}`)
	ann.ExpectNothing()

	eve.Trigger("presence-room", "client-typing", "x")
	assert.Contains(t, eve.Expect("pusher:error", "").Raw, "not subscribed")
	eve.Subscribe("room")
	eve.Trigger("room", "client-typing", "x")
	assert.Contains(t, eve.Expect("pusher:error", "").Raw, "only private and presence channels")
	eve.Subscribe("private-encrypted-room")
	eve.Trigger("private-encrypted-room", "client-typing", "x")
	assert.Contains(t, eve.Expect("pusher:error", "").Raw, "only private and presence channels")
	bob.ExpectNothing()
}

func TestClientEventRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t)
		ann, bob := kit.Connect(t), kit.Connect(t)
		ann.Subscribe("private-room")
		bob.Subscribe("private-room")
		for range 10 {
			ann.Trigger("private-room", "client-x", "x")
			bob.Expect("client-x", "private-room")
		}
		ann.Trigger("private-room", "client-x", "x")
		assert.Contains(t, ann.Expect("pusher:error", "").Raw, `"code":4301`)
		bob.ExpectNothing()
		time.Sleep(100 * time.Millisecond)
		ann.Trigger("private-room", "client-x", "x")
		bob.Expect("client-x", "private-room")
	})
}

func TestSubscriptionCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t)
		kit.Config.SubscriptionCounts = true
		count := func(f brokertest.Frame) (n int) {
			var data struct {
				N int `json:"subscription_count"`
			}
			f.Decode(t, &data)
			return data.N
		}
		var clients []*brokertest.Client
		for i := range 100 {
			c := kit.Connect(t)
			c.Subscribe("room")
			clients = append(clients, c)
			for _, c := range clients {
				assert.Equal(t, i+1, count(c.Expect("pusher_internal:subscription_count", "room")))
			}
		}
		more := kit.Connect(t)
		more.Subscribe("room")
		again := kit.Connect(t)
		again.Subscribe("room")
		time.Sleep(5*time.Second - 1)
		synctest.Wait()
		more.ExpectNothing()
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		assert.Equal(t, 102, count(more.Expect("pusher_internal:subscription_count", "room")))
		more.ExpectNothing()
		again.Unsubscribe("room")
		for _, c := range clients {
			c.Close()
		}
		// The last one is told of the rest in time, and never of nobody.
		time.Sleep(5 * time.Second)
		synctest.Wait()
		last := 0
		for last != 1 {
			last = count(more.Expect("pusher_internal:subscription_count", "room"))
		}
		sub := subscribe(t, kit.App, "room")
		more.ExpectNothing()
		more.Close()
		_ = sub
	})
}

func TestMaxSubscribers(t *testing.T) {
	kit := brokertest.New(t, broker.WithChannelRules(broker.ChannelRule{Pattern: "*small", MaxSubscribers: 1}))
	for _, channel := range []string{"small", "presence-small"} {
		ann, bob := kit.Connect(t), kit.Connect(t)
		if channel == "small" {
			ann.Subscribe(channel)
			bob.Write(`{"event":"pusher:subscribe","data":{"channel":"small"}}`)
		} else {
			ann.SubscribeAs(channel, "ann", "")
			bob.Write(subscribeFrame(t, bob, channel, "bob"))
		}
		assert.Contains(t, bob.Expect("pusher:subscription_error", channel).Data, "the limit is 1 subscribers")
		ann.ExpectNothing()
		info, err := kit.App.Channel(t.Context(), channel)
		require.NoError(t, err)
		assert.Equal(t, 1, info.SubscriptionCount)
	}
	assert.EqualValues(t, 2, kit.Broker.Stats().Refused)
}

func TestSlowClientIsCutOffAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t, broker.WithLogger(slog.New(slog.DiscardHandler)))
		ann, bob := kit.Connect(t), kit.Connect(t)
		ann.Subscribe("room")
		bob.Subscribe("room")
		data := []byte(strings.Repeat("x", 100_000))
		for range 100 {
			_, err := kit.App.Publish(t.Context(), "room", "message", data)
			require.NoError(t, err)
			ann.Expect("message", "room")
		}
		assert.Equal(t, 4100, bob.CloseCode())
		assert.EqualValues(t, 1, kit.Broker.Stats().SlowSessions)
		ann.ExpectNothing()
	})
}

func TestShutdownEndsEverythingInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var log []string
		note := func(s string) {
			mu.Lock()
			defer mu.Unlock()
			log = append(log, s)
		}
		b, err := broker.New(
			broker.WithChannelRules(broker.ChannelRule{Pattern: "*", LeaveGrace: time.Minute}),
			broker.WithHooks(broker.Hooks{
				MemberLeft:     func(_ context.Context, c broker.MemberChange) { note("left " + c.Member.UserID) },
				ChannelVacated: func(_ context.Context, c broker.ChannelChange) { note("vacated " + c.Channel) },
				Disconnected:   func(_ context.Context, c broker.SessionChange) { note(fmt.Sprint("closed ", c.CloseCode)) },
			}))
		require.NoError(t, err)
		b.OnShutdown(func(context.Context) error { note("closer"); return nil })
		sub := subscribe(t, b.App("1"), "room")
		apps, err := pusher.NewApps(pusher.App{ID: "1", Key: brokertest.Key, Secret: brokertest.Secret})
		require.NoError(t, err)
		h, err := pusher.NewHandler(b, apps)
		require.NoError(t, err)
		kit := &brokertest.Kit{Broker: b, App: b.App("1"), Handler: h, Config: &pusher.App{ID: "1", Key: brokertest.Key, Secret: brokertest.Secret}}
		ann := kit.Connect(t)
		ann.SubscribeAs("presence-room", "ann", "")

		require.NoError(t, b.Shutdown(t.Context()))
		require.NoError(t, b.Shutdown(t.Context()), "a second call waits for the first")
		assert.Equal(t, 4200, ann.CloseCode())
		for _, err := range sub.Events() {
			assert.ErrorIs(t, err, broker.ErrShutdown)
		}
		_, err = b.App("1").Publish(t.Context(), "room", "message", nil)
		require.ErrorIs(t, err, broker.ErrShutdown)
		late := kit.Dial(t)
		assert.Equal(t, 4200, late.CloseCode())
		assert.Equal(t, "closer", log[len(log)-1])
		assert.ElementsMatch(t, []string{"left ann", "vacated presence-room", "closed 4200", "closer"}, log)
	})
}

func TestShutdownSpreadsTheCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t, broker.WithDrainWindow(10*time.Second))
		var clients []*brokertest.Client
		for range 10 {
			clients = append(clients, kit.Connect(t))
		}
		done := make(chan error)
		start := time.Now()
		go func() { done <- kit.Broker.Shutdown(context.WithoutCancel(t.Context())) }()
		var gaps []time.Duration
		for len(gaps) < len(clients) {
			time.Sleep(time.Second / 2)
			synctest.Wait()
			open := int(kit.Broker.Stats().Sessions)
			for len(gaps) < len(clients)-open {
				gaps = append(gaps, time.Since(start))
			}
		}
		require.NoError(t, <-done)
		for i, gap := range gaps {
			assert.InDelta(t, i, gap.Seconds(), 0.5)
		}
	})
}

func TestShutdownGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := broker.New(broker.WithHooks(broker.Hooks{Connected: func(context.Context, broker.SessionChange) { time.Sleep(time.Hour) }}))
		require.NoError(t, err)
		kit := &brokertest.Kit{Broker: b, App: b.App("1"), Config: &pusher.App{ID: "1", Key: brokertest.Key, Secret: brokertest.Secret}}
		kit.Handler, err = pusher.NewHandler(b, kit)
		require.NoError(t, err)
		kit.Connect(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, b.Shutdown(ctx), context.DeadlineExceeded)
		time.Sleep(2 * time.Hour)
	})
}

func TestQuota(t *testing.T) {
	kit := brokertest.New(t)
	kit.Config.MaxConnections = 2
	ann := kit.Connect(t)
	kit.Connect(t)
	over := kit.Dial(t)
	assert.Contains(t, over.Expect("pusher:error", "").Raw, `"code":4004`)
	assert.Equal(t, 4004, over.CloseCode())
	ann.Close()
	kit.Connect(t)
}

func TestRateLimitsOfTheBroker(t *testing.T) {
	rules, err := ratelimit.New(ratelimit.NewMemory(), ratelimit.ConnectionsPerIP(1, 2), ratelimit.PublishesPerApp(1, 2), ratelimit.SubscribesPerSession(1, 2))
	require.NoError(t, err)
	kit := brokertest.New(t, broker.WithRateLimits(rules))
	ann := kit.Connect(t, brokertest.WithIP("10.0.0.1"))
	kit.Connect(t, brokertest.WithIP("10.0.0.1"))
	kit.Connect(t, brokertest.WithIP("10.0.0.2"))
	over := kit.Dial(t, brokertest.WithIP("10.0.0.1"))
	assert.Equal(t, 4100, over.CloseCode())

	ann.Subscribe("a")
	ann.Subscribe("b")
	ann.Write(`{"event":"pusher:subscribe","data":{"channel":"c"}}`)
	assert.Contains(t, ann.Expect("pusher:subscription_error", "c").Data, `"status":429`)

	publish(t, kit.App, "other", 1, 2)
	_, err = kit.App.Publish(t.Context(), "other", "message", nil)
	var limited *ratelimit.LimitError
	require.True(t, errors.As(err, &limited))
	assert.Positive(t, limited.RetryAfter)
	assert.EqualValues(t, 3, kit.Broker.Stats().Refused)
}
