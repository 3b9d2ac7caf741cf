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
