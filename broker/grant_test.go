package broker_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
)

func signed(c *brokertest.Client, channel, data string) string {
	return fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":%q,"auth":%q,"channel_data":%q}}`, channel, c.Auth(channel, data), data)
}

func TestRevokeTakesAUsersConnectionsOffAChannel(t *testing.T) {
	for _, channel := range []string{"private-room", "private-encrypted-room", "presence-room"} {
		t.Run(channel, func(t *testing.T) {
			kit := brokertest.New(t)
			ann, tab, idle, bob := kit.Connect(t), kit.Connect(t), kit.Connect(t), kit.Connect(t)
			bob.SignIn("bob")
			bob.Subscribe(channel)
			for _, c := range []*brokertest.Client{ann, tab, idle} {
				c.SignIn("ann")
			}
			ann.Subscribe(channel)
			ann.Subscribe("private-other")
			tab.Subscribe(channel)
			presence := broker.KindOf(channel).Base() == broker.Presence
			if presence {
				bob.Expect("pusher_internal:member_added", channel)
			}

			n, err := kit.App.Revoke(t.Context(), channel, "ann")
			require.NoError(t, err)
			assert.Equal(t, 2, n)
			for _, c := range []*brokertest.Client{ann, tab} {
				assert.Equal(t, `{"type":"AuthError","error":"authorization was revoked","status":403}`, c.Expect("pusher:subscription_error", channel).Data)
			}
			if presence {
				assert.Equal(t, `{"user_id":"ann"}`, bob.Expect("pusher_internal:member_removed", channel).Data)
			}
			_, err = kit.App.Publish(t.Context(), channel, "message", []byte("x"))
			require.NoError(t, err)
			bob.Expect("message", channel)
			if broker.KindOf(channel).ClientEvents() {
				ann.Trigger(channel, "client-x", "1")
				ann.Expect("pusher:error", "")
			}

			// The signatures from before count no more, on any of the connections.
			for _, c := range []*brokertest.Client{ann, tab, idle} {
				c.Write(signed(c, channel, ""))
				assert.Contains(t, c.Expect("pusher:subscription_error", channel).Data, `"status":403`)
				c.ExpectNothing()
			}
			bob.ExpectNothing()
			ann.Unsubscribe(channel)
			ann.Unsubscribe("private-other")
			ann.Subscribe("private-other")
			again := kit.Connect(t)
			again.SignIn("ann")
			again.Subscribe(channel) // whoever authorizes has had a say

			n, err = kit.App.Revoke(t.Context(), channel, "nobody")
			require.NoError(t, err)
			assert.Zero(t, n)
		})
	}
}

// TestRevokeFindsMembersWhoHaveNotSignedIn by who they are on the channel.
func TestRevokeFindsMembersWhoHaveNotSignedIn(t *testing.T) {
	kit := brokertest.New(t)
	ann, bob := kit.Connect(t), kit.Connect(t)
	ann.SubscribeAs("presence-room", "ann", "")
	ann.SubscribeAs("presence-other", "ann", "")
	bob.SubscribeAs("presence-room", "bob", "")
	ann.Expect("pusher_internal:member_added", "presence-room")
	n, err := kit.App.Revoke(t.Context(), "presence-room", "ann")
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	ann.Expect("pusher:subscription_error", "presence-room")
	bob.Expect("pusher_internal:member_removed", "presence-room")
	members, err := kit.App.Members(t.Context(), "presence-other")
	require.NoError(t, err)
	assert.Len(t, members, 1)
}

func TestRevokeRefusesWhatIsNotAuthorized(t *testing.T) {
	kit := brokertest.New(t)
	for _, c := range [][2]string{{"room", "ann"}, {"cache-room", "ann"}, {"#server-to-user-ann", "ann"}, {"private room", "ann"}, {"private-room", ""}} {
		_, err := kit.App.Revoke(t.Context(), c[0], c[1])
		require.ErrorIs(t, err, broker.ErrInvalid, c)
	}
}

// TestRevokeHoldsWhileAHookDecides: neither a subscription nor an event that began
// before it may come about after it.
func TestRevokeHoldsWhileAHookDecides(t *testing.T) {
	var kit *brokertest.Kit
	revoke := func(ctx context.Context) {
		_, err := kit.App.Revoke(ctx, "private-room", "ann")
		assert.NoError(t, err)
	}
	deciding := false
	kit = brokertest.New(t, broker.WithHooks(broker.Hooks{
		Subscribe: func(ctx context.Context, r *broker.SubscribeRequest) error {
			if deciding {
				revoke(ctx)
			}
			return nil
		},
		ClientEvent: func(ctx context.Context, _ *broker.ClientEventRequest) error {
			revoke(ctx)
			return nil
		},
	}))
	ann, bob, tab := kit.Connect(t), kit.Connect(t), kit.Connect(t)
	bob.Subscribe("private-room")
	tab.SignIn("ann")
	tab.Subscribe("private-room")
	tab.Trigger("private-room", "client-x", "1")
	tab.Expect("pusher:subscription_error", "private-room")
	assert.Contains(t, tab.Expect("pusher:error", "").Raw, "revoked")
	bob.ExpectNothing()

	deciding = true
	ann.SignIn("ann")
	ann.Write(signed(ann, "private-room", ""))
	assert.Contains(t, ann.Expect("pusher:subscription_error", "private-room").Data, "revoked")
	ann.ExpectNothing()
	assert.EqualValues(t, 3, kit.Broker.Stats().Sessions)
}

func TestAnAuthorizeHookLetsTheRevokedBack(t *testing.T) {
	pardoned := false
	kit := brokertest.New(t, broker.WithHooks(broker.Hooks{Authorize: func(_ context.Context, r *broker.SubscribeRequest) error {
		r.Authorized = r.Authorized || pardoned
		return nil
	}}))
	ann := kit.Connect(t)
	ann.SignIn("ann")
	ann.Subscribe("private-room")
	_, err := kit.App.Revoke(t.Context(), "private-room", "ann")
	require.NoError(t, err)
	ann.Expect("pusher:subscription_error", "private-room")
	ann.Write(signed(ann, "private-room", ""))
	ann.Expect("pusher:subscription_error", "private-room")
	pardoned = true
	ann.Subscribe("private-room")
}

func TestAuthorizationsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t)
		data := func(after time.Duration) string {
			return fmt.Sprintf(`{"user_id":"ann","auth_expires":%d}`, time.Now().Add(after).Unix())
		}
		for _, channel := range []string{"private-room", "private-encrypted-room", "presence-room"} {
			ann, bob := kit.Connect(t), kit.Connect(t)
			bob.Subscribe("private-other")
			ann.Write(signed(ann, channel, data(time.Minute)))
			ann.Expect("pusher_internal:subscription_succeeded", channel)
			ann.Write(signed(ann, "private-later", data(time.Hour)))
			ann.Expect("pusher_internal:subscription_succeeded", "private-later")
			time.Sleep(time.Minute - time.Second)
			ann.ExpectNothing()
			time.Sleep(2 * time.Second)
			synctest.Wait()
			assert.Equal(t, 4200, ann.CloseCode())
			bob.ExpectNothing() // its own has no end

			late := kit.Connect(t)
			late.Write(signed(late, channel, data(0)))
			assert.Contains(t, late.Expect("pusher:subscription_error", channel).Data, `authorization has expired","status":401`)
			late.Write(signed(late, channel, `{"user_id":"ann","auth_expires":"soon"}`))
			assert.Contains(t, late.Expect("pusher:subscription_error", channel).Data, `channel_data.auth_expires is not`)
		}
	})
}

// TestTheEndOfALeftChannelEndsNothing, nor does that of one whose authorization was
// renewed by subscribing anew.
func TestTheEndOfALeftChannelEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t, broker.WithHooks(broker.Hooks{Subscribe: func(_ context.Context, r *broker.SubscribeRequest) error {
			if r.Channel != "room" { // also where no signature says so
				r.Expires = time.Now().Add(time.Minute)
			}
			return nil
		}}))
		ann := kit.Connect(t)
		ann.Subscribe("room")
		ann.Subscribe("left")
		ann.Subscribe("renewed")
		time.Sleep(30 * time.Second)
		ann.Unsubscribe("left")
		ann.Unsubscribe("renewed")
		ann.Subscribe("renewed")
		time.Sleep(59 * time.Second)
		synctest.Wait()
		_, err := kit.App.Publish(t.Context(), "room", "message", []byte("x"))
		require.NoError(t, err)
		ann.Expect("message", "room")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.Equal(t, 4200, ann.CloseCode())
	})
}

func TestAnEndThatIsFarAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t)
		ann := kit.Connect(t)
		ann.Write(signed(ann, "private-room", `{"auth_expires":253402300799}`))
		ann.Expect("pusher_internal:subscription_succeeded", "private-room")
		bob := kit.Connect(t)
		bob.Write(signed(bob, "private-room", fmt.Sprintf(`{"auth_expires":%d}`, time.Now().Add(50*time.Hour).Unix())))
		bob.Expect("pusher_internal:subscription_succeeded", "private-room")
		time.Sleep(50*time.Hour - time.Second)
		synctest.Wait()
		bob.ExpectNothing()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.Equal(t, 4200, bob.CloseCode())
		ann.ExpectNothing()
	})
}
