package broker_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/storage/memory"
	"github.com/carillon-rt/carillon/storage/storagetest"
)

// What is published and retracted while a rewind is read is not there for who rewinds.
func TestWhatIsRetractedDuringARewindStaysRetracted(t *testing.T) {
	for name, before := range map[string][]string{"after others": {"1"}, "alone": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var slow atomic.Bool
				kit := brokertest.New(t, keeping(10), broker.WithHistory(storagetest.NewSlowReads(memory.New(), &slow)))
				for _, data := range before {
					publishTo(t, kit, "room", data)
				}
				slow.Store(true)
				var sub *broker.Subscription
				go func() {
					var err error
					sub, err = kit.App.Subscribe(t.Context(), "room", broker.WithRewind(5))
					assert.NoError(t, err)
				}()
				synctest.Wait()
				slow.Store(false)
				gone := publishTo(t, kit, "room", "gone")
				_, err := kit.App.Retract(t.Context(), "room", gone.ID)
				require.NoError(t, err)
				time.Sleep(5 * time.Second)
				synctest.Wait()
				require.NotNil(t, sub)
				publishTo(t, kit, "room", "last")
				var got []string
				for ev, err := range sub.Events() {
					require.NoError(t, err)
					got = append(got, string(ev.Data))
					if string(ev.Data) == "last" {
						break
					}
				}
				sub.Close()
				assert.Equal(t, append(before, "last"), got)
			})
		})
	}
}
