package pusher_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
)

var errAway = errors.New("dial tcp 10.0.0.5:5432: connection refused")

// brokenHistory and brokenPresence are stores that cannot be reached.
type brokenHistory struct{ storage.History }

func (brokenHistory) Append(context.Context, storage.ChannelID, *storage.Event, storage.AppendOptions) (storage.Appended, error) {
	return storage.Appended{}, errAway
}

func (brokenHistory) Read(context.Context, storage.ChannelID, storage.ReadOptions) (storage.Page, error) {
	return storage.Page{}, errAway
}

type brokenPresence struct{ storage.Presence }

func (brokenPresence) Join(context.Context, storage.ChannelID, storage.Connection, storage.Member, storage.JoinOptions) (storage.Joined, error) {
	return storage.Joined{}, errAway
}

// TestFailuresOfAStore must neither keep clients away for good, nor show them
// anything of the server.
func TestFailuresOfAStore(t *testing.T) {
	store := memory.New()
	kit := brokertest.New(t, broker.WithHistory(brokenHistory{store}), broker.WithPresence(brokenPresence{store}),
		broker.WithChannelRules(broker.ChannelRule{Pattern: "private-kept", History: broker.Retention{Events: 10}}))
	c := kit.Connect(t)
	subscribe := func(channel, data string) {
		c.Write(fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":%q,"auth":%q,"channel_data":%q}}`,
			channel, pusher.UncheckedChannelAuth(kit.Config, c.SocketID(), channel, data), data))
	}
	expectNothingTold := func(text string) {
		assert.NotContains(t, text, "10.0.0.5")
		assert.Contains(t, text, "internal error")
	}
	for _, channel := range []string{"cache-room", "presence-room"} {
		subscribe(channel, `{"user_id":"ann"}`)
		f := c.Expect("pusher:subscription_error", channel)
		assert.Contains(t, f.Data, `"status":500`)
		expectNothingTold(f.Data)
	}
	c.Subscribe("private-kept")
	c.Trigger("private-kept", "client-typing", 1)
	expectNothingTold(c.Expect("pusher:error", "").Raw)
	c.ExpectNothing()

	user := `{"id":"ann"}`
	c.Write(fmt.Sprintf(`{"event":"pusher:signin","data":{"auth":%q,"user_data":%q}}`, pusher.UncheckedUserAuth(kit.Config, c.SocketID(), user), user))
	expectError(t, c, 4100, "sign-in: internal error")
	assert.Equal(t, 4100, c.CloseCode())
}

// TestRefusalsThatPass lets clients come back where it is of use.
func TestRefusalsThatPass(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		code int
		text string
	}{
		"for good":      {broker.Refuse(http.StatusForbidden, "you are banned"), 4009, "you are banned"},
		"no status":     {broker.Refuse(0, "you are banned"), 4009, "you are banned"},
		"too many":      {broker.Refuse(http.StatusTooManyRequests, "come back later"), 4100, "come back later"},
		"unavailable":   {broker.Refuse(http.StatusServiceUnavailable, "come back later"), 4100, "come back later"},
		"for a while":   {&broker.RefusedError{Message: "come back later", RetryAfter: time.Minute}, 4100, "come back later"},
		"a broken hook": {errAway, 4100, "internal error"},
	} {
		t.Run(name, func(t *testing.T) {
			c := brokertest.New(t, broker.WithHooks(broker.Hooks{
				Connect: func(context.Context, *broker.ConnectRequest) error { return test.err },
			})).Dial(t)
			expectError(t, c, test.code, test.text)
			assert.Equal(t, test.code, c.CloseCode())
		})
	}
}

func TestSigningInAsAnotherUserIsRefusedForGood(t *testing.T) {
	kit := brokertest.New(t)
	c := kit.Connect(t)
	c.SignIn("ann")
	c.SignIn("ann")
	user := `{"id":"bob"}`
	c.Write(fmt.Sprintf(`{"event":"pusher:signin","data":{"auth":%q,"user_data":%q}}`, pusher.UncheckedUserAuth(kit.Config, c.SocketID(), user), user))
	expectError(t, c, 4009, `another user: "ann"`)
	assert.Equal(t, 4009, c.CloseCode())
}
