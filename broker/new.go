package broker

import (
	"context"
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
		log:           slog.Default(),
		maxEventBytes: DefaultMaxEventBytes,
		budget:        transport.NewBudget(0),
		storeTimeout:  DefaultStoreTimeout,
		node:          "node",
		channels:      newRegistry(),
		sessions:      xsync.NewMapOf[string, *Session](),
		ids:           newEventIDs(),
		grantEnds:     wheel.New(grantTick, 512),
		stats:         stats{published: xsync.NewCounter(), delivered: xsync.NewCounter()},
	}
	b.hooksTime, b.hooksOver = context.WithCancelCause(context.Background())
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
	b.history = &historyCalls{b.newStoreCalls(b.history), b.history}
	members := &presenceCalls{storeCalls: b.newStoreCalls(b.presenceStore), store: b.presenceStore, seed: maphash.MakeSeed()}
	b.presenceStore, b.presenceWaits = members, members.calls != nil
	b.tracker = presence.NewTracker(b.presenceStore, b.node+"-"+strconv.FormatUint(rand.Uint64(), 36))
	b.shareMembers(members.store)
	b.lifecycle.init()
	b.shareHistory(history)
	return b, nil
}
