package broker

import (
	"fmt"
	"hash/maphash"
	"log/slog"
	"math/rand/v2"
	"strconv"

	"github.com/carillon-rt/carillon/internal/wheel"
	"github.com/carillon-rt/carillon/presence"
	"github.com/carillon-rt/carillon/storage/memory"
	"github.com/carillon-rt/carillon/transport"
	"github.com/puzpuzpuz/xsync/v3"
)

// New returns a broker. Without options it keeps everything in memory and starts
// no goroutine until there is something to do.
func New(opts ...Option) (*Broker, error) {
	b := &Broker{
		name:          "node",
		maxEventBytes: DefaultMaxEventBytes,
		storeTimeout:  DefaultStoreTimeout,
		ids:           newEventIDs(),
		grantEnds:     wheel.New(grantTick, 512),
	}
	b.log, b.stats = slog.Default(), newStats()
	b.budget = transport.NewBudget(0)
	b.names = DefaultAmendmentNames
	b.sessions = xsync.NewMapOf[string, *Session]()
	b.channels.init(&b.node)
	b.hooks.init(&b.faults)
	b.observers.caught = b.observerPanicked
	b.lifecycle.init()
	b.rateLimits.faults = &b.faults
	for _, opt := range opts {
		if err := opt(b); err != nil {
			return nil, fmt.Errorf("broker: %w", err)
		}
	}
	if b.history == nil || b.presenceStore == nil {
		store := memory.New()
		if b.history == nil {
			b.history = store
		}
		if b.presenceStore == nil {
			b.presenceStore = store
		}
	}
	history := b.history
	b.history = &historyCalls{newStoreCalls(&b.faults, b.history, b.storeTimeout), b.history}
	members := &presenceCalls{storeCalls: newStoreCalls(&b.faults, b.presenceStore, b.storeTimeout), store: b.presenceStore, seed: maphash.MakeSeed()}
	b.presenceStore, b.presenceWaits = members, members.calls != nil
	b.tracker = presence.NewTracker(b.presenceStore, b.name+"-"+strconv.FormatUint(rand.Uint64(), 36))
	b.shareMembers(members.store)
	b.shareHistory(history)
	return b, nil
}
