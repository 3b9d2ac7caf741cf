package pusher

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
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
			begin := time.Now()
			for i := range channels {
				c.subscribe(fmt.Sprint("room-", i))
			}
			assert.Zero(t, time.Since(begin))
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

// What is over the rate is not read until it is not any more, and then handled.
func TestMessagesHaveTheirRate(t *testing.T) {
	const rate = 50
	for name, tc := range map[string]struct {
		message string
		atOnce  int
		answers string
	}{
		"pongs":         {`{"event":"pusher:pong","data":{}}`, rate, ""},
		"leaving again": {`{"event":"pusher:unsubscribe","data":{"channel":"b"}}`, rate, ""},
		"pings":         {`{"event":"pusher:ping","data":{}}`, rate / answerWeight, "pusher:pong"},
		"garbage":       {`{`, rate / answerWeight, "pusher:error"},
		"unknown":       {`{"event":"x"}`, rate / answerWeight, "pusher:error"},
		"no member":     {`{"event":"client-x","channel":"private-a","data":{}}`, rate / answerWeight, "pusher:error"},
		"no signature":  {`{"event":"pusher:subscribe","data":{"channel":"presence-b"}}`, rate / answerWeight, notYet},
		"large pongs":   {`{"event":"pusher:pong","data":"` + strings.Repeat("x", 9*messageUnit) + `"}`, rate / 10, ""},
		"over all":      {`{"event":"pusher:pong","data":"` + strings.Repeat("x", 2*rate*messageUnit) + `"}`, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPITest(t)
				a.app.Limits = Limits{ChannelsPerConnection: 10, AuthorizedChannelsPerConnection: 10, MessagesPerSecond: rate, UnreadAnswerBytes: -1}
				c := a.talker(t)
				send := func(n int) time.Duration {
					begin := time.Now()
					for range n {
						require.NoError(t, c.conn.Send([]byte(tc.message)))
					}
					return time.Since(begin)
				}
				assert.Zero(t, send(tc.atOnce), "at once")
				assert.Zero(t, a.handler.Stats().MessagesLimited)
				assert.InDelta(t, time.Second, send(tc.atOnce), float64(paceFor), "as many again")
				assert.Positive(t, a.handler.Stats().MessagesLimited)
				events, _ := c.told()
				if tc.answers == "" {
					assert.Empty(t, events)
				} else {
					assert.Equal(t, 2*tc.atOnce, events[tc.answers], "all are answered")
				}
				time.Sleep(time.Second)
				assert.Zero(t, send(tc.atOnce), "at once")
				c.conn.Close(1000, "")
			})
		})
	}
}

// Who goes, or is sent away, while it is not read does not stay for long.
func TestTheEndOfAConnectionThatIsNotRead(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(*apiTest, *talker)
		stay time.Duration
	}{
		"the client goes": {func(_ *apiTest, c *talker) { c.conn.Close(transport.StatusAbnormal, "") }, 0},
		"it is closed":    {func(a *apiTest, c *talker) { a.broker.Session(c.socketID).Close(broker.CloseShutdown) }, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPITest(t)
				a.app.Limits = Limits{MessagesPerSecond: 1}
				c := a.talker(t)
				c.send("pusher:ping", nil)
				sent := make(chan error, 1)
				go func() { sent <- c.conn.Send([]byte(`{"event":"pusher:ping"}`)) }()
				synctest.Wait()
				require.Empty(t, sent)
				begin := time.Now()
				tc.end(a, c)
				c.told()
				_, open := c.conn.TryReceive()
				assert.False(t, open)
				require.NoError(t, <-sent)
				synctest.Wait()
				assert.LessOrEqual(t, time.Since(begin), tc.stay)
				assert.Zero(t, a.broker.Stats().Sessions)
			})
		})
	}
}

// A body of the HTTP fallback may hold thousands of messages.
func TestABodyHasTheSameRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPITest(t)
		a.app.Limits = Limits{MessagesPerSecond: 50}
		begin := time.Now()
		post := func(path, body string) int {
			return a.do(httptest.NewRequest("POST", "/app/key/1/abcdefgh"+path, strings.NewReader(body))).Code
		}
		require.Equal(t, 200, post("/xhr?protocol=7", ""))
		pings := `"{\"event\":\"pusher:ping\"}"`
		require.Equal(t, 204, post("/xhr_send", "["+strings.Repeat(pings+",", 14)+pings+"]"))
		assert.Equal(t, 2*time.Second, time.Since(begin))
		assert.EqualValues(t, 1, a.broker.Stats().Sessions)
		require.NoError(t, a.broker.Shutdown(t.Context()))
	})
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
			synctest.Test(t, func(t *testing.T) {
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
				c.conn.Close(1000, "")
			})
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
