package broker_test

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/storagetest"
)

// silent is a shared store that notifies of nothing.
type silent struct{ storage.History }

func (s silent) Capabilities() storage.Capabilities { return storage.CapabilitiesOf(s.History) }

// What others publish to a shared store is handed out: at once where the store tells
// of it, within a second where it cannot, and within ten where what it tells is lost.
func TestWhatOthersPublishIsHandedOut(t *testing.T) {
	for name, tc := range map[string]struct {
		store  func(storage.History) storage.History
		within time.Duration
	}{
		"the store notifies": {func(h storage.History) storage.History { return h }, 0},
		"the store does not": {func(h storage.History) storage.History { return silent{h} }, 1100 * time.Millisecond},
		"notifications are lost": {func(h storage.History) storage.History {
			return storagetest.NewFaults(h, func(c storagetest.Call) storagetest.Fault {
				return storagetest.Fault{Drop: c.Op == storagetest.OpNotify}
			})
		}, 10100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				engine := storagetest.NewEngine(true)
				quiet := broker.WithLogger(slog.New(slog.DiscardHandler))
				here := brokertest.New(t, keeping(100), quiet, broker.WithHistory(engine))
				there := brokertest.New(t, keeping(100), quiet, broker.WithHistory(tc.store(engine)))
				f := follow(t, there.App, "room")
				synctest.Wait()
				for _, text := range []string{"1", "2", "3"} {
					mustSay(t, here.App, text)
				}
				time.Sleep(tc.within)
				f.want(t, "1", "2", "3")

				// A rollback is noticed although nobody publishes.
				copied := engine.Copy()
				mustSay(t, here.App, "4")
				time.Sleep(tc.within)
				engine.Restore(copied)
				time.Sleep(10100 * time.Millisecond)
				f.want(t, "1", "2", "3", "4", "gap")
				mustSay(t, here.App, "5")
				time.Sleep(tc.within)
				f.want(t, "1", "2", "3", "4", "gap", "5")
				require.EqualValues(t, 1, there.Broker.Stats().Gaps)
			})
		})
	}
}
