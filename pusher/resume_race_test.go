package pusher_test

import (
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

// slowReads has reads that begin while slow is set take a second to reach the store.
func slowReads(slow *atomic.Bool) broker.Option {
	return broker.WithHistory(storagetest.NewFaults(memory.New(), func(c storagetest.Call) (f storagetest.Fault) {
		if slow.Load() && c.Op == storagetest.OpRead {
			f.Wait = time.Second
		}
		return f
	}))
}

// What is published and retracted while a rewind is read is not there for who rewinds, and
// positions go on behind it.
func TestWhatIsRetractedDuringARewindStaysRetracted(t *testing.T) {
	for name, before := range map[string][]any{"after others": {"1"}, "alone": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var slow atomic.Bool
				kit := brokertest.New(t, keeping(broker.ChannelRule{Rewind: 5}), slowReads(&slow))
				r := newResumer(t, kit, "room")
				for _, data := range before {
					r.publish(data.(string))
				}
				slow.Store(true)
				go func() {
					time.Sleep(time.Second / 2)
					slow.Store(false)
					gone, err := kit.App.Publish(t.Context(), "room", "message", []byte("gone"))
					assert.NoError(t, err)
					_, err = kit.App.Retract(t.Context(), "room", gone.ID)
					assert.NoError(t, err)
				}()
				r.subscribe()
				if len(before) > 0 {
					r.read(2) // it, and a position for what was retracted
				}
				r.publish("last")
				r.read(1)
				assert.Equal(t, append(before, "last"), r.got)
			})
		})
	}
}
