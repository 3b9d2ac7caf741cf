package pusher_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/pusher"
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

	n, err := kit.App.TerminateUser("bob")
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

func TestWatchlistLimit(t *testing.T) {
	kit := brokertest.New(t)
	kit.Config.Limits.Watchlist = 1
	c := kit.Connect(t)
	c.SignIn("ann", "bob", "eve")
	expectError(t, c, 4302, "the limit is 1")
	online, err := kit.App.IsOnline(t.Context(), "ann")
	require.NoError(t, err)
	assert.True(t, online)
	c.ExpectNothing()

	c = kit.Connect(t)
	c.SignIn("ann", "bob")
	c.Expect("pusher_internal:watchlist_events", "")
	c.ExpectNothing()
}
