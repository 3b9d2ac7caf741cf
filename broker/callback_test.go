package broker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
)

// Hooks of every kind do whatever they can to the broker while clients come and
// go: nobody waits for another for ever, and nothing is left behind.
func TestHooksMayCallTheBroker(t *testing.T) {
	var kit *brokertest.Kit
	channels := []string{"presence-a", "presence-b", "private-a", "cache-a", "room"}
	channel := func() string { return channels[rand.IntN(len(channels))] }
	type depth struct{}
	meddle := func(ctx context.Context, s *broker.Session) {
		if ctx.Value(depth{}) != nil {
			return
		}
		ctx = context.WithValue(ctx, depth{}, true)
		user := fmt.Sprint("user", rand.IntN(3))
		switch rand.IntN(12) {
		case 0:
			_, _ = kit.App.TerminateUser(ctx, user)
		case 1:
			if s != nil {
				s.Close(broker.CloseTerminated)
			}
		case 2:
			if s != nil {
				s.Unsubscribe(ctx, channel())
			}
		case 3:
			if s != nil {
				_ = s.Subscribe(ctx, broker.SubscribeRequest{Channel: channel(), Authorized: true, Member: &broker.Member{UserID: user}})
			}
		case 4:
			if sub, err := kit.App.Subscribe(ctx, channel(), broker.WithRewind(3)); err == nil {
				for range sub.Events() {
					break
				}
				sub.Close()
			}
		default:
			_, err := kit.App.Publish(ctx, channel(), "message", []byte("x"), broker.IdempotencyKey(user))
			if err != nil && !errors.Is(err, broker.ErrShutdown) {
				t.Error(err)
			}
		}
	}
	background := context.Background()
	kit = brokertest.New(t, broker.WithLogger(slog.New(slog.DiscardHandler)),
		broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 5}, Rewind: 2}),
		broker.WithHooks(broker.Hooks{
			Connect:           func(ctx context.Context, r *broker.ConnectRequest) error { meddle(ctx, nil); return nil },
			Authorize:         func(ctx context.Context, r *broker.SubscribeRequest) error { meddle(ctx, r.Session); return nil },
			Subscribe:         func(ctx context.Context, r *broker.SubscribeRequest) error { meddle(ctx, r.Session); return nil },
			ClientEvent:       func(ctx context.Context, r *broker.ClientEventRequest) error { meddle(ctx, r.Session); return nil },
			Publish:           func(ctx context.Context, r *broker.PublishRequest) error { meddle(ctx, nil); return nil },
			Connected:         func(ctx context.Context, c broker.SessionChange) { meddle(ctx, c.Session) },
			Disconnected:      func(ctx context.Context, c broker.SessionChange) { meddle(ctx, c.Session) },
			MemberJoined:      func(ctx context.Context, _ broker.MemberChange) { meddle(ctx, nil) },
			MemberLeft:        func(ctx context.Context, _ broker.MemberChange) { meddle(ctx, nil) },
			UserOnline:        func(ctx context.Context, _ broker.UserChange) { meddle(ctx, nil) },
			UserOffline:       func(ctx context.Context, _ broker.UserChange) { meddle(ctx, nil) },
			ChannelOccupied:   func(ctx context.Context, _ broker.ChannelChange) { meddle(ctx, nil) },
			ChannelVacated:    func(ctx context.Context, _ broker.ChannelChange) { meddle(ctx, nil) },
			SubscriptionCount: func(ctx context.Context, _ broker.ChannelChange) { meddle(ctx, nil) },
			Subscribed:        func(ctx context.Context, c broker.SubscriptionChange) { meddle(ctx, c.Session) },
			Unsubscribed:      func(ctx context.Context, c broker.SubscriptionChange) { meddle(ctx, c.Session) },
			CacheMissed:       func(ctx context.Context, _ broker.ChannelChange) { meddle(ctx, nil) },
			ClientEventSent:   func(ctx context.Context, _ broker.EventChange) { meddle(ctx, nil) },
		}))
	kit.Config.SubscriptionCounts = true
	var wg sync.WaitGroup
	for i := range 6 {
		user := fmt.Sprint("user", i%3)
		wg.Go(func() {
			for range 60 {
				c := kit.Dial(t)
				var hello struct {
					SocketID string `json:"socket_id"`
				}
				f := c.Next()
				for f.Event != "pusher:connection_established" { // a hook may have been faster
					f = c.Next()
				}
				f.Decode(t, &hello)
				s := kit.Broker.Session(hello.SocketID)
				if s == nil {
					continue
				}
				_ = s.SignIn(background, broker.User{ID: user, Watchlist: []string{"user0", "user1", "user2"}}, func() {})
				for _, name := range channels {
					_ = s.Subscribe(background, broker.SubscribeRequest{Channel: name, Authorized: true, Member: &broker.Member{UserID: user}})
					_ = s.ClientEvent(background, broker.ClientEventRequest{Channel: name, Event: "client-x", Data: []byte("x")})
				}
				c.Close()
			}
		})
	}
	wg.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), brokertest.ShutdownTimeout)
	defer cancel()
	require.NoError(t, kit.Broker.Shutdown(ctx))
	stats := kit.Broker.Stats()
	assert.Zero(t, stats.Sessions)
	assert.Zero(t, stats.Channels)
	assert.Zero(t, stats.InProcessSubscriptions)
	assert.Zero(t, stats.HookPanics)
	for _, name := range channels {
		info, err := kit.App.Channel(t.Context(), name)
		require.NoError(t, err)
		assert.Equal(t, broker.ChannelInfo{Name: name}, info)
	}
	for i := range 3 {
		online, err := kit.App.IsOnline(t.Context(), fmt.Sprint("user", i))
		require.NoError(t, err)
		assert.False(t, online)
	}
}
