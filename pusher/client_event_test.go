package pusher_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/carillon-rt/carillon/brokertest"
)

func TestClientEvents(t *testing.T) {
	kit := brokertest.New(t)
	ann, bob := kit.Connect(t), kit.Connect(t)
	ann.Subscribe("private-room")
	bob.Subscribe("private-room")
	ann.Trigger("private-room", "client-typing", map[string]bool{"on": true})
	assert.Equal(t, `{"event":"client-typing","channel":"private-room","data":{"on":true}}`, bob.Next().Raw)
	ann.Trigger("private-room", "client-typing", "text")
	assert.Equal(t, `{"event":"client-typing","channel":"private-room","data":"text"}`, bob.Next().Raw)
	ann.ExpectNothing()

	ann.SubscribeAs("presence-room", "ann", "")
	bob.SubscribeAs("presence-room", "bob", "")
	ann.Expect("pusher_internal:member_added", "presence-room")
	ann.Trigger("presence-room", "client-typing", 1)
	assert.Equal(t, "ann", bob.Expect("client-typing", "presence-room").UserID)

	ann.Subscribe("room")
	bob.Subscribe("room")
	ann.Trigger("room", "client-typing", 1)
	expectError(t, ann, 0, "only private and presence channels")
	ann.Trigger("private-other", "client-typing", 1)
	expectError(t, ann, 0, "not subscribed")
	ann.Trigger("private-encrypted-a", "client-typing", 1)
	expectError(t, ann, 0, "does not relay client events")
	ann.Write(`{"event":"typing","channel":"private-room","data":1}`)
	expectError(t, ann, 0, `"typing"`)
	ann.Write(`{"event":"pusher:subscription_succeeded","channel":"private-room","data":1}`)
	expectError(t, ann, 0, "unknown")
	bob.ExpectNothing()
}

func TestClientEventLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t)
		ann, bob := kit.Connect(t), kit.Connect(t)
		ann.Subscribe("private-room")
		bob.Subscribe("private-room")
		for range 10 {
			ann.Trigger("private-room", "client-typing", 1)
			bob.Expect("client-typing", "private-room")
		}
		ann.Trigger("private-room", "client-typing", 1)
		expectError(t, ann, 4301, "retry in 100ms")
		bob.ExpectNothing()
		time.Sleep(100 * time.Millisecond)
		ann.Trigger("private-room", "client-typing", 1)
		bob.Expect("client-typing", "private-room")
		time.Sleep(time.Second)
		ann.Trigger("private-room", "client-typing", strings.Repeat("x", 10241))
		expectError(t, ann, 0, "limit is 10240")
		ann.Trigger("private-room", "client-"+strings.Repeat("x", 194), 1)
		expectError(t, ann, 0, "limit is 200")
		bob.ExpectNothing()
	})
}

func TestClientEventsCanBeTurnedOff(t *testing.T) {
	kit := brokertest.New(t)
	kit.Config.DisableClientEvents = true
	ann, bob := kit.Connect(t), kit.Connect(t)
	ann.Subscribe("private-room")
	bob.Subscribe("private-room")
	ann.Trigger("private-room", "client-typing", 1)
	expectError(t, ann, 0, "not enabled")
	bob.ExpectNothing()
}
