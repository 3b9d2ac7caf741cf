package broker

import (
	"sync/atomic"

	"github.com/puzpuzpuz/xsync/v3"
)

// Stats are counts since the broker was made, and the numbers of what there is now.
type Stats struct {
	// Sessions, Channels and InProcessSubscriptions are how many there are now.
	Sessions, Channels, InProcessSubscriptions int64
	// Connected is how many sessions there have been.
	Connected int64
	// Published is how many events the broker accepted, Delivered how many times one
	// was handed out to a subscriber.
	Published, Delivered int64
	// SlowSessions is how many sessions were cut off because they fell behind,
	// SlowInProcess how many in-process subscriptions.
	SlowSessions, SlowInProcess int64
	// RewindsCut is how many subscriptions began with fewer past events than were
	// due, because their connection had no room for more.
	RewindsCut int64
	// Resumed is how many subscriptions of sessions went on from a position, ResumeGaps
	// how many could not.
	Resumed, ResumeGaps int64
	// QueuedBytes is about how many bytes wait in queues that hold more than
	// transport.BudgetAllowance, where what several queues share counts for each.
	// BudgetCuts is how many queues were cut off because all together held more than
	// the budget.
	QueuedBytes, BudgetCuts int64
	// Refused is how many requests were refused: by hooks, rules or limits, or
	// because they were not valid.
	Refused int64
	// HooksDropped is how many calls of informing hooks were never made, because the
	// hooks were too slow: see Hooks. HookPanics is how many hooks, ciphers and
	// functions of rate limits panicked.
	HooksDropped, HookPanics int64
	// ObserverPanics is how many calls of observers panicked.
	ObserverPanics int64
	// Gaps is how many times the subscribers of a channel missed events that had been
	// stored.
	Gaps int64
	// StoreErrors is how many operations failed for their store; StorePanics is how
	// many calls of a store panicked, StoreTimeouts how many took too long.
	StoreErrors, StorePanics, StoreTimeouts int64
}

// counter stands alone on its cache line.
type counter struct {
	atomic.Int64
	_ [56]byte
}

type stats struct {
	channels, inProcess, connected counter
	published, delivered           *xsync.Counter // striped: publishers of distinct channels share nothing
	slowSessions, slowInProcess    counter
	refused, rewindsCut            counter
	resumed, resumeGaps            counter
	hooksDropped, hookPanics       counter
	observerPanics                 counter
	storeErrors, storePanics       counter
	storeTimeouts                  counter
	gaps                           counter
}

func newStats() stats {
	return stats{published: xsync.NewCounter(), delivered: xsync.NewCounter()}
}
