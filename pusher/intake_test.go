package pusher

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/memory"
)

// talker is a client that counts what it is told.
type talker struct {
	t        *testing.T
	app      *App
	conn     *memory.Client
	socketID string
}

func (a *apiTest) talker(t *testing.T) *talker {
	c := Connect(t, a.handler.Open(t.Context(), Dial{Key: a.app.Key, Protocol: "7"}))
	return &talker{t: t, app: a.app, conn: c, socketID: socketIDOf(t, c)}
}

func (c *talker) send(event string, data map[string]string) {
	c.t.Helper()
	message, err := json.Marshal(map[string]any{"event": event, "data": data})
	require.NoError(c.t, err)
	require.NoError(c.t, c.conn.Send(message))
}

func (c *talker) subscribe(channel string) {
	data := map[string]string{"channel": channel}
	if broker.KindOf(channel).NeedsAuthorization() {
		if broker.KindOf(channel).Base() == broker.Presence {
			data["channel_data"] = `{"user_id":"ann"}`
		}
		data["auth"] = UncheckedChannelAuth(c.app, c.socketID, channel, data["channel_data"])
	}
	c.send("pusher:subscribe", data)
}

// told counts the messages that wait by their event, and returns the last one.
func (c *talker) told() (events map[string]int, last string) {
	events = make(map[string]int)
	for {
		m, ok := c.conn.TryReceive()
		if !ok {
			return events, last
		}
		var f struct{ Event string }
		require.NoError(c.t, json.Unmarshal(m, &f))
		events[f.Event]++
		last = string(m)
	}
}

const (
	subscribed = "pusher_internal:subscription_succeeded"
	notYet     = "pusher:subscription_error"
)

func TestAConnectionHasSoManyChannels(t *testing.T) {
	a := newAPITest(t)
	a.app.Limits = Limits{ChannelsPerConnection: 3, AuthorizedChannelsPerConnection: 5}
	c := a.talker(t)
	for i := range 4 {
		c.subscribe(fmt.Sprint("room", i))
	}
	events, last := c.told()
	assert.Equal(t, map[string]int{subscribed: 3, notYet: 1}, events)
	assert.Contains(t, last, `LimitReached`)
	assert.Contains(t, last, `the limit is 3`)
	assert.Contains(t, last, `\"status\":403`)
	assert.EqualValues(t, 1, a.broker.Stats().Refused)

	// One that needs authorization counts under the higher limit, and so does all
	// that comes after it.
	c.subscribe("private-a")
	c.subscribe("room4")
	c.subscribe("room5")
	events, last = c.told()
	assert.Equal(t, map[string]int{subscribed: 2, notYet: 1}, events)
	assert.Contains(t, last, `the limit is 5`)

	// What was let go makes room, and the rest goes on.
	c.send("pusher:unsubscribe", map[string]string{"channel": "room0"})
	c.subscribe("room6")
	_, err := a.broker.App("1").Publish(t.Context(), "room1", "message", []byte("{}"))
	require.NoError(t, err)
	events, _ = c.told()
	assert.Equal(t, map[string]int{subscribed: 1, "message": 1}, events)
}

func TestASignInRaisesTheChannels(t *testing.T) {
	a := newAPITest(t)
	a.app.Limits = Limits{ChannelsPerConnection: 1, AuthorizedChannelsPerConnection: 2}
	c := a.talker(t)
	user := `{"id":"ann"}`
	auth, err := SignUser(a.app, c.socketID, user)
	require.NoError(t, err)
	c.send("pusher:signin", map[string]string{"auth": auth, "user_data": user})
	c.told()
	c.subscribe("a")
	c.subscribe("b")
	c.subscribe("c")
	events, _ := c.told()
	assert.Equal(t, map[string]int{subscribed: 2, notYet: 1}, events)
}

// A client that reconnects subscribes to all its channels at once.
func TestAllChannelsMayBeSubscribedToAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPITest(t)
		for _, channels := range []int{1000, 10_000} {
			c := a.talker(t)
			if channels > 1000 {
				c.subscribe("private-own")
				channels--
			}
			for i := range channels {
				c.subscribe(fmt.Sprint("room-", i))
			}
			events, _ := c.told()
			assert.Zero(t, events[notYet])
			assert.GreaterOrEqual(t, events[subscribed], channels)
			c.subscribe("one-more")
			_, last := c.told()
			assert.Contains(t, last, "LimitReached")
			c.conn.Close(1000, "")
		}
	})
}

func TestASubscriptionHasItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPITest(t)
		a.app.Limits = Limits{ChannelsPerConnection: 10, AuthorizedChannelsPerConnection: 10, SubscribesPerSecond: 2}
		c := a.talker(t)
		again := func(n int) (map[string]int, string) {
			for range n {
				c.subscribe("room")
				c.send("pusher:unsubscribe", map[string]string{"channel": "room"})
			}
			return c.told()
		}
		events, last := again(11)
		assert.Equal(t, map[string]int{subscribed: 10, notYet: 1}, events)
		assert.Contains(t, last, `\"status\":429`)
		time.Sleep(time.Second)
		events, _ = again(3)
		assert.Equal(t, map[string]int{subscribed: 2, notYet: 1}, events)
	})
}

func TestMessagesHaveTheirRate(t *testing.T) {
	const burst = 50 + 2*10
	synctest.Test(t, func(t *testing.T) {
		for name, tc := range map[string]struct {
			messages []string
			want     map[string]int
			text     string
		}{
			"pings":     {repeat(`{"event":"pusher:ping","data":{}}`, 3), map[string]int{"pusher:error": 1}, `"code":null,"message":"message dropped: messages per second: rate limit of 50`},
			"pongs":     {repeat(`{"event":"pusher:pong","data":{}}`, 3), map[string]int{}, ""},
			"garbage":   {repeat(`{`, 3), map[string]int{"pusher:error": 1}, "message dropped"},
			"subscribe": {repeat(`{"event":"pusher:subscribe","data":{"channel":"b"}}`, 3), map[string]int{notYet: 3}, `LimitReached`},
			"client":    {repeat(`{"event":"client-x","channel":"private-a","data":{}}`, 3), map[string]int{"pusher:error": 3}, `4301`},
			"large":     {[]string{`{"event":"pusher:ping","data":"` + strings.Repeat("x", 40<<10) + `"}`}, map[string]int{"pusher:error": 1}, ""},
			"leave":     {[]string{`{"event":"pusher:unsubscribe","data":{"channel":"room"}}`}, map[string]int{}, ""},
		} {
			a := newAPITest(t)
			a.app.Limits = Limits{ChannelsPerConnection: 10, AuthorizedChannelsPerConnection: 10, MessagesPerSecond: 50, UnreadAnswerBytes: -1}
			c := a.talker(t)
			c.subscribe("room")
			for range burst - 1 {
				require.NoError(t, c.conn.Send([]byte(`{"event":"pusher:pong"}`)))
			}
			c.told()
			for _, m := range tc.messages {
				require.NoError(t, c.conn.Send([]byte(m)))
			}
			events, last := c.told()
			assert.Equal(t, tc.want, events, name)
			assert.Contains(t, last, tc.text, name)
			assert.EqualValues(t, len(tc.messages), a.handler.Stats().MessagesLimited, name)
			time.Sleep(time.Second)
			c.send("pusher:ping", nil)
			events, _ = c.told()
			assert.Equal(t, map[string]int{"pusher:pong": 1}, events, name)
			assert.Equal(t, name != "leave", a.broker.Stats().Channels == 1, name)
			c.conn.Close(1000, "")
		}
	})
}

func repeat(s string, n int) (all []string) {
	for range n {
		all = append(all, s)
	}
	return all
}

// Past events, cached ones and members count by what they are, since a few bytes
// ask for them.
func TestThePastHasItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, channel := range []string{"rewind", "cache-a", "presence-a"} {
			a := newAPITest(t, broker.WithChannelRules(broker.ChannelRule{Pattern: "rewind", History: broker.Retention{Events: 5}, Rewind: 5}))
			a.app.Limits = Limits{ChannelsPerConnection: 1, AuthorizedChannelsPerConnection: 1, PastBytesPerSecond: 8 << 10}
			app := a.broker.App("1")
			if broker.KindOf(channel).Base() == broker.Presence {
				for i := range 10 {
					other := a.talker(t)
					data := fmt.Sprintf(`{"user_id":"%d","user_info":%q}`, i, strings.Repeat("x", 900))
					other.send("pusher:subscribe", map[string]string{"channel": channel, "channel_data": data,
						"auth": UncheckedChannelAuth(a.app, other.socketID, channel, data)})
				}
			} else {
				_, err := app.Publish(t.Context(), channel, "message", []byte(strings.Repeat("x", 9<<10)))
				require.NoError(t, err)
			}
			c := a.talker(t)
			again := func(n int) (map[string]int, string) {
				for range n {
					c.subscribe(channel)
					c.send("pusher:unsubscribe", map[string]string{"channel": channel})
				}
				return c.told()
			}
			events, last := again(3)
			assert.Equal(t, 2, events[subscribed], channel) // 16 KiB, and the rest of the second
			assert.Equal(t, 1, events[notYet], channel)
			assert.Contains(t, last, `bytes of past events per second`, channel)
			c.subscribe("room")
			events, _ = c.told()
			assert.Equal(t, map[string]int{subscribed: 1}, events, "what has no past is free")
			c.send("pusher:unsubscribe", map[string]string{"channel": "room"})
			time.Sleep(10 * time.Second)
			events, _ = again(1)
			assert.Equal(t, 1, events[subscribed], channel)
			c.conn.Close(1000, "")
		}
	})
}

// What is answered to who does not read is bounded.
func TestAnswersThatNobodyReadsAreBounded(t *testing.T) {
	for name, message := range map[string]string{
		"pings":        `{"event":"pusher:ping"}`,
		"garbage":      `{`,
		"unknown":      `{"event":"` + strings.Repeat(`\u00e4`, 200) + `"}`,
		"not a member": `{"event":"client-x","channel":"private-a","data":{}}`,
		"long channel": `{"event":"pusher:subscribe","data":{"channel":"` + strings.Repeat("x", 4<<10) + `"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPITest(t)
			c := a.talker(t)
			var conn transport.Conn = a.broker.Session(c.socketID).Conn()
			for n := 0; n < 5000 && a.handler.Stats().AnswersDropped < 20; n++ {
				require.NoError(t, c.conn.Send([]byte(message)))
			}
			assert.LessOrEqual(t, conn.Queue().Bytes, DefaultLimits.UnreadAnswerBytes)
			dropped := a.handler.Stats().AnswersDropped
			assert.EqualValues(t, 20, dropped)
			// The rest goes on, and so do answers once there is room.
			c.subscribe("room")
			events, _ := c.told()
			assert.Equal(t, 1, events[subscribed])
			require.NoError(t, c.conn.Send([]byte(message)))
			events, _ = c.told()
			assert.Len(t, events, 1)
			assert.Equal(t, dropped, a.handler.Stats().AnswersDropped)
			assert.Zero(t, a.broker.Stats().SlowSessions)
		})
	}
}

func TestLimitsOfConnectionsCanBeTakenAway(t *testing.T) {
	a := newAPITest(t)
	a.app.Limits = Limits{ChannelsPerConnection: -1, AuthorizedChannelsPerConnection: -1, SubscribesPerSecond: -1,
		MessagesPerSecond: -1, PastBytesPerSecond: -1, UnreadAnswerBytes: -1}
	require.NoError(t, a.app.Check())
	c := a.talker(t)
	for i := range 12_000 {
		c.subscribe(fmt.Sprint("room", i))
	}
	events, _ := c.told()
	assert.Equal(t, map[string]int{subscribed: 12_000}, events)
	for _, l := range []Limits{
		{ChannelsPerConnection: 20_000},
		{ChannelsPerConnection: -1},
		{AuthorizedChannelsPerConnection: 10},
	} {
		a.app.Limits = l
		assert.ErrorIs(t, a.app.Check(), broker.ErrInvalid)
	}
}
