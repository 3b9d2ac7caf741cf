package broker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
)

type valueKey struct{}

// everyHook are hooks that inform, each of which calls told with its name.
func everyHook(told func(hook string, ctx context.Context)) broker.Hooks {
	return broker.Hooks{
		Connected:         func(ctx context.Context, _ broker.SessionChange) { told("Connected", ctx) },
		Disconnected:      func(ctx context.Context, _ broker.SessionChange) { told("Disconnected", ctx) },
		Subscribed:        func(ctx context.Context, _ broker.SubscriptionChange) { told("Subscribed", ctx) },
		Unsubscribed:      func(ctx context.Context, _ broker.SubscriptionChange) { told("Unsubscribed", ctx) },
		MemberJoined:      func(ctx context.Context, _ broker.MemberChange) { told("MemberJoined", ctx) },
		MemberLeft:        func(ctx context.Context, _ broker.MemberChange) { told("MemberLeft", ctx) },
		UserOnline:        func(ctx context.Context, _ broker.UserChange) { told("UserOnline", ctx) },
		UserOffline:       func(ctx context.Context, _ broker.UserChange) { told("UserOffline", ctx) },
		ChannelOccupied:   func(ctx context.Context, _ broker.ChannelChange) { told("ChannelOccupied", ctx) },
		ChannelVacated:    func(ctx context.Context, _ broker.ChannelChange) { told("ChannelVacated", ctx) },
		SubscriptionCount: func(ctx context.Context, _ broker.ChannelChange) { told("SubscriptionCount", ctx) },
		CacheMissed:       func(ctx context.Context, _ broker.ChannelChange) { told("CacheMissed", ctx) },
		ClientEventSent:   func(ctx context.Context, _ broker.EventChange) { told("ClientEventSent", ctx) },
		Published:         func(ctx context.Context, _ broker.EventChange) { told("Published", ctx) },
	}
}

// What one session's doing is has the values of its context; no context has ended,
// although the connection has.
func TestHooksAreToldUnderTheContextOfTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		values, derived := map[string]any{}, []context.Context{}
		b, err := broker.New(broker.WithHooks(everyHook(func(hook string, ctx context.Context) {
			assert.NoError(t, ctx.Err(), hook)
			values[hook] = ctx.Value(valueKey{})
			child, cancel := context.WithCancel(ctx) // must need no goroutine: nobody ends it but the broker
			context.AfterFunc(child, cancel)
			derived = append(derived, child)
		})))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), valueKey{}, "of ann"))
		s, err := b.Connect(ctx, broker.ConnectOptions{ConnectRequest: broker.ConnectRequest{App: "1"},
			Conn: &sink{}, Protocol: &plain{}, SubscriptionCounts: true})
		require.NoError(t, err)
		require.NoError(t, s.SignIn(ctx, broker.User{ID: "ann"}, func() {}))
		for _, channel := range []string{"presence-room", "private-room", "cache-room"} {
			require.NoError(t, s.Subscribe(ctx, broker.SubscribeRequest{Channel: channel, Authorized: true}))
		}
		require.NoError(t, s.ClientEvent(ctx, broker.ClientEventRequest{Channel: "private-room", Event: "client-x"}))
		publish(t, b.App("1"), "room", 1, 1)
		cancel()
		s.End(1000)
		synctest.Wait()
		for _, hook := range []string{"Connected", "Disconnected", "Subscribed", "Unsubscribed", "MemberJoined", "MemberLeft",
			"UserOnline", "UserOffline", "CacheMissed", "ClientEventSent"} {
			assert.Equal(t, "of ann", values[hook], hook)
		}
		for _, hook := range []string{"ChannelOccupied", "ChannelVacated", "SubscriptionCount", "Published"} {
			value, told := values[hook]
			assert.True(t, told, hook)
			assert.Nil(t, value, hook)
		}
		for _, ctx := range derived {
			assert.NoError(t, ctx.Err())
		}
		require.NoError(t, b.Shutdown(t.Context()))
		for _, ctx := range derived {
			assert.ErrorIs(t, context.Cause(ctx), broker.ErrShutdown)
		}
	})
}

// A hook that waits for its context holds Shutdown up for no longer than hooks have.
func TestTheContextOfAHookEndsWithItsTimeAtShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended time.Duration
		start := time.Now()
		b, err := broker.New(broker.WithHooks(broker.Hooks{Connected: func(ctx context.Context, _ broker.SessionChange) {
			<-ctx.Done()
			ended = time.Since(start)
			assert.ErrorIs(t, context.Cause(ctx), broker.ErrShutdown)
		}}))
		require.NoError(t, err)
		s, err := b.Connect(t.Context(), broker.ConnectOptions{ConnectRequest: broker.ConnectRequest{App: "1"}, Conn: &sink{}, Protocol: &plain{}})
		require.NoError(t, err)
		s.End(1000)
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		assert.ErrorIs(t, b.Shutdown(ctx), context.DeadlineExceeded, "hooks were not done in their time")
		synctest.Wait()
		assert.Equal(t, 6*time.Second, ended)
	})
}
