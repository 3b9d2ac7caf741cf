package broker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/pusher"
)

// What hooks publish while Shutdown ends members is stored and handed out.
func TestHooksMayPublishDuringShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var app *broker.App
		var errs []error
		publish := func(channel, data string) {
			time.Sleep(time.Second)
			_, err := app.Publish(context.Background(), channel, "notice", []byte(data))
			errs = append(errs, err)
		}
		kit := brokertest.New(t,
			broker.WithChannelRules(broker.ChannelRule{Pattern: "notices", History: broker.Retention{Events: 100}},
				broker.ChannelRule{Pattern: "presence-slow", LeaveGrace: time.Hour}),
			broker.WithHooks(broker.Hooks{
				MemberLeft: func(_ context.Context, c broker.MemberChange) {
					publish("notices", "left "+c.Channel+" "+c.Member.UserID)
				},
				ChannelVacated: func(_ context.Context, c broker.ChannelChange) { publish("notices", "vacated "+c.Channel) },
				UserOffline:    func(_ context.Context, c broker.UserChange) { publish("notices", "offline "+c.UserID) },
				Disconnected:   func(_ context.Context, c broker.SessionChange) { publish("notices", "disconnected") },
			}))
		app = kit.App
		sub := subscribe(t, app, "notices")
		for i := range 3 {
			c := kit.Connect(t)
			c.SubscribeAs("presence-room", fmt.Sprint("user", i), "")
			c.SubscribeAs("presence-slow", fmt.Sprint("user", i), "")
			c.SignIn(fmt.Sprint("user", i))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		require.NoError(t, kit.Broker.Shutdown(ctx))
		require.NoError(t, errors.Join(errs...))
		const notices = 3 + 3 + 2 + 3 + 3 // left each, vacated, offline, disconnected
		assert.Len(t, errs, notices)
		heard := 0
		for _, err := range sub.Events() {
			if err == nil {
				heard++
			} else {
				require.ErrorIs(t, err, broker.ErrShutdown)
			}
		}
		assert.Equal(t, notices, heard)
		stored := 0
		for _, err := range app.History(t.Context(), "notices") {
			require.NoError(t, err)
			stored++
		}
		assert.Equal(t, notices, stored)
		_, err := app.Publish(t.Context(), "notices", "notice", nil)
		require.ErrorIs(t, err, broker.ErrShutdown)
	})
}

// Whatever hangs, Shutdown returns with its context, what comes after it has its
// share of the time, and nothing is left once it goes on.
func TestShutdownIsNotHeldUp(t *testing.T) {
	const within = 4 * time.Second
	for name, hang := range map[string]func(wait func()) []broker.Option{
		"nothing": func(func()) []broker.Option { return nil },
		"an informing hook": func(wait func()) []broker.Option {
			return []broker.Option{broker.WithHooks(broker.Hooks{Disconnected: func(context.Context, broker.SessionChange) { wait() }})}
		},
		"a deciding hook": func(wait func()) []broker.Option {
			return []broker.Option{broker.WithHooks(broker.Hooks{Subscribe: func(_ context.Context, r *broker.SubscribeRequest) error {
				if r.Channel == "hangs" {
					wait()
				}
				return nil
			}})}
		},
		"a store": func(wait func()) []broker.Option {
			store := newWild()
			store.set(func(op string) {
				if op == "leave" {
					wait()
				}
			})
			return []broker.Option{broker.WithPresence(store)}
		},
		"what is to be drained": func(wait func()) []broker.Option {
			return []broker.Option{func(it *broker.Broker) error {
				it.OnDrained(func(context.Context) error { wait(); return nil })
				return nil
			}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				var b *broker.Broker
				var left time.Duration
				first, told := make(chan struct{}), 0
				opts := append(hang(func() { <-release }), broker.WithLogger(slog.New(slog.DiscardHandler)),
					broker.WithHooks(broker.Hooks{ChannelVacated: func(context.Context, broker.ChannelChange) { told++ }}))
				var err error
				b, err = broker.New(append(opts, broker.WithDrainWindow(0))...)
				require.NoError(t, err)
				kit := &brokertest.Kit{Broker: b, App: b.App(brokertest.AppID), Config: &pusher.App{
					ID: brokertest.AppID, Key: brokertest.Key, Secret: brokertest.Secret}}
				kit.Handler, err = pusher.NewHandler(b, kit)
				require.NoError(t, err)
				b.OnShutdown(func(ctx context.Context) error {
					deadline, _ := ctx.Deadline()
					left = time.Until(deadline)
					return nil
				})
				b.OnShutdown(func(context.Context) error { panic("closer of the test") })
				kit.Connect(t).Subscribe("other")
				hanging := kit.Connect(t)
				hanging.SubscribeAs("presence-room", "ann", "")
				s := b.Session(hanging.SocketID())
				go func() {
					defer close(first)
					_ = s.Subscribe(context.Background(), broker.SubscribeRequest{Channel: "hangs"})
				}()
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), within)
				defer cancel()
				start := time.Now()
				err = b.Shutdown(ctx)
				took := time.Since(start)
				require.ErrorIs(t, err, broker.ErrRefused, "a closer panicked")
				assert.LessOrEqual(t, took, within+broker.ShutdownGrace)
				assert.GreaterOrEqual(t, left, within/4-broker.ShutdownGrace/3, "the share of webhooks")
				assert.NotZero(t, told, "other sets of hooks were called")
				assert.EqualValues(t, 1, b.Stats().HookPanics)
				close(release)
				<-first
			})
		})
	}
}
