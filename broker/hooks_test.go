package broker_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/ratelimit"
)

func TestConnectHookRefuses(t *testing.T) {
	kit := brokertest.New(t, broker.WithHooks(broker.Hooks{
		Connect: func(_ context.Context, r *broker.ConnectRequest) error {
			if r.IP == "10.0.0.1" {
				return broker.Refuse(403, "not from there")
			}
			return nil
		},
	}))
	c := kit.Dial(t, brokertest.WithIP("10.0.0.1"))
	assert.Contains(t, c.Expect("pusher:error", "").Raw, "not from there")
	assert.Equal(t, 4009, c.CloseCode())
	kit.Connect(t)
}

// TestHooksCannotChangeWhatTheProtocolHasMadeOut: the app's limits and keys are
// those of the app that was dialled.
func TestHooksCannotChangeWhatTheProtocolHasMadeOut(t *testing.T) {
	kit := brokertest.New(t, broker.WithHooks(broker.Hooks{
		Connect: func(_ context.Context, r *broker.ConnectRequest) error {
			r.App = "another"
			return nil
		},
		Subscribe: func(_ context.Context, r *broker.SubscribeRequest) error {
			r.Channel, r.Session, r.Kind = "another", nil, broker.Public
			return nil
		},
		ClientEvent: func(_ context.Context, r *broker.ClientEventRequest) error {
			r.Channel, r.Session = "another", nil
			return nil
		},
		Publish: func(_ context.Context, r *broker.PublishRequest) error {
			r.App = "another"
			return nil
		},
	}))
	ann, bob := kit.Connect(t), kit.Connect(t)
	assert.Equal(t, brokertest.AppID, kit.Broker.Session(ann.SocketID()).App())
	ann.Subscribe("private-room")
	bob.Subscribe("private-room")
	ann.Trigger("private-room", "client-x", "1")
	bob.Expect("client-x", "private-room")
	_, err := kit.App.Publish(t.Context(), "private-room", "message", []byte("2"))
	require.NoError(t, err)
	ann.Expect("message", "private-room")
}

// TestAHooksMemberIsChecked as a client's is: what is no JSON would break the list of
// every member.
func TestAHooksMemberIsChecked(t *testing.T) {
	var info []byte
	kit := brokertest.New(t, broker.WithHooks(broker.Hooks{
		Subscribe: func(_ context.Context, r *broker.SubscribeRequest) error {
			r.Member.Info = info
			return nil
		},
	}))
	kit.Config.Limits.UserInfoBytes = 20
	for text, problem := range map[string]string{
		`name`:                              "is not valid JSON",
		`{"name":"Ann"}}`:                   "is not valid JSON",
		`{"name":"Ann",}`:                   "is not valid JSON",
		"\"\xff\"":                          "is not valid UTF-8",
		`"` + strings.Repeat("x", 19) + `"`: "is too large, in bytes: 21, the limit is 20",
	} {
		info = []byte(text)
		ann := kit.Connect(t)
		ann.Write(subscribeFrame(t, ann, "presence-room", "ann"))
		assert.Contains(t, ann.Expect("pusher:subscription_error", "presence-room").Data, "user_info "+problem)
		err := kit.Broker.Session(ann.SocketID()).SignIn(t.Context(), broker.User{ID: "ann", Info: info}, func() { t.Error("signed in") })
		require.ErrorIs(t, err, broker.ErrInvalid)
		assert.ErrorContains(t, err, problem)
	}
	members, err := kit.App.Members(t.Context(), "presence-room")
	require.NoError(t, err)
	assert.Empty(t, members)
	for _, text := range []string{"", "null", `{"name":"Ann"}`, `"` + strings.Repeat("x", 18) + `"`} {
		info = []byte(text)
		kit.Connect(t).SubscribeAs("presence-room", "ann", "")
	}
}

func TestAuthorizeHookMayAllowWithoutASignature(t *testing.T) {
	kit := brokertest.New(t, broker.WithHooks(broker.Hooks{
		Authorize: func(_ context.Context, r *broker.SubscribeRequest) error {
			if u := r.Session.User(); u != nil && r.Channel == "private-of-"+u.ID {
				r.Authorized = true
			}
			return nil
		},
	}))
	ann := kit.Connect(t)
	ann.SignIn("ann")
	ann.Write(`{"event":"pusher:subscribe","data":{"channel":"private-of-ann"}}`)
	ann.Expect("pusher_internal:subscription_succeeded", "private-of-ann")
	ann.Write(`{"event":"pusher:subscribe","data":{"channel":"private-of-bob"}}`)
	assert.Contains(t, ann.Expect("pusher:subscription_error", "private-of-bob").Data, `"status":401`)
}

func TestSubscribeHookTransformsAndRefuses(t *testing.T) {
	kit := brokertest.New(t, broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 9}}),
		broker.WithLogger(slog.New(slog.DiscardHandler)),
		broker.WithHooks(broker.Hooks{Subscribe: func(_ context.Context, r *broker.SubscribeRequest) error {
			switch r.Channel {
			case "closed":
				return broker.Refuse(410, "this room is closed")
			case "broken":
				return errors.New("the database password is swordfish")
			case "presence-room":
				r.Member = &broker.Member{UserID: r.Member.UserID, Info: []byte(`{"role":"admin"}`)}
			}
			r.Rewind = 1
			return nil
		}}))
	publish(t, kit.App, "room", 1, 3)
	ann := kit.Connect(t)
	ann.Subscribe("room")
	assert.Equal(t, "3", ann.Expect("message", "room").Data)
	assert.Contains(t, ann.SubscribeAs("presence-room", "ann", `{"role":"guest"}`).Data, "admin")

	ann.Write(`{"event":"pusher:subscribe","data":{"channel":"closed"}}`)
	f := ann.Expect("pusher:subscription_error", "closed")
	assert.Contains(t, f.Data, "this room is closed")
	assert.Contains(t, f.Data, `"status":410`)
	ann.Write(`{"event":"pusher:subscribe","data":{"channel":"broken"}}`)
	f = ann.Expect("pusher:subscription_error", "broken")
	assert.NotContains(t, f.Raw, "swordfish")
}

func TestSubscribeHookCannotMoveASubscription(t *testing.T) {
	kit := brokertest.New(t, keeping(9), broker.WithHooks(broker.Hooks{Subscribe: func(_ context.Context, r *broker.SubscribeRequest) error {
		r.Session, r.Channel, r.Kind = nil, "private-secret", broker.Encrypted
		return nil
	}}))
	ann := kit.Connect(t)
	ann.Subscribe("room")
	session := kit.Broker.Session(ann.SocketID())
	assert.True(t, session.Subscribed("room"))
	assert.False(t, session.Subscribed("private-secret"))
	ann.Unsubscribe("room")
	publish(t, kit.App, "room", 1, 1)
	ann.ExpectNothing()
}

func TestSubscribeHookCannotRewindBackwards(t *testing.T) {
	kit := brokertest.New(t, keeping(9), broker.WithHooks(broker.Hooks{Subscribe: func(_ context.Context, r *broker.SubscribeRequest) error {
		r.Rewind = -1
		return nil
	}}))
	publish(t, kit.App, "room", 1, 3)
	ann := kit.Connect(t)
	ann.Write(`{"event":"pusher:subscribe","data":{"channel":"room"}}`)
	assert.Contains(t, ann.Expect("pusher:subscription_error", "room").Data, "rewind is negative")
	ann.ExpectNothing()
}

func TestWhatHooksMakeOfAClientEventIsChecked(t *testing.T) {
	kit := brokertest.New(t, broker.WithMaxEventBytes(100), broker.WithHooks(broker.Hooks{
		ClientEvent: func(_ context.Context, r *broker.ClientEventRequest) error {
			switch string(r.Data) {
			case "name":
				r.Event = "pusher:error"
			case "size":
				r.Data = make([]byte, 101)
			case "json":
				r.Data, r.JSON = []byte("{"), true
			}
			return nil
		},
	}))
	ann, bob := kit.Connect(t), kit.Connect(t)
	ann.Subscribe("private-room")
	bob.Subscribe("private-room")
	for data, text := range map[string]string{"name": "prefix that the protocol reserves", "size": "the limit is 100", "json": "not valid JSON"} {
		ann.Trigger("private-room", "client-x", data)
		assert.Contains(t, ann.Expect("pusher:error", "").Raw, text)
	}
	bob.ExpectNothing()
	assert.EqualValues(t, 3, kit.Broker.Stats().Refused)
}

func TestPublishAndClientEventHooksTransform(t *testing.T) {
	kit := brokertest.New(t, broker.WithHooks(broker.Hooks{
		Publish: func(_ context.Context, r *broker.PublishRequest) error {
			if string(r.Data) == "bad word" {
				return broker.Refuse(422, "mind your language")
			}
			r.Data = append([]byte("checked: "), r.Data...)
			return nil
		},
		ClientEvent: func(_ context.Context, r *broker.ClientEventRequest) error {
			if r.Event == "client-secret" {
				return broker.Refuse(403, "not that one")
			}
			r.Data, r.JSON = []byte(`{"by":"`+r.UserID+`"}`), true
			return nil
		},
	}))
	ann, bob := kit.Connect(t), kit.Connect(t)
	ann.SubscribeAs("presence-room", "ann", "")
	bob.SubscribeAs("presence-room", "bob", "")
	ann.Expect("pusher_internal:member_added", "presence-room")
	_, err := kit.App.Publish(t.Context(), "presence-room", "message", []byte("bad word"))
	require.ErrorIs(t, err, broker.ErrRefused)
	_, err = kit.App.Publish(t.Context(), "presence-room", "message", []byte("hi"))
	require.NoError(t, err)
	assert.Equal(t, "checked: hi", ann.Expect("message", "presence-room").Data)
	bob.Expect("message", "presence-room")

	ann.Trigger("presence-room", "client-secret", "x")
	assert.Contains(t, ann.Expect("pusher:error", "").Raw, "not that one")
	ann.Trigger("presence-room", "client-x", "x")
	assert.Equal(t, `{"by":"ann"}`, bob.Expect("client-x", "presence-room").Data)
}

func TestInformingHooksComeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log []string
		note := func(s string) { log = append(log, s) }
		kit := brokertest.New(t, broker.WithHooks(broker.Hooks{
			Connected:         func(context.Context, broker.SessionChange) { note("connected") },
			Disconnected:      func(_ context.Context, c broker.SessionChange) { note("disconnected") },
			MemberJoined:      func(_ context.Context, c broker.MemberChange) { note("joined " + c.Member.UserID) },
			MemberLeft:        func(_ context.Context, c broker.MemberChange) { note("left " + c.Member.UserID) },
			ChannelOccupied:   func(_ context.Context, c broker.ChannelChange) { note("occupied " + c.Channel) },
			ChannelVacated:    func(_ context.Context, c broker.ChannelChange) { note("vacated " + c.Channel) },
			ClientEventSent:   func(_ context.Context, c broker.EventChange) { note("sent " + c.Event.Name + " by " + c.Event.UserID) },
			Subscribed:        func(_ context.Context, c broker.SubscriptionChange) { note("subscribed " + c.Member.UserID) },
			Unsubscribed:      func(_ context.Context, c broker.SubscriptionChange) { note("unsubscribed " + c.Member.UserID) },
			Published:         func(_ context.Context, c broker.EventChange) { note("published " + c.Event.Name) },
			SubscriptionCount: func(_ context.Context, c broker.ChannelChange) { note("count") },
		}))
		sub := subscribe(t, kit.App, "presence-room")
		ann := kit.Connect(t)
		ann.SubscribeAs("presence-room", "ann", "")
		ann.Trigger("presence-room", "client-x", "x")
		publish(t, kit.App, "presence-room", 1, 1)
		ann.Close()
		synctest.Wait()
		assert.Equal(t, []string{"connected", "occupied presence-room", "joined ann", "subscribed ann", "sent client-x by ann", "published message",
			"unsubscribed ann", "left ann", "vacated presence-room", "disconnected"}, log)
		for range sub.Events() {
			break
		}
	})
}

func TestAPanicOfAnInformingHookIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		kit := brokertest.New(t, broker.WithLogger(slog.New(slog.DiscardHandler)), broker.WithHooks(broker.Hooks{
			Connected: func(context.Context, broker.SessionChange) {
				if n++; n == 1 {
					panic("first")
				}
			},
		}))
		kit.Connect(t)
		kit.Connect(t)
		synctest.Wait()
		assert.Equal(t, 2, n)
		assert.EqualValues(t, 1, kit.Broker.Stats().HookPanics)
	})
}

func TestAPanicOfADecidingHookRefuses(t *testing.T) {
	limits, err := ratelimit.New(nil, ratelimit.Rule{Name: "broken", Action: ratelimit.SignIn,
		Limit: ratelimit.Limit{Rate: 1, Burst: 1}, Cost: func(ratelimit.Request) int { panic("broken cost") }})
	require.NoError(t, err)
	kit := brokertest.New(t, broker.WithLogger(slog.New(slog.DiscardHandler)), broker.WithRateLimits(limits), broker.WithHooks(broker.Hooks{
		Connect: func(_ context.Context, r *broker.ConnectRequest) error {
			if r.IP == "10.0.0.1" {
				panic("secret")
			}
			return nil
		},
		Authorize: func(context.Context, *broker.SubscribeRequest) error { panic("secret") },
		Subscribe: func(context.Context, *broker.SubscribeRequest) error { panic("secret") },
		Publish:   func(context.Context, *broker.PublishRequest) error { panic("secret") },
	}))
	refused := kit.Dial(t, brokertest.WithIP("10.0.0.1"))
	assert.NotContains(t, refused.Expect("pusher:error", "").Raw, "secret")
	assert.Equal(t, 4100, refused.CloseCode(), "a failure of the server, and no decision")

	ann := kit.Connect(t)
	for _, channel := range []string{"private-room", "presence-room"} {
		ann.Write(subscribeFrame(t, ann, channel, "ann"))
		f := ann.Expect("pusher:subscription_error", channel)
		assert.Contains(t, f.Data, `"status":500`)
		assert.NotContains(t, f.Data, "secret")
	}
	_, err = kit.App.Publish(t.Context(), "room", "message", nil)
	require.ErrorIs(t, err, broker.ErrRefused)
	err = kit.Broker.Session(ann.SocketID()).SignIn(t.Context(), broker.User{ID: "ann"}, func() { t.Error("signed in") })
	require.ErrorIs(t, err, broker.ErrRefused)
	stats := kit.Broker.Stats()
	assert.EqualValues(t, 5, stats.HookPanics)
	assert.EqualValues(t, 5, stats.Refused)
}

// brokenCipher is a cipher with a mistake.
type brokenCipher struct{}

func (brokenCipher) Seal(string, string, []byte) ([]byte, error) { panic("cipher of the test") }
func (brokenCipher) Open(string, string, []byte) ([]byte, error) { panic("cipher of the test") }

func TestACipherThatPanicsFails(t *testing.T) {
	b, err := broker.New(broker.WithLogger(slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	require.NoError(t, b.UseCipher(brokenCipher{}))
	app := b.App("1")
	sub := subscribe(t, app, "private-encrypted-room")
	_, err = app.Publish(t.Context(), "private-encrypted-room", "message", []byte("plain"))
	require.ErrorIs(t, err, broker.ErrRefused)
	_, err = app.PublishBatch(t.Context(), []broker.PublishRequest{{Channel: "private-encrypted-room", Event: "message", Data: []byte("x"), Sealed: true}})
	require.NoError(t, err)
	for _, err := range sub.Events() {
		require.ErrorIs(t, err, broker.ErrRefused)
	}
	assert.EqualValues(t, 2, b.Stats().HookPanics)
	require.NoError(t, b.Shutdown(t.Context()))
}

func TestOptionsAreChecked(t *testing.T) {
	for text, opt := range map[string]broker.Option{
		"rules[0].Pattern":                   broker.WithChannelRules(broker.ChannelRule{}),
		`rules[1].Pattern "["`:               broker.WithChannelRules(broker.ChannelRule{Pattern: "*"}, broker.ChannelRule{Pattern: "["}),
		"rules[0].History.Age keeps nothing": broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Age: time.Hour}}),
		"rules[0].Rewind is more than":       broker.WithChannelRules(broker.ChannelRule{Pattern: "*", Rewind: 1}),
		"rules[0].LeaveGrace is negative":    broker.WithChannelRules(broker.ChannelRule{Pattern: "*", LeaveGrace: -1}),
		"rules[0].Publishers is unknown":     broker.WithChannelRules(broker.ChannelRule{Pattern: "*", Publishers: 9}),
		"rules[0].Reach.Events is negative":  broker.WithChannelRules(broker.ChannelRule{Pattern: "*", Reach: broker.Reach{Events: -1}}),
		"rules[0].Reach.Age is negative":     broker.WithChannelRules(broker.ChannelRule{Pattern: "*", Reach: broker.Reach{Age: -1}}),
		"rules[0].Reach.Readers is unknown":  broker.WithChannelRules(broker.ChannelRule{Pattern: "*", Reach: broker.Reach{Readers: 9}}),
		"history is nil":                     broker.WithHistory(nil),
		"presence is nil":                    broker.WithPresence(nil),
		"logger is nil":                      broker.WithLogger(nil),
		"limits is nil":                      broker.WithRateLimits(nil),
		"max event bytes is not positive":    broker.WithMaxEventBytes(0),
		"drain window is negative":           broker.WithDrainWindow(-1),
		"node is empty":                      broker.WithNode(""),
		"store timeout \"0s\" is not":        broker.WithStoreTimeout(0),
	} {
		_, err := broker.New(opt)
		require.ErrorIs(t, err, broker.ErrInvalid, text)
		assert.ErrorContains(t, err, text)
	}
}
