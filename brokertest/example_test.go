package brokertest_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/pusher"
)

func Example() {
	// In a test file this is func TestChat(t *testing.T).
	_ = func(t *testing.T) {
		kit := brokertest.New(t)
		ann := kit.Connect(t)
		ann.SubscribeAs("presence-room", "ann", "")
		if _, err := kit.App.Publish(t.Context(), "presence-room", "message", []byte(`{"text":"hello"}`)); err != nil {
			t.Fatal(err)
		}
		ann.Expect("message", "presence-room")
	}
}

// A program that makes its broker and handler itself is tested as it is.
func ExampleAttach() {
	type program struct {
		broker  *broker.Broker
		handler *pusher.Handler
		app     *pusher.App
	}
	start := func() *program { return nil } // the program's own
	_ = func(t *testing.T) {
		p := start()
		kit := brokertest.Attach(p.broker, p.handler, p.app)
		ann := kit.Connect(t, brokertest.WithHeader("Cookie", "session=ann"))
		ann.Subscribe("private-room")
	}
}

// Time that passes takes none: a minute's grace is over at once.
func ExampleNew_synctest() {
	_ = func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			kit := brokertest.New(t, broker.WithChannelRules(broker.ChannelRule{Pattern: "presence-*", LeaveGrace: time.Minute}))
			ann, bob := kit.Connect(t), kit.Connect(t)
			ann.SubscribeAs("presence-room", "ann", "")
			bob.SubscribeAs("presence-room", "bob", `{"color":"red"}`)
			ann.Expect("pusher_internal:member_added", "presence-room")
			bob.Close()
			ann.ExpectNothing()
			time.Sleep(time.Minute + time.Second)
			synctest.Wait()
			ann.Expect("pusher_internal:member_removed", "presence-room")
		})
	}
}

// What is refused is written as the client would, since Subscribe wants success.
func ExampleClient_Write() {
	_ = func(t *testing.T) {
		kit := brokertest.New(t, broker.WithHooks(broker.Hooks{
			Subscribe: func(context.Context, *broker.SubscribeRequest) error {
				return broker.Refuse(http.StatusForbidden, "the room is closed")
			},
		}))
		ann := kit.Connect(t)
		auth := ann.Auth("private-room", "")
		ann.Write(`{"event":"pusher:subscribe","data":{"channel":"private-room","auth":"` + auth + `"}}`)
		var refusal struct{ Error string }
		ann.Expect("pusher:subscription_error", "private-room").Decode(t, &refusal)
		if refusal.Error != "the room is closed" {
			t.Error(refusal.Error)
		}
	}
}

// Tests of other apps, limits and settings change the kit's app first.
func ExampleKit_Dial() {
	_ = func(t *testing.T) {
		kit := brokertest.New(t)
		kit.Config.AllowedOrigins = []string{"https://chat.example.com"}
		eve := kit.Dial(t, brokertest.WithDial(func(d *pusher.Dial) { d.Origin = "https://evil.example.com" }))
		eve.Expect("pusher:error", "")
		if code := eve.CloseCode(); code != 4009 {
			t.Error(code)
		}
	}
}
