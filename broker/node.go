package broker

import (
	"context"
	"sync/atomic"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/transport"
	"github.com/puzpuzpuz/xsync/v3"
)

// node is what the channels and the sessions of a broker share.
type node struct {
	faults
	lifecycle
	hooks    hookSets
	sessions *xsync.MapOf[string, *Session]
	history  storage.History
	// appendTime is how long the history takes.
	appendTime appendTime
	cipher     atomic.Pointer[Cipher]
	names      AmendmentNames
	budget     *transport.Budget
}

// readHistory reads for all who are subscribed, or are about to be: no one's context
// ends it. Events that were retracted come as what announces that.
func (n *node) readHistory(ch storage.ChannelID, o storage.ReadOptions) (storage.Page, error) {
	page, err := n.history.Read(context.Background(), ch, o)
	if err != nil && !isGap(err) {
		err = n.storeFailed("history read", ch, err)
	}
	n.showRetracted(ch, page.Events)
	return page, err
}

// showRetracted makes of events whose data is gone, for those who are sent the past, what
// announces that. Nothing else is sent in their place: no page expects an event of its
// own without data.
func (n *node) showRetracted(ch ChannelID, events []Event) {
	for i := range events {
		ev := &events[i]
		if !ev.Retracted {
			continue
		}
		if ev.Amends == 0 {
			ev.Target = ev.ID
		}
		ev.Amends, ev.Name, ev.JSON = storage.Retract, n.names.Retracted, false
		data := AmendmentData{ID: ev.Target, Version: ev.Version}
		ev.Data = data.encode()
		if c := n.cipher.Load(); c != nil && KindOf(ch.Name).Base() == Encrypted {
			if sealed, err := (*c).Seal(ch.App, ch.Name, ev.Data); err == nil {
				ev.Data = sealed
			}
		}
	}
}
