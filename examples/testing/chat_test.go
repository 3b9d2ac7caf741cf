package testing

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSay(t *testing.T) {
	kit := brokertest.New(t)
	chat := &Chat{app: kit.App}
	ann := kit.Connect(t)
	ann.Subscribe("private-room")
	require.NoError(t, chat.Say(t.Context(), "private-room", "bob", "hello"))
	assert.JSONEq(t, `{"from":"bob","text":"hello"}`, ann.Expect("message", "private-room").Data)
	require.ErrorIs(t, chat.Say(t.Context(), "private-room", "bob", " "), ErrEmpty)
	ann.ExpectNothing()
}

// TestGreeting waits for a hook, which runs on a goroutine of its own: inside
// synctest that takes no time and no polling.
func TestGreeting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t)
		NewChat(kit.Broker, kit.App.ID())
		ann := kit.Connect(t)
		ann.SubscribeAs("presence-room", "ann", "")
		synctest.Wait()
		assert.JSONEq(t, `{"from":"bot","text":"welcome, ann"}`, ann.Expect("message", "presence-room").Data)
	})
}

// TestGraceOfTheRoom lets a minute pass in no time.
func TestGraceOfTheRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t, broker.WithChannelRules(broker.ChannelRule{Pattern: "presence-*", LeaveGrace: time.Minute}))
		ann, bob := kit.Connect(t), kit.Connect(t)
		ann.SubscribeAs("presence-room", "ann", "")
		bob.SubscribeAs("presence-room", "bob", "")
		ann.Expect("pusher_internal:member_added", "presence-room")
		bob.Close()
		ann.ExpectNothing()
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		ann.Expect("pusher_internal:member_removed", "presence-room")
	})
}
