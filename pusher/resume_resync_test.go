package pusher_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
)

func TestASecondSubscriptionIsAResync(t *testing.T) {
	for _, channel := range []string{"room", "presence-room", "cache-room"} {
		t.Run(channel, func(t *testing.T) {
			var hooks []string
			kit := brokertest.New(t, keeping(broker.ChannelRule{}), broker.WithHooks(broker.Hooks{
				Subscribed:   func(_ context.Context, c broker.SubscriptionChange) { hooks = append(hooks, "subscribed") },
				Unsubscribed: func(_ context.Context, c broker.SubscriptionChange) { hooks = append(hooks, "unsubscribed") },
				MemberJoined: func(_ context.Context, c broker.MemberChange) { hooks = append(hooks, "joined") },
				MemberLeft:   func(_ context.Context, c broker.MemberChange) { hooks = append(hooks, "left") },
			}))
			r := newResumer(t, kit, channel)
			if channel == "cache-room" {
				r.publish("0")
			}
			watcher := kit.Connect(t)
			if channel == "presence-room" {
				watcher.SubscribeAs(channel, "ben", "")
			} else {
				watcher.Subscribe(channel)
			}
			if channel == "cache-room" {
				watcher.Expect("message", channel)
			}
			r.subscribe()
			if channel == "presence-room" {
				watcher.Expect("pusher_internal:member_added", channel)
			} else if channel == "cache-room" {
				r.read(1)
			}
			r.publish("1")
			r.read(1)
			hole := r.last
			r.publish("2")
			r.publish("3")
			r.c.Next()
			r.c.Next() // which are lost
			for range 3 {
				watcher.Expect("message", channel)
			}
			r.last, r.got = hole, nil
			status, missed := r.subscribe()
			assert.Equal(t, "resumed", status)
			assert.Equal(t, 2, missed)
			r.read(2)
			assert.Equal(t, []any{"2", "3"}, r.got)
			r.publish("4")
			r.read(1)
			watcher.Expect("message", channel)
			watcher.ExpectNothing()

			// Without positions it is refused as ever, and harms nothing.
			r.send(nil)
			expectError(t, r.c, 0, "Existing subscription to channel "+channel)
			r.publish("5")
			r.read(1)
			info, err := kit.App.Channel(t.Context(), channel)
			require.NoError(t, err)
			assert.Equal(t, 2, info.SubscriptionCount)
			r.c.Unsubscribe(channel)
			r.publish("6")
			r.c.ExpectNothing()
			require.NoError(t, kit.Broker.Shutdown(t.Context()))
			assert.Len(t, slices.DeleteFunc(hooks, func(h string) bool { return h != "subscribed" && h != "unsubscribed" }), 4)
		})
	}
}

func TestAResyncIsAuthorizedAnew(t *testing.T) {
	allowed := true
	kit := brokertest.New(t, keeping(broker.ChannelRule{}), broker.WithHooks(broker.Hooks{
		Subscribe: func(context.Context, *broker.SubscribeRequest) error {
			if !allowed {
				return broker.Refuse(403, "not any more")
			}
			return nil
		}}))
	r := newResumer(t, kit, "presence-room")
	r.subscribe()
	eve := `{"user_id":"eve"}`
	r.c.Write(fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":"presence-room","auth":%q,"channel_data":%q,"resume":{"v":1}}}`, r.c.Auth("presence-room", eve), eve))
	expectError(t, r.c, 0, "Existing subscription")
	r.c.Write(`{"event":"pusher:subscribe","data":{"channel":"presence-room","auth":"test-key:00","channel_data":"{\"user_id\":\"ann\"}","resume":{"v":1}}}`)
	expectSubscriptionError(t, r.c, "presence-room", "AuthError", 401, "invalid signature")
	expectError(t, r.c, 0, "Invalid signature")
	allowed = false
	r.ask(r.last)
	expectSubscriptionError(t, r.c, "presence-room", "AuthError", 403, "not any more")
	r.publish("1")
	r.read(1)
}
