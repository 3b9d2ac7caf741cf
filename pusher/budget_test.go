package pusher

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/internal/alloctest"
	"github.com/carillon-rt/carillon/transport/memory"
)

// TestConnectionsHaveAnAllocationBudget follows messages from the transport
// through the broker and back. The race detector allocates a little of its own.
func TestConnectionsHaveAnAllocationBudget(t *testing.T) {
	a := newAPITest(t)
	a.app.Limits.ClientEventsPerSecond = -1
	c := Connect(t, a.handler.Open(t.Context(), Dial{Key: a.app.Key, Protocol: "7"}))
	socketID := socketIDOf(t, c)
	other := a.client("private-room")
	subscribe := func(channel, data string) []byte {
		return fmt.Appendf(nil, `{"event":"pusher:subscribe","data":{"auth":%q,"channel_data":%q,"channel":%q}}`,
			UncheckedChannelAuth(a.app, socketID, channel, data), data, channel)
	}
	unsubscribe := func(channel string) []byte {
		return fmt.Appendf(nil, `{"event":"pusher:unsubscribe","data":{"channel":%q}}`, channel)
	}
	received := func(from *memory.Client) (n int) {
		for {
			if _, ok := from.TryReceive(); !ok {
				return n
			}
			n++
		}
	}
	require.NoError(t, c.Send(subscribe("private-room", "")))
	received(c)
	for _, test := range []struct {
		name         string
		messages     [][]byte
		mine, others int // messages of one run
		budget       float64
	}{
		{"pong", [][]byte{[]byte(`{"event":"pusher:pong","data":{}}`)}, 0, 0, 4},
		{"ping", [][]byte{[]byte(`{"event":"pusher:ping","data":{}}`)}, 1, 0, 5},
		{"public", [][]byte{subscribe("room", ""), unsubscribe("room")}, 1, 0, 20},
		{"private", [][]byte{subscribe("private-a", ""), unsubscribe("private-a")}, 1, 0, 33},
		{"presence", [][]byte{subscribe("presence-a", `{"user_id":1}`), unsubscribe("presence-a")}, 1, 0, 60},
		{"client event", [][]byte{[]byte(`{"event":"client-typing","channel":"private-room","data":{"on":true}}`)}, 0, 1, 15},
	} {
		allocs := alloctest.PerRun(200, func() {
			for _, m := range test.messages {
				if c.Send(m) != nil {
					t.Error("not sent")
				}
			}
			if mine, others := received(c), received(other); mine != test.mine || others != test.others {
				t.Errorf("%s: %d and %d messages", test.name, mine, others)
			}
		})
		assert.LessOrEqual(t, allocs, test.budget, test.name)
	}
}
