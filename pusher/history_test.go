package pusher_test

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
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
	"github.com/carillon-rt/carillon/storage/storagetest"
)

// historyAnswer is what a client reads of an answer to pusher:history.
type historyAnswer struct {
	ID     any
	Events []struct {
		Event, ID, Pos, Time string
		Data                 any
		UserID               string `json:"user_id"`
	}
	More   bool
	Error  string
	Status int
}

// data is that of the events.
func (a *historyAnswer) data() (all []any) {
	for _, ev := range a.Events {
		all = append(all, ev.Data)
	}
	return all
}

// ask asks for a page, with further fields such as `"limit":3`.
func askHistory(t *testing.T, c *brokertest.Client, channel, fields string) (a historyAnswer) {
	t.Helper()
	c.Write(fmt.Sprintf(`{"event":"pusher:history","data":{"id":1,"channel":%q%s}}`, channel, fields))
	c.Expect("pusher_internal:history", channel).Decode(t, &a)
	assert.Equal(t, 1.0, a.ID)
	return a
}

// A page goes back from where the client was attached, without a hole and without a
// duplicate between what it reads and what it is sent, whatever is published meanwhile.
func TestHistoryUntilTheClientWasAttached(t *testing.T) {
	for _, holes := range []bool{false, true} {
		kit := brokertest.New(t, keeping(broker.ChannelRule{}), broker.WithHistory(storagetest.NewEngine(holes)))
		r := newResumer(t, kit, "room")
		for i := range 10 {
			r.publish(fmt.Sprint(i))
		}
		r.subscribe()
		attached := r.last
		r.publish("10")
		r.publish("11")
		r.read(2)
		var got []any
		for where := fmt.Sprintf(`,"until":%q`, attached); ; {
			page := askHistory(t, r.c, "room", where+`,"limit":3`)
			require.NotEmpty(t, page.Events)
			got = append(got, page.data()...)
			r.publish("later")
			r.c.Next()
			if !page.More {
				break
			}
			where = fmt.Sprintf(`,"before":%q`, page.Events[len(page.Events)-1].Pos)
		}
		assert.Equal(t, []any{"9", "8", "7", "6", "5", "4", "3", "2", "1", "0"}, got)
		assert.Equal(t, []any{"10", "11"}, r.got)

		empty := askHistory(t, r.c, "room", fmt.Sprintf(`,"before":%q`, strings.Split(attached, ":")[0]+":0"))
		assert.Empty(t, empty.Events)
		assert.False(t, empty.More)
	}
}

func TestHistoryIsWhatSubscribersWereSent(t *testing.T) {
	kit := brokertest.New(t, keeping(broker.ChannelRule{}))
	ann, ben := kit.Connect(t), kit.Connect(t)
	for _, channel := range []string{"private-room", "presence-room", "private-encrypted-room", "#server-to-user-ann"} {
		switch channel {
		case "presence-room":
			ann.SubscribeAs(channel, "ann", "")
			ben.SubscribeAs(channel, "ben", "")
			ann.Expect("pusher_internal:member_added", channel)
		case "#server-to-user-ann":
			ann.SignIn("ann")
			ann.Subscribe(channel)
		default:
			ann.Subscribe(channel)
			ben.Subscribe(channel)
		}
		_, err := kit.App.Publish(t.Context(), channel, "message", []byte("text"), broker.AsUser("u"))
		require.NoError(t, err)
		live := ann.Expect("message", channel)
		if channel != "#server-to-user-ann" {
			ben.Expect("message", channel)
		}
		page := askHistory(t, ann, channel, "")
		require.Len(t, page.Events, 1)
		ev := page.Events[0]
		assert.Equal(t, "message", ev.Event)
		assert.Equal(t, live.Data, ev.Data, "sealed where it is")
		assert.Equal(t, "u", ev.UserID)
		assert.NotEmpty(t, ev.ID)
		_, err = time.Parse(time.RFC3339, ev.Time)
		assert.NoError(t, err)
		if channel == "presence-room" {
			ben.Trigger(channel, "client-typing", map[string]bool{"on": true})
			ann.Expect("client-typing", channel)
			page = askHistory(t, ann, channel, `,"limit":1`)
			assert.Equal(t, map[string]any{"on": true}, page.Events[0].Data)
			assert.Equal(t, "ben", page.Events[0].UserID)
			assert.True(t, page.More)
			assert.Len(t, askHistory(t, ben, channel, "").Events, 2, "what it has sent as well")
		}
	}
}

// Nobody reads what it is not subscribed to, and a request that cannot be answered is
// told so by its id.
func TestHistoryIsRefusedWithTheID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failing bool
		kit := brokertest.New(t, broker.WithChannelRules(
			broker.ChannelRule{Pattern: "closed", History: broker.Retention{Events: 10}, Reach: broker.Reach{Readers: broker.NoSubscriber}},
			broker.ChannelRule{Pattern: "users", History: broker.Retention{Events: 10}, Reach: broker.Reach{Readers: broker.OnlyUsers}},
			broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 10}},
		), broker.WithHistory(storagetest.NewFaults(memory.New(), func(c storagetest.Call) (f storagetest.Fault) {
			if failing && c.Op == storagetest.OpRead {
				f.Err = errAway
			}
			return f
		})))
		c := kit.Connect(t)
		for _, channel := range []string{"room", "closed", "users"} {
			c.Subscribe(channel)
			_, err := kit.App.Publish(t.Context(), channel, "message", []byte("x"))
			require.NoError(t, err)
			c.Expect("message", channel)
		}
		foreign := storage.Position{Epoch: storage.NewEpoch(storage.Epoch{}), Offset: 1}.String()
		for _, test := range []struct {
			channel, fields string
			status          int
			text            string
		}{
			{"other", "", 403, "not subscribed"},
			{"private-secret", "", 403, "not subscribed"},
			{"closed", "", 403, "not for you"},
			{"users", "", 403, "not for you"},
			{"room", `,"limit":0`, 400, "limit"},
			{"room", `,"limit":-1`, 400, "limit"},
			{"room", `,"limit":1.5`, 400, "limit"},
			{"room", `,"limit":"7"`, 400, "limit"},
			{"room", `,"limit":99999999999999999999`, 400, "limit"},
			{"room", `,"until":"E:1"`, 400, "position"},
			{"room", `,"until":"` + foreign + `","before":"` + foreign + `"`, 400, "besides"},
			{"room", `,"until":"` + foreign + `"`, 404, "cannot be continued"},
		} {
			a := askHistory(t, c, test.channel, test.fields)
			assert.Equal(t, test.status, a.Status, test.fields)
			assert.Contains(t, a.Error, test.text)
			assert.Nil(t, a.Events)
			time.Sleep(time.Second) // for the limit of errors
		}
		for _, data := range []string{`{"channel":"room"}`, `{"id":null,"channel":"room"}`, `{"id":{},"channel":"room"}`, `{"id":true,"channel":"room"}`,
			`{"id":"` + strings.Repeat("x", 100) + `","channel":"room"}`, `7`, `{"id":1,"channel":"` + strings.Repeat("x", 2000) + `"}`} {
			c.Write(`{"event":"pusher:history","data":` + data + `}`)
			c.Expect("pusher:error", "")
			time.Sleep(time.Second)
		}
		failing = true
		a := askHistory(t, c, "room", "")
		assert.Equal(t, 500, a.Status)
		assert.Equal(t, "internal error", a.Error)
		failing = false
		assert.Len(t, askHistory(t, c, "room", `,"limit":1000`).Events, 1)
		c.SignIn("ann")
		assert.Len(t, askHistory(t, c, "users", "").Events, 1)

		// As a client may write it.
		c.Write(`{"event":"pusher:history","data":"{\"id\":\"a\",\"channel\":\"room\",\"limit\":1}"}`)
		var b historyAnswer
		c.Expect("pusher_internal:history", "room").Decode(t, &b)
		assert.Equal(t, "a", b.ID)
		c.Unsubscribe("room")
		assert.Equal(t, 403, askHistory(t, c, "room", "").Status)
	})
}

// A rule bounds pages as it bounds what is resumed.
func TestARuleBoundsHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t, broker.WithChannelRules(
			broker.ChannelRule{Pattern: "five", History: broker.Retention{Events: 100}, Reach: broker.Reach{Events: 5}},
			broker.ChannelRule{Pattern: "minute", History: broker.Retention{Events: 100}, Reach: broker.Reach{Age: time.Minute}},
		))
		for _, channel := range []string{"five", "minute"} {
			r := newResumer(t, kit, channel)
			r.subscribe()
			for i := range 9 {
				if i == 4 {
					time.Sleep(2 * time.Minute)
				}
				r.publish(fmt.Sprint(i))
			}
			for range 9 {
				r.c.Next()
			}
			var got []any
			where := ""
			for {
				page := askHistory(t, r.c, channel, where+`,"limit":2`)
				got = append(got, page.data()...)
				if !page.More {
					break
				}
				where = fmt.Sprintf(`,"before":%q`, page.Events[len(page.Events)-1].Pos)
			}
			assert.Equal(t, []any{"8", "7", "6", "5", "4"}, got, channel)
			forged := askHistory(t, r.c, channel, fmt.Sprintf(`,"before":%q`, strings.Split(r.last, ":")[0]+":4"))
			assert.Empty(t, forged.Events, channel)
			assert.False(t, forged.More, channel)
		}
	})
}

// Large events make short pages, and who reads nothing gets no more.
func TestHistoryIsBounded(t *testing.T) {
	kit := brokertest.New(t, keeping(broker.ChannelRule{}))
	c := kit.Connect(t)
	c.Subscribe("room")
	large := strings.Repeat("x", 100<<10)
	for range 5 {
		_, err := kit.App.Publish(t.Context(), "room", "message", []byte(large))
		require.NoError(t, err)
		c.Expect("message", "room")
	}
	page := askHistory(t, c, "room", "")
	assert.Len(t, page.Events, 2)
	assert.True(t, page.More)

	refused := 0
	for range 30 {
		c.Write(`{"event":"pusher:history","data":{"id":1,"channel":"room"}}`)
	}
	for range 30 {
		var a historyAnswer
		require.NoError(t, json.Unmarshal([]byte(c.Expect("pusher_internal:history", "room").Data), &a))
		if a.Status == 429 {
			refused++
		}
	}
	assert.Greater(t, refused, 15)
}

// What the program limits with its own rules, pages of history are among.
func TestRateLimitsOfHistory(t *testing.T) {
	limits, err := ratelimit.New(nil, ratelimit.Rule{Name: "pages", Action: ratelimit.History, By: []ratelimit.Field{ratelimit.ByChannel},
		Limit: ratelimit.Limit{Rate: 0.01, Burst: 2}})
	require.NoError(t, err)
	kit := brokertest.New(t, keeping(broker.ChannelRule{}), broker.WithRateLimits(limits))
	for _, channel := range []string{"room", "other"} {
		r := newResumer(t, kit, channel)
		r.subscribe()
		for _, want := range []int{0, 0, 429} {
			assert.Equal(t, want, askHistory(t, r.c, channel, "").Status)
		}
	}
}
