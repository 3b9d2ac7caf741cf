package pusher_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/storage"
)

var keepingTen = broker.WithChannelRules(broker.ChannelRule{Pattern: "private-stage", History: broker.Retention{Events: 10}, Publishers: broker.OnlyServer},
	broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 10}})

// Without a hook no client amends anything.
func TestClientsAmendNothingByDefault(t *testing.T) {
	for _, hooks := range []broker.Hooks{{}, {Amend: func(context.Context, *broker.AmendRequest) error { return nil }}} {
		kit := brokertest.New(t, keepingTen, broker.WithHooks(hooks))
		ann, bob := kit.Connect(t), kit.Connect(t)
		ann.SubscribeAs("presence-room", "ann", "")
		bob.SubscribeAs("presence-room", "bob", "")
		ann.Expect("pusher_internal:member_added", "presence-room")
		_, err := kit.App.Publish(t.Context(), "presence-room", "message", []byte("x"), broker.WithID("a"), broker.AsUser("ann"))
		require.NoError(t, err)
		ann.Expect("message", "presence-room")
		bob.Expect("message", "presence-room")
		for _, event := range []string{"client-carillon-edit", "client-carillon-append", "client-carillon-retract"} {
			ann.Trigger("presence-room", event, map[string]string{"id": "a", "data": "y", "text": "z"})
			expectError(t, ann, 0, "lets clients amend no events")
		}
		bob.ExpectNothing()
	}
}

func TestClientsAmendWhatAHookAllows(t *testing.T) {
	kit := brokertest.New(t, keepingTen, broker.WithHooks(broker.Hooks{
		Amend: func(_ context.Context, r *broker.AmendRequest) error {
			if r.Session != nil && r.Amends == storage.Retract {
				return broker.Refuse(403, "nothing is unsaid")
			}
			r.Allowed = r.Allowed || r.Own()
			return nil
		},
	}))
	kit.Config.Limits.ClientEventsPerSecond = 1000
	ann, bob := kit.Connect(t), kit.Connect(t)
	for _, channel := range []string{"presence-room", "private-room"} {
		if channel == "presence-room" {
			ann.SubscribeAs(channel, "ann", "")
			bob.SubscribeAs(channel, "bob", "")
			ann.Expect("pusher_internal:member_added", channel)
		} else {
			ann.Subscribe(channel)
			bob.Subscribe(channel)
		}
		for i, data := range []any{"text", map[string]int{"n": 1}} {
			ann.Trigger(channel, "client-message", data)
			bob.Expect("client-message", channel)
			id := ""
			for ev, err := range kit.App.History(t.Context(), channel, broker.Backward(), broker.AtMost(1)) {
				require.NoError(t, err)
				id = ev.ID
			}
			edited := map[int]string{0: `"new"`, 1: `{"n":2}`}[i]
			ann.Write(fmt.Sprintf(`{"event":"client-carillon-edit","channel":%q,"data":{"id":%q,"data":%s,"version":0,"operation_id":"op-%d"}}`, channel, id, edited, i))
			for _, c := range []*brokertest.Client{ann, bob} { // the sender hears that it was done
				got := c.Expect("carillon:edited", channel)
				assert.JSONEq(t, fmt.Sprintf(`{"id":%q,"version":1,"data":%s,"operation_id":"op-%d"}`, id, edited, i), got.Data)
				if channel == "presence-room" {
					assert.Equal(t, "ann", got.UserID)
				}
			}
			ann.Write(fmt.Sprintf(`{"event":"client-carillon-edit","channel":%q,"data":{"id":%q,"data":%s,"version":0}}`, channel, id, edited))
			expectError(t, ann, 0, "has version 1, asked for 0")
			bob.Trigger(channel, "client-carillon-edit", map[string]string{"id": id, "data": "mine"})
			expectError(t, bob, 0, "lets clients amend no events")
			ann.Trigger(channel, "client-carillon-append", map[string]string{"id": id, "text": "+"})
			if i == 0 {
				ann.Expect("carillon:appended", channel)
				bob.Expect("carillon:appended", channel)
			} else {
				expectError(t, ann, 0, "carries JSON")
			}
			ann.Trigger(channel, "client-carillon-retract", map[string]string{"id": id})
			expectError(t, ann, 0, "nothing is unsaid")
		}
		ann.ExpectNothing()
		bob.ExpectNothing()
	}
	for what, write := range map[string]string{
		"only private and presence": `{"event":"client-carillon-edit","channel":"room","data":{"id":"a","data":"x"}}`,
		"not subscribed":            `{"event":"client-carillon-edit","channel":"private-other","data":{"id":"a","data":"x"}}`,
		"channel is missing":        `{"event":"client-carillon-edit","data":{"id":"a","data":"x"}}`,
		"data.data is missing":      `{"event":"client-carillon-edit","channel":"private-room","data":{"id":"a"}}`,
		"id is empty":               `{"event":"client-carillon-retract","channel":"private-room","data":{}}`,
		"data is not a JSON object": `{"event":"client-carillon-retract","channel":"private-room","data":7}`,
		"version is not":            `{"event":"client-carillon-retract","channel":"private-room","data":{"id":"a","version":"x"}}`,
		"no event to amend":         `{"event":"client-carillon-retract","channel":"private-room","data":"{\"id\":\"other\"}"}`,
	} {
		ann.Write(write)
		expectError(t, ann, 0, what)
	}
	ann.Subscribe("private-stage")
	ann.Trigger("private-stage", "client-carillon-retract", map[string]string{"id": "a"})
	expectError(t, ann, 0, "takes no client events")
}

func TestAmendmentsOfClientsCountAsClientEvents(t *testing.T) {
	kit := brokertest.New(t, keepingTen)
	kit.Config.DisableClientEvents = true
	ann := kit.Connect(t)
	ann.Subscribe("private-room")
	ann.Trigger("private-room", "client-carillon-retract", map[string]string{"id": "a"})
	expectError(t, ann, 0, "not enabled")

	limited := brokertest.New(t, keepingTen)
	bob := limited.Connect(t)
	bob.Subscribe("private-room")
	for range 10 {
		bob.Trigger("private-room", "client-carillon-retract", map[string]string{"id": "a"})
		expectError(t, bob, 0, "lets clients amend no events")
	}
	bob.Trigger("private-room", "client-carillon-retract", map[string]string{"id": "a"})
	expectError(t, bob, 4301, "retry in")
}
