package pusher_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
)

// Amendments are events with positions as any other; what a page starts with is as they
// have made it, and positions go on behind.
func TestPositionsGoOnAcrossAmendments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t, keeping(broker.ChannelRule{Rewind: 3}))
		r := newResumer(t, kit, "room")
		r.subscribe()
		var ids []string
		for i := range 3 {
			p, err := kit.App.Publish(t.Context(), "room", "message", fmt.Append(nil, i))
			require.NoError(t, err)
			ids = append(ids, p.ID)
		}
		r.read(3)
		edit := func(id, text string) {
			_, err := kit.App.Edit(t.Context(), "room", id, []byte(text))
			require.NoError(t, err)
		}
		edit(ids[1], "1, edited")
		r.read(1)
		r.connect()
		edit(ids[2], "2, edited")
		_, err := kit.App.Retract(t.Context(), "room", ids[0])
		require.NoError(t, err)
		status, missed := r.subscribe()
		assert.Equal(t, "resumed", status)
		assert.Equal(t, 2, missed, "the amendments")
		r.read(2)
		r.publish("3")
		r.read(1)

		// A newcomer sees what is there now, and where that ends.
		late := newResumer(t, kit, "room")
		edit(ids[1], "1, edited again")
		status, _ = late.subscribe()
		assert.Equal(t, "fresh", status)
		late.read(4) // three events, and a position for the amendments behind them
		assert.Equal(t, []any{"1, edited again", "2, edited", "3"}, late.got)
		r.read(1)
		assert.Equal(t, r.last, late.last)
		late.publish("4")
		late.read(1)
	})
}

// A client that has used up what it may get of the past is told of a gap, which costs
// nothing, and not refused.
func TestWhoHasReadTooMuchIsToldOfAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t, keeping(broker.ChannelRule{}))
		kit.Config.Limits.PastBytesPerSecond = 1000
		kit.Config.Limits.ChannelsPerConnection = 1
		r := newResumer(t, kit, "room")
		r.subscribe()
		first := r.last
		for range 10 {
			r.publish(fmt.Sprintf("%01000d", 7))
		}
		r.read(10)
		resumed := 0
		for range 10 {
			r.last = first
			status, missed := r.subscribe()
			if status == "resumed" {
				resumed++
				r.read(missed)
			} else {
				assert.Equal(t, "gap", status)
			}
			r.c.ExpectNothing()
		}
		assert.Equal(t, 2, resumed)
	})
}
