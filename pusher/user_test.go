package pusher_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/transport/websocket"
)

func TestUsers(t *testing.T) {
	kit := brokertest.New(t)
	ann, bob, tab := kit.Connect(t), kit.Connect(t), kit.Connect(t)
	assert.Equal(t, `{"user_data":"{\"id\":\"ann\",\"watchlist\":[\"bob\",\"eve\"]}"}`, ann.SignIn("ann", "bob", "eve").Data)
	assert.Equal(t, `{"events":[{"name":"offline","user_ids":["bob","eve"]}]}`, ann.Expect("pusher_internal:watchlist_events", "").Data)
	bob.SignIn("bob")
	assert.Equal(t, `{"events":[{"name":"online","user_ids":["bob"]}]}`, ann.Expect("pusher_internal:watchlist_events", "").Data)
	tab.SignIn("bob")
	ann.ExpectNothing()

	bob.Subscribe("#server-to-user-bob")
	_, err := kit.App.PublishToUser(t.Context(), "bob", "note", []byte("hi"))
	require.NoError(t, err)
	bob.Expect("note", "#server-to-user-bob")
	ann.Write(`{"event":"pusher:subscribe","data":{"channel":"#server-to-user-bob"}}`)
	expectSubscriptionError(t, ann, "#server-to-user-bob", "AuthError", 401, "")

	n, err := kit.App.TerminateUser(t.Context(), "bob")
	require.NoError(t, err)
	assert.Equal(t, 2, n)
	assert.Equal(t, 4009, bob.CloseCode())
	assert.Equal(t, 4009, tab.CloseCode())
	assert.Equal(t, `{"events":[{"name":"offline","user_ids":["bob"]}]}`, ann.Expect("pusher_internal:watchlist_events", "").Data)
}

func TestSignInFailures(t *testing.T) {
	for name, message := range map[string]string{
		"no signature":  `{"event":"pusher:signin","data":{"auth":"","user_data":"{\"id\":\"ann\"}"}}`,
		"bad signature": `{"event":"pusher:signin","data":{"auth":"test-key:00","user_data":"{\"id\":\"ann\"}"}}`,
		"no data":       `{"event":"pusher:signin"}`,
	} {
		t.Run(name, func(t *testing.T) {
			c := brokertest.New(t).Connect(t)
			c.Write(message)
			expectError(t, c, 4009, "")
			assert.Equal(t, 4009, c.CloseCode())
		})
	}
	t.Run("no id", func(t *testing.T) {
		kit := brokertest.New(t)
		c := kit.Connect(t)
		c.Write(fmt.Sprintf(`{"event":"pusher:signin","data":{"auth":%q,"user_data":"{}"}}`, pusher.UncheckedUserAuth(kit.Config, c.SocketID(), "{}")))
		expectError(t, c, 4009, "user_data.id is empty")
	})
}

// TestSigningInAgainAsTheSameUser takes what the user brings the second time: it is
// what the success confirms.
func TestSigningInAgainAsTheSameUser(t *testing.T) {
	kit := brokertest.New(t)
	ann, bob, eve := kit.Connect(t), kit.Connect(t), kit.Connect(t)
	eve.SignIn("eve")
	signIn := func(user string) {
		t.Helper()
		ann.Write(fmt.Sprintf(`{"event":"pusher:signin","data":{"auth":%q,"user_data":%q}}`, pusher.UncheckedUserAuth(kit.Config, ann.SocketID(), user), user))
		assert.Equal(t, fmt.Sprintf(`{"user_data":%q}`, user), ann.Expect("pusher:signin_success", "").Data)
	}
	expectNews := func(want string) {
		t.Helper()
		assert.Equal(t, want, ann.Expect("pusher_internal:watchlist_events", "").Data)
	}
	signIn(`{"id":"ann","watchlist":["bob","eve"]}`)
	expectNews(`{"events":[{"name":"online","user_ids":["eve"]},{"name":"offline","user_ids":["bob"]}]}`)
	signIn(`{"id":"ann","watchlist":["bob","eve"]}`)
	ann.ExpectNothing() // it knows all that

	signIn(`{"id":"ann","user_info":{"n":2},"watchlist":["bob","kim"]}`)
	expectNews(`{"events":[{"name":"offline","user_ids":["bob","kim"]}]}`)
	eve.Close()
	ann.ExpectNothing() // it watches eve no more
	bob.SignIn("bob")
	expectNews(`{"events":[{"name":"online","user_ids":["bob"]}]}`)
	assert.Equal(t, `{"presence":{"count":1,"ids":["ann"],"hash":{"ann":{"n":2}}}}`, ann.Subscribe("presence-room").Data)

	signIn(`{"id":"ann"}`)
	bob.Close()
	ann.ExpectNothing()
	online, err := kit.App.IsOnline(t.Context(), "ann")
	require.NoError(t, err)
	assert.True(t, online)
	ann.Close()
	online, err = kit.App.IsOnline(t.Context(), "ann")
	require.NoError(t, err)
	assert.False(t, online)
}

func TestAUserIsOnAWatchlistOnce(t *testing.T) {
	kit := brokertest.New(t)
	ann, bob := kit.Connect(t), kit.Connect(t)
	ann.SignIn("ann", "bob", "eve", "bob", "eve")
	assert.Equal(t, `{"events":[{"name":"offline","user_ids":["bob","eve"]}]}`, ann.Expect("pusher_internal:watchlist_events", "").Data)
	bob.SignIn("bob")
	assert.Equal(t, `{"events":[{"name":"online","user_ids":["bob"]}]}`, ann.Expect("pusher_internal:watchlist_events", "").Data)
	ann.ExpectNothing()
}

// TestTheFirstConnectionSaysWhoAMemberIs for as long as the user is there, as on the
// hosted service.
func TestTheFirstConnectionSaysWhoAMemberIs(t *testing.T) {
	kit := brokertest.New(t)
	first, second, other := kit.Connect(t), kit.Connect(t), kit.Connect(t)
	other.SubscribeAs("presence-room", "bob", "")
	first.SubscribeAs("presence-room", "ann", `{"tab":1}`)
	assert.Equal(t, `{"user_id":"ann","user_info":{"tab":1}}`, other.Expect("pusher_internal:member_added", "presence-room").Data)
	const members = `{"presence":{"count":2,"ids":["bob","ann"],"hash":{"bob":null,"ann":{"tab":1}}}}`
	assert.Equal(t, members, second.SubscribeAs("presence-room", "ann", `{"tab":2}`).Data)
	first.Unsubscribe("presence-room")
	other.ExpectNothing()
	other.Unsubscribe("presence-room")
	assert.Contains(t, other.SubscribeAs("presence-room", "bob", "").Data, `"ann":{"tab":1}`)
	second.Expect("pusher_internal:member_removed", "presence-room")
	second.Expect("pusher_internal:member_added", "presence-room")
	second.Unsubscribe("presence-room")
	other.Expect("pusher_internal:member_removed", "presence-room")
	second.SubscribeAs("presence-room", "ann", `{"tab":2}`)
	assert.Equal(t, `{"user_id":"ann","user_info":{"tab":2}}`, other.Expect("pusher_internal:member_added", "presence-room").Data)
}

// TestWatchlistLimit takes what there may be of a list that is too long.
func TestWatchlistLimit(t *testing.T) {
	kit := brokertest.New(t)
	users := func(n int) (ids []string) {
		for i := range n {
			ids = append(ids, fmt.Sprint("user", i))
		}
		return ids
	}
	watched := func(c *brokertest.Client) []string {
		t.Helper()
		var news struct {
			Events []struct {
				Name    string
				UserIDs []string `json:"user_ids"`
			}
		}
		c.Expect("pusher_internal:watchlist_events", "").Decode(t, &news)
		require.Len(t, news.Events, 1)
		assert.Equal(t, "offline", news.Events[0].Name)
		return news.Events[0].UserIDs
	}
	c := kit.Connect(t)
	c.SignIn("ann", users(101)...)
	expectError(t, c, 4302, "watchlist has 101 users, the limit is 100")
	assert.Equal(t, users(100), watched(c))
	online, err := kit.App.IsOnline(t.Context(), "ann")
	require.NoError(t, err)
	assert.True(t, online)
	other := kit.Connect(t)
	other.SignIn("user100")
	c.ExpectNothing()
	other = kit.Connect(t)
	other.SignIn("user99")
	assert.Equal(t, `{"events":[{"name":"online","user_ids":["user99"]}]}`, c.Expect("pusher_internal:watchlist_events", "").Data)

	for _, ids := range [][]string{users(100)[:99], append(users(98), "user0", "user1", "user97")} {
		c = kit.Connect(t)
		c.SignIn("ann", ids...)
		assert.Equal(t, ids[:min(len(ids), 98)], watched(c)[:98])
		c.ExpectNothing()
	}
}

// TestTerminatedUserLeavesAtOnce has a client that neither reads nor answers when
// the connections of its user are terminated: others see the member leave all the
// same.
func TestTerminatedUserLeavesAtOnce(t *testing.T) {
	b, err := broker.New()
	require.NoError(t, err)
	app := pusher.App{ID: "1", Key: "key", Secret: "secret"}
	apps, err := pusher.NewApps(app)
	require.NoError(t, err)
	h := newHandler(t, b, apps, pusher.WithWebSocket(websocket.WithCloseTimeout(time.Hour)))
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		over, cancel := context.WithCancel(context.Background())
		cancel()
		_ = b.Shutdown(over)
		server.Close()
	})
	client, _, err := coder.Dial(t.Context(), server.URL+"/app/key?protocol=7", nil)
	require.NoError(t, err)
	defer func() { _ = client.CloseNow() }()
	var hello struct{ Data string }
	require.NoError(t, json.Unmarshal([]byte(read(t, client)), &hello))
	var established struct {
		SocketID string `json:"socket_id"`
	}
	require.NoError(t, json.Unmarshal([]byte(hello.Data), &established))
	user, member := `{"id":"ann"}`, `{"user_id":"ann"}`
	send := func(format string, args ...any) {
		require.NoError(t, client.Write(t.Context(), coder.MessageText, fmt.Appendf(nil, format, args...)))
	}
	send(`{"event":"pusher:signin","data":{"auth":%q,"user_data":%q}}`, pusher.UncheckedUserAuth(&app, established.SocketID, user), user)
	require.Contains(t, read(t, client), "pusher:signin_success")
	send(`{"event":"pusher:subscribe","data":{"channel":"presence-room","auth":%q,"channel_data":%q}}`,
		pusher.UncheckedChannelAuth(&app, established.SocketID, "presence-room", member), member)
	require.Contains(t, read(t, client), "subscription_succeeded")
	n, err := b.App("1").TerminateUser(t.Context(), "ann")
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Eventually(t, func() bool {
		members, err := b.App("1").Members(t.Context(), "presence-room")
		return err == nil && len(members) == 0
	}, 10*time.Second, time.Millisecond)
}
