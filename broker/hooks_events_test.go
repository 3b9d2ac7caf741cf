package broker_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/internal/alloctest"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
)

// Every way to publish is told, once, in the order of each channel, whether anybody is
// there and whether anything is kept.
func TestPublishedTellsOfEachEventOnce(t *testing.T) {
	for _, kept := range []int{0, 100} {
		for _, occupied := range []bool{false, true} {
			t.Run(fmt.Sprint("kept ", kept, ", occupied ", occupied), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var told []broker.EventChange
					opts := []broker.Option{broker.WithHooks(broker.Hooks{
						Published: func(_ context.Context, c broker.EventChange) { told = append(told, c) }})}
					if kept > 0 {
						opts = append(opts, keeping(kept))
					}
					kit := brokertest.New(t, opts...)
					ann := kit.Connect(t)
					if occupied {
						ann.SubscribeAs("presence-room", "ann", "")
						ann.Trigger("presence-room", "client-x", "not published") // has a hook of its own
					}
					ctx, app, room := t.Context(), kit.App, "presence-room"
					first, err := app.Publish(ctx, room, "1", []byte("x"), broker.Exclude(ann.SocketID()))
					require.NoError(t, err)
					for range 2 {
						_, err = app.Publish(ctx, room, "2", nil, broker.IdempotencyKey("key"))
						require.NoError(t, err)
					}
					_, err = app.PublishMany(ctx, []string{room, room}, "3", nil)
					require.NoError(t, err)
					_, err = app.PublishBatch(ctx, []broker.PublishRequest{{Channel: room, Event: "4"}, {Channel: room, Event: "5"}})
					require.NoError(t, err)
					_, err = app.Publish(ctx, room, "", nil)
					require.Error(t, err)
					synctest.Wait()
					var names []string
					for _, c := range told {
						names = append(names, c.Event.Name)
						assert.Equal(t, brokertest.AppID, c.App)
						assert.Equal(t, room, c.Event.Channel)
						assert.Nil(t, c.Session)
						assert.Empty(t, c.Event.Exclude)
						assert.Equal(t, kept == 0, c.Event.Position.IsZero())
					}
					assert.Equal(t, []string{"1", "2", "3", "4", "5"}, names)
					assert.Equal(t, first.Position, told[0].Event.Position)
				})
			})
		}
	}
}

// An event that the store took although its append failed, and that was found there,
// was published.
func TestPublishedTellsOfAnEventThatIsFoundInTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		store := memory.New()
		kit := brokertest.New(t, keeping(100), broker.WithHistory(store), broker.WithLogger(slog.New(slog.DiscardHandler)),
			broker.WithHooks(broker.Hooks{Published: func(_ context.Context, c broker.EventChange) { told = append(told, string(c.Event.Data)) }}))
		subscribe(t, kit.App, "room")
		publish(t, kit.App, "room", 1, 1)
		_, err := store.Append(t.Context(), broker.ChannelID{App: brokertest.AppID, Name: "room"},
			&broker.Event{Name: "message", Channel: "room", Data: []byte("2")}, storage.AppendOptions{Retention: broker.Retention{Events: 100}})
		require.NoError(t, err)
		publish(t, kit.App, "room", 3, 3)
		synctest.Wait()
		assert.Equal(t, []string{"1", "2", "3"}, told)
	})
}

func TestPublishedCostsNothingWhereNobodyHearsOfIt(t *testing.T) {
	allocs := func(occupied bool, opts ...broker.Option) float64 {
		kit := brokertest.New(t, opts...)
		if occupied {
			sub := subscribe(t, kit.App, "room")
			go func() {
				for range sub.Events() {
				}
			}()
		}
		data := []byte("x")
		return alloctest.PerRun(200, func() { _, _ = kit.App.Publish(t.Context(), "room", "message", data) })
	}
	others := broker.WithHooks(broker.Hooks{
		Wants:           func(string, broker.InformingHook) bool { t.Error("asked"); return false },
		ClientEventSent: func(context.Context, broker.EventChange) { t.Error("told") }})
	assert.Zero(t, allocs(false))
	assert.Zero(t, allocs(false, others))
	assert.LessOrEqual(t, allocs(true, others), allocs(true))
}

func TestSubscribedTellsHowASubscriptionBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type change struct {
			channel string
			kind    broker.Kind
			member  string
			resume  broker.Resume
			past    int
		}
		var began, ended []change
		note := func(to *[]change) func(context.Context, broker.SubscriptionChange) {
			return func(_ context.Context, c broker.SubscriptionChange) {
				n := change{channel: c.Channel, kind: c.Kind, resume: c.Resume, past: c.PastEvents}
				if c.Member != nil {
					n.member = c.Member.UserID + string(c.Member.Info)
				}
				assert.NotNil(t, c.Session)
				assert.False(t, c.Time.IsZero())
				*to = append(*to, n)
			}
		}
		kit := brokertest.New(t,
			broker.WithChannelRules(broker.ChannelRule{Pattern: "*kept", History: broker.Retention{Events: 3}, Rewind: 2}),
			broker.WithHooks(broker.Hooks{Subscribed: note(&began), Unsubscribed: note(&ended)}))
		first := publish(t, kit.App, "kept", 1, 1)
		position := publish(t, kit.App, "kept", 2, 6)
		publish(t, kit.App, "kept", 7, 9)
		publish(t, kit.App, "cache-set", 1, 1)
		subscribe := func(req broker.SubscribeRequest) *broker.Session {
			s := kit.Broker.Session(kit.Connect(t).SocketID())
			req.Authorized = true
			require.NoError(t, s.Subscribe(t.Context(), req))
			return s
		}
		ann := subscribe(broker.SubscribeRequest{Channel: "plain"})
		require.ErrorIs(t, ann.Subscribe(t.Context(), broker.SubscribeRequest{Channel: "plain"}), broker.ErrSubscribed)
		require.ErrorIs(t, ann.Subscribe(t.Context(), broker.SubscribeRequest{Channel: "private-x"}), broker.ErrUnauthorized)
		assert.True(t, ann.Unsubscribe(t.Context(), "plain"))
		assert.False(t, ann.Unsubscribe(t.Context(), "plain"))
		subscribe(broker.SubscribeRequest{Channel: "kept"})
		subscribe(broker.SubscribeRequest{Channel: "kept", After: &position})
		subscribe(broker.SubscribeRequest{Channel: "kept", After: &first})
		subscribe(broker.SubscribeRequest{Channel: "cache-empty"})
		subscribe(broker.SubscribeRequest{Channel: "cache-set"})
		subscribe(broker.SubscribeRequest{Channel: "presence-room", Member: &broker.Member{UserID: "bob", Info: []byte(`{}`)}}).End(1000)
		cleo := subscribe(broker.SubscribeRequest{Channel: "presence-room", Member: &broker.Member{UserID: "cleo"}})
		_, err := kit.App.Revoke(t.Context(), "presence-room", "cleo")
		require.NoError(t, err)
		cleo.End(1000)
		synctest.Wait()
		presence := broker.KindOf("presence-room")
		assert.Equal(t, []change{
			{"plain", broker.KindOf("plain"), "", broker.Fresh, 0},
			{"kept", broker.KindOf("kept"), "", broker.Fresh, 2},
			{"kept", broker.KindOf("kept"), "", broker.Resumed, 3},
			{"kept", broker.KindOf("kept"), "", broker.ResumeGap, 2},
			{"cache-empty", broker.KindOf("cache-empty"), "", broker.Fresh, 0},
			{"cache-set", broker.KindOf("cache-set"), "", broker.Fresh, 1},
			{"presence-room", presence, "bob{}", broker.Fresh, 0},
			{"presence-room", presence, "cleo", broker.Fresh, 0},
		}, began)
		assert.Equal(t, []change{
			{"plain", broker.KindOf("plain"), "", broker.Fresh, 0},
			{"presence-room", presence, "bob", broker.Fresh, 0},
			{"presence-room", presence, "cleo", broker.Fresh, 0},
		}, ended)
	})
}
