package pusher_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/storage/memory"
	"github.com/carillon-rt/carillon/storage/storagetest"
)

func TestAStoreThatFailsClosesWhoResumes(t *testing.T) {
	for _, again := range []bool{false, true} {
		var broken atomic.Bool
		kit := brokertest.New(t, keeping(broker.ChannelRule{}), broker.WithHistory(storagetest.NewFaults(memory.New(), func(c storagetest.Call) (f storagetest.Fault) {
			if broken.Load() && c.Op == storagetest.OpRead {
				f.Err = errAway
			}
			return f
		})))
		r := newResumer(t, kit, "room")
		r.subscribe()
		if !again {
			r.connect()
		}
		last := r.last
		r.publish("1")
		if again {
			r.c.Next()
		}
		broken.Store(true)
		r.ask(last)
		expectError(t, r.c, 4100, "internal error")
		assert.Equal(t, 4100, r.c.CloseCode())

		broken.Store(false)
		r.connect()
		status, missed := r.subscribe()
		assert.Equal(t, "resumed", status)
		assert.Equal(t, 1, missed)
	}
}

func TestAPresenceStoreThatFailsClosesWhoResumes(t *testing.T) {
	kit := brokertest.New(t, keeping(broker.ChannelRule{}), broker.WithPresence(&brokenPresence{memory.New()}))
	r := newResumer(t, kit, "presence-room")
	r.ask("")
	expectError(t, r.c, 4100, "internal error")
	assert.Equal(t, 4100, r.c.CloseCode())
}

func TestGapsAreToldToThoseWhoKeepPositions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := storagetest.NewEngine(false)
		kit := brokertest.New(t, keeping(broker.ChannelRule{History: broker.Retention{Events: 1}}), broker.WithHistory(engine))
		r := newResumer(t, kit, "room")
		plain := kit.Connect(t)
		plain.Subscribe("room")
		r.subscribe()
		r.publish("1")
		r.read(1)
		plain.Expect("message", "room")
		copied := engine.Copy()
		r.publish("lost")
		r.read(1)
		plain.Expect("message", "room")
		engine.Restore(copied)
		r.publish("2")
		time.Sleep(time.Minute)
		gap := frameOf(t, r.c.Expect("pusher_internal:gap", "room").Raw)
		assert.Equal(t, "{}", gap.Data)
		r.last = gap.Pos
		r.read(1)
		assert.Equal(t, []any{"1", "lost", "2"}, r.got)
		assert.Equal(t, `{"event":"message","channel":"room","data":"2"}`, plain.Next().Raw, "who cannot be told goes on")
		plain.ExpectNothing()

		// The lost event's position cannot be gone on from, and the new one can.
		lost := r.last
		r.connect()
		status, _ := r.subscribe()
		assert.Equal(t, "resumed", status)
		r.publish("3")
		r.read(1)
		assert.NotEqual(t, lost, r.last)
	})
}

func TestPositionsGoOnAcrossEpochs(t *testing.T) {
	for _, holes := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			engine := storagetest.NewEngine(holes)
			kit := brokertest.New(t, keeping(broker.ChannelRule{}), broker.WithHistory(engine))
			r := newResumer(t, kit, "room")
			r.subscribe()
			var want []any
			publish := func() {
				data := fmt.Sprint(len(want))
				r.publish(data)
				want = append(want, data)
			}
			for range 3 {
				publish()
				publish()
				r.read(2)
				engine.Restart()
				publish()
				r.read(1) // of a new epoch, to who was there
				r.connect()
				publish()
				engine.Restart()
				publish()
				status, missed := r.subscribe()
				assert.Equal(t, "resumed", status)
				assert.Equal(t, 2, missed)
				r.read(2)
				r.connect()
				engine.Restart()
				status, _ = r.subscribe() // to an epoch without events
				assert.Equal(t, "resumed", status)
			}
			publish()
			r.read(1)
			assert.Equal(t, want, r.got)
		})
	}
}
