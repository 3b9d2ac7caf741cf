package pusher_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/ratelimit"
)

func TestSubscriptionAuthorization(t *testing.T) {
	kit := brokertest.New(t)
	c := kit.Connect(t)
	subscribe := func(channel, auth, data string) {
		c.Write(fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":%q,"auth":%q,"channel_data":%q}}`, channel, auth, data))
	}
	sign := func(channel, data string) string {
		return pusher.UncheckedChannelAuth(kit.Config, c.SocketID(), channel, data)
	}
	for _, channel := range []string{"private-a", "private-encrypted-a", "presence-a", "private-cache-a", "presence-cache-a"} {
		subscribe(channel, "", "")
		expectSubscriptionError(t, c, channel, "AuthError", 401, "auth is missing")
		expectError(t, c, 0, "Invalid signature: Expected HMAC SHA256 hex digest of "+c.SocketID()+":"+channel)
		subscribe(channel, sign("private-b", ""), "")
		expectSubscriptionError(t, c, channel, "AuthError", 401, "invalid signature")
		expectError(t, c, 0, "Invalid signature: Expected HMAC SHA256 hex digest of "+c.SocketID()+":"+channel+", but got ")
	}
	subscribe("presence-a", sign("presence-a", `{"user_id":1}`), `{"user_id":2}`)
	expectSubscriptionError(t, c, "presence-a", "AuthError", 401, "invalid signature")
	expectError(t, c, 0, "Invalid signature: Expected HMAC SHA256 hex digest of "+c.SocketID()+`:presence-a:{"user_id":2}`)
	subscribe("presence-a", sign("presence-a", `{"user_id":""}`), `{"user_id":""}`)
	expectSubscriptionError(t, c, "presence-a", "AuthError", 400, "user_id is empty")
	subscribe("presence-a", sign("presence-a", ""), "")
	expectSubscriptionError(t, c, "presence-a", "InvalidRequest", 400, "channel_data")
	subscribe("bad name", "", "")
	expectSubscriptionError(t, c, "bad name", "InvalidRequest", 400, "character")
	subscribe(strings.Repeat("x", 165), "", "")
	expectSubscriptionError(t, c, strings.Repeat("x", 165), "InvalidRequest", 400, "limit is 164")
	subscribe("#server-to-user-eve", "", "")
	expectSubscriptionError(t, c, "#server-to-user-eve", "AuthError", 401, "")

	// pusher-js forwards channel_data on private channels too, and it is signed.
	subscribe("private-a", sign("private-a", `{"x":1}`), `{"x":1}`)
	c.Expect("pusher_internal:subscription_succeeded", "private-a")
	subscribe("privateroom", "", "")
	c.Expect("pusher_internal:subscription_succeeded", "privateroom")
	c.Subscribe("room")
	subscribe("room", "", "")
	expectError(t, c, 0, "Existing subscription to channel room")
	c.Unsubscribe("room")
	c.Unsubscribe("room")
	c.Unsubscribe("never")
	c.ExpectNothing()
	c.Subscribe("room")
}

// TestHooksRefuseSubscriptions with the status and the words of the hook.
func TestHooksRefuseSubscriptions(t *testing.T) {
	limits, err := ratelimit.New(nil, ratelimit.Rule{Name: "subscriptions", Action: ratelimit.Subscribe, By: []ratelimit.Field{ratelimit.BySession}, Limit: ratelimit.Limit{Rate: 0.01, Burst: 5}})
	require.NoError(t, err)
	kit := brokertest.New(t, broker.WithRateLimits(limits), broker.WithHooks(broker.Hooks{
		Subscribe: func(_ context.Context, r *broker.SubscribeRequest) error {
			switch r.Channel {
			case "paid":
				return broker.Refuse(http.StatusPaymentRequired, "pay first")
			case "closed":
				return broker.Refuse(0, "closed today")
			case "broken":
				return errAway
			}
			return nil
		},
	}))
	c := kit.Connect(t)
	for _, test := range []struct {
		channel, kind string
		status        int
		text          string
	}{
		{"paid", "AuthError", 402, "pay first"},
		{"closed", "AuthError", 403, "closed today"},
		{"broken", "AuthError", 500, "internal error"},
		{"#server-to-user-ann", "AuthError", 401, "not authorized"},
		{"private-a", "AuthError", 401, "auth is missing"},
		{"room", "LimitReached", 429, "retry in"},
	} {
		c.Write(fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":%q}}`, test.channel))
		expectSubscriptionError(t, c, test.channel, test.kind, test.status, test.text)
		if test.channel == "private-a" {
			expectError(t, c, 0, "Invalid signature")
		}
	}
	c.ExpectNothing()
}

// TestMalformedSubscriptionsAreToldOnTheirChannel is about what a backend has
// answered wrongly and pusher-js hands on, such as channel_data that is an object.
func TestMalformedSubscriptionsAreToldOnTheirChannel(t *testing.T) {
	c := brokertest.New(t).Connect(t)
	for data, text := range map[string]string{
		`{"auth":"k:s","channel_data":{"user_id":1},"channel":"presence-a"}`:               "channel_data is not a string",
		`{"channel":"presence-a","auth":{"auth":"k:s"}}`:                                   "auth is not a string",
		`"{\"channel_data\":7,\"channel\":\"presence-a\"}"`:                                "channel_data is not a string",
		`{"channel":"presence-a","auth":"test-key:00","channel_data":"not looked at yet"}`: "invalid signature",
	} {
		c.Write(`{"event":"pusher:subscribe","data":` + data + `}`)
		var e subscriptionError
		c.Expect("pusher:subscription_error", "presence-a").Decode(t, &e)
		assert.Contains(t, e.Error, text)
		if text == "invalid signature" {
			expectError(t, c, 0, "Invalid signature")
		}
	}
	c.ExpectNothing()
	for _, data := range []string{`{"channel":7}`, `{"auth":{}}`, `{"channel":null,"auth":{}}`, `{`, `7`} {
		c.Write(`{"event":"pusher:subscribe","data":` + data + `}`)
		c.Expect("pusher:error", "")
	}
}

func TestPresenceOverTheWire(t *testing.T) {
	kit := brokertest.New(t)
	ann, tab, bob := kit.Connect(t), kit.Connect(t), kit.Connect(t)
	assert.Equal(t, `{"presence":{"count":1,"ids":["ann"],"hash":{"ann":{"name":"Ann"}}}}`,
		ann.SubscribeAs("presence-room", "ann", `{"name":"Ann"}`).Data)
	tab.SubscribeAs("presence-room", "ann", `{"name":"Ann"}`)
	ann.ExpectNothing()
	assert.Equal(t, `{"presence":{"count":2,"ids":["ann","bob"],"hash":{"ann":{"name":"Ann"},"bob":null}}}`,
		bob.SubscribeAs("presence-room", "bob", "").Data)
	assert.Equal(t, `{"user_id":"bob"}`, ann.Expect("pusher_internal:member_added", "presence-room").Data)
	tab.Expect("pusher_internal:member_added", "presence-room")
	bob.ExpectNothing()
	ann.Close()
	bob.ExpectNothing()
	tab.Unsubscribe("presence-room")
	assert.Equal(t, `{"user_id":"ann"}`, bob.Expect("pusher_internal:member_removed", "presence-room").Data)

	// A signed-in connection needs no channel_data: the user is the member.
	eve := kit.Connect(t)
	eve.SignIn("eve")
	eve.Subscribe("presence-room")
	assert.Equal(t, `{"user_id":"eve"}`, bob.Expect("pusher_internal:member_added", "presence-room").Data)
}

func TestMemberLimit(t *testing.T) {
	kit := brokertest.New(t)
	kit.Config.Limits.PresenceMembers = 1
	ann, bob := kit.Connect(t), kit.Connect(t)
	ann.SubscribeAs("presence-room", "ann", "")
	data := `{"user_id":"bob"}`
	bob.Write(fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":"presence-room","auth":%q,"channel_data":%q}}`,
		pusher.UncheckedChannelAuth(kit.Config, bob.SocketID(), "presence-room", data), data))
	expectSubscriptionError(t, bob, "presence-room", "LimitReached", 403, "limit is 1")
	ann.ExpectNothing()
}

func TestCacheChannels(t *testing.T) {
	kit := brokertest.New(t)
	for _, channel := range []string{"cache-a", "private-cache-a"} {
		early := kit.Connect(t)
		early.Subscribe(channel)
		early.Expect("pusher:cache_miss", channel)
		_, err := kit.App.Publish(t.Context(), channel, "price", []byte("1"))
		require.NoError(t, err)
		early.Expect("price", channel)
		late := kit.Connect(t)
		late.Subscribe(channel)
		assert.Equal(t, "1", late.Expect("price", channel).Data)
	}
}

func TestRewind(t *testing.T) {
	kit := brokertest.New(t, broker.WithChannelRules(broker.ChannelRule{Pattern: "room-*", History: broker.Retention{Events: 10}, Rewind: 2}))
	for i := range 4 {
		_, err := kit.App.Publish(t.Context(), "room-1", "message", fmt.Append(nil, i))
		require.NoError(t, err)
	}
	c := kit.Connect(t)
	c.Subscribe("room-1")
	assert.Equal(t, "2", c.Expect("message", "room-1").Data)
	assert.Equal(t, "3", c.Expect("message", "room-1").Data)
	c.ExpectNothing()
}

func TestSubscriptionCounts(t *testing.T) {
	kit := brokertest.New(t)
	kit.Config.SubscriptionCounts = true
	ann, bob := kit.Connect(t), kit.Connect(t)
	ann.Subscribe("room")
	assert.Equal(t, `{"subscription_count":1}`, ann.Expect("pusher_internal:subscription_count", "room").Data)
	bob.Subscribe("room")
	assert.Equal(t, `{"subscription_count":2}`, ann.Expect("pusher_internal:subscription_count", "room").Data)
	bob.Close()
	assert.Equal(t, `{"subscription_count":1}`, ann.Expect("pusher_internal:subscription_count", "room").Data)
}
