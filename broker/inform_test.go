package broker_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/internal/alloctest"
)

const (
	maxCalls     = 1 << 15
	maxCallBytes = 8 << 20
)

// stuck starts a broker whose informing hooks hang in the first call until release
// is closed.
func stuck(t *testing.T, hooks broker.Hooks) (kit *brokertest.Kit, release chan struct{}) {
	release = make(chan struct{})
	hooks.Connected = func(context.Context, broker.SessionChange) { <-release }
	kit = brokertest.New(t, broker.WithLogger(slog.New(slog.DiscardHandler)), broker.WithHooks(hooks))
	kit.Config.Limits.ClientEventsPerSecond = 1_000_000
	return kit, release
}

func TestWhatSlowHooksMissIsCounted(t *testing.T) {
	for name, test := range map[string]struct{ size, told int }{
		"calls": {1, maxCallBytes / 300},
		"bytes": {1 << 20, 7},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told := 0
				kit, release := stuck(t, broker.Hooks{ClientEventSent: func(context.Context, broker.EventChange) { told++ }})
				ann := kit.Broker.Session(kit.Connect(t).SocketID())
				require.NoError(t, ann.Subscribe(t.Context(), broker.SubscribeRequest{Channel: "private-room", Authorized: true}))
				sent := test.told + 1
				if test.size == 1 {
					sent = maxCalls + 5
				}
				for range sent {
					require.NoError(t, ann.ClientEvent(t.Context(), broker.ClientEventRequest{
						Channel: "private-room", Event: "client-x", Data: bytes.Repeat([]byte("x"), test.size)}))
				}
				close(release)
				synctest.Wait()
				assert.GreaterOrEqual(t, told, test.told)
				assert.Less(t, told, sent)
				assert.EqualValues(t, sent-told, kit.Broker.Stats().HooksDropped)
			})
		})
	}
}

// A flood of what anybody can do takes no room from what others are told, and when
// it is over, hooks have heard of all that is there.
func TestAFloodOfOneKindDropsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		members, occupied, sessions := map[string]bool{}, map[string]bool{}, 0
		change := func(of map[string]bool, key string, is bool) {
			assert.NotEqual(t, is, of[key], "%s twice", key)
			of[key] = is
		}
		kit, release := stuck(t, broker.Hooks{
			Disconnected:    func(context.Context, broker.SessionChange) { sessions++ },
			MemberJoined:    func(_ context.Context, c broker.MemberChange) { change(members, c.Channel+" "+c.Member.UserID, true) },
			MemberLeft:      func(_ context.Context, c broker.MemberChange) { change(members, c.Channel+" "+c.Member.UserID, false) },
			ChannelOccupied: func(_ context.Context, c broker.ChannelChange) { change(occupied, c.Channel, true) },
			ChannelVacated:  func(_ context.Context, c broker.ChannelChange) { change(occupied, c.Channel, false) },
		})
		subscribe := func(s *broker.Session, channel, user string) {
			require.NoError(t, s.Subscribe(t.Context(), broker.SubscribeRequest{Channel: channel, Authorized: true, Member: &broker.Member{UserID: user}}))
		}
		client := kit.Connect(t)
		flooder := kit.Broker.Session(client.SocketID())
		for i := range maxCalls {
			if i%100 == 0 {
				time.Sleep(time.Second) // for the rate of subscriptions
			}
			channel := fmt.Sprint("room-", i)
			subscribe(flooder, channel, "")
			client.Next()
			if i%1000 != 0 {
				flooder.Unsubscribe(t.Context(), channel)
			}
		}
		require.Positive(t, kit.Broker.Stats().HooksDropped)
		const real = 100
		for i := range real {
			s := kit.Broker.Session(kit.Connect(t).SocketID())
			subscribe(s, "presence-room", fmt.Sprint("user", i))
			if i%2 == 0 {
				s.End(1006)
			}
		}
		close(release)
		synctest.Wait()
		for i := range real {
			assert.Equal(t, i%2 == 1, members[fmt.Sprint("presence-room user", i)])
		}
		there := 0
		for _, is := range occupied {
			if is {
				there++
			}
		}
		listed := 0
		for c, err := range kit.App.Channels(t.Context(), "") {
			require.NoError(t, err)
			assert.True(t, occupied[c.Name], c.Name)
			listed++
		}
		assert.Equal(t, there, listed)
		assert.Equal(t, real/2, sessions)
	})
}

func TestHooksThatAnAppDoesNotNeedCostItNothing(t *testing.T) {
	allocs := func(hooks ...broker.Option) float64 {
		kit := brokertest.New(t, hooks...)
		kit.Config.Limits.ClientEventsPerSecond = 1_000_000
		ann := kit.Broker.Session(kit.Connect(t).SocketID())
		require.NoError(t, ann.Subscribe(t.Context(), broker.SubscribeRequest{Channel: "private-room", Authorized: true}))
		return alloctest.PerRun(200, func() {
			_ = ann.ClientEvent(t.Context(), broker.ClientEventRequest{Channel: "private-room", Event: "client-x", Data: []byte("x")})
		})
	}
	asked := map[broker.InformingHook]bool{}
	with := allocs(broker.WithHooks(broker.Hooks{
		Wants: func(app string, hook broker.InformingHook) bool {
			if app != brokertest.AppID {
				t.Error("asked about app", app)
			}
			asked[hook] = true
			return false
		},
		Connected:       func(context.Context, broker.SessionChange) { t.Error("told of a session") },
		ClientEventSent: func(context.Context, broker.EventChange) { t.Error("told of a client event") },
	}))
	assert.LessOrEqual(t, with, allocs())
	assert.True(t, asked[broker.HookConnected])
	assert.True(t, asked[broker.HookClientEventSent])
}
