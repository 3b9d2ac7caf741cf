package broker

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/carillon-rt/carillon/internal/cursor"
)

// order is how the events of a channel that keeps history come into the order of
// their positions. Whoever has an event with a position, from whatever source, lets
// it arrive; what is missing before it is read from the store.
//
// The channel's order lock guards it.
type order struct {
	cursor.Cursor
	// closed is set when the channel has lost its last subscription.
	closed bool
	// timer fires when the store is to be read, and planned is where the cursor
	// stood when it was set; nil if no read is planned.
	timer   *time.Timer
	planned Position
	// reading says that the store is being read, urgent that it is to be read again
	// at once.
	reading, urgent bool
	// retry is how long to wait after a read that decided nothing; 0 after others.
	retry time.Duration
	// doubt is until when the store may still store an event whose append has failed,
	// and check how long to wait before looking again.
	doubt time.Time
	check time.Duration
}

// How the store is read for events that are missing.
const (
	// orderPage is the most events that are read at once, and handed out with the
	// order held; orderPageBytes is the most data.
	orderPage, orderPageBytes = 64, 1 << 20
	// A read that decided nothing is tried again after minOrderRetry at first, and
	// after twice as long each time up to maxOrderRetry.
	minOrderRetry, maxOrderRetry = 10 * time.Millisecond, 5 * time.Second
	// Twice what an append usually takes is waited for a missing event, within
	// these bounds.
	minOrderWait, maxOrderWait = time.Millisecond, 250 * time.Millisecond
	// orderDoubt is how long after an append has failed the store is looked at.
	orderDoubt = 20 * time.Second
)

// close ends the order of a channel that has lost its last subscription.
func (k *order) close() {
	k.closed = true
	k.stopTimer()
	k.ReleaseAll()
}

func (k *order) stopTimer() {
	if k.timer != nil {
		k.timer.Stop()
		k.timer = nil
	}
}

// doubted reports whether an append that has failed may still turn up in the store.
func (k *order) doubted() bool { return !k.doubt.IsZero() && time.Now().Before(k.doubt) }

// appendTime is about how long the store usually takes for an append.
type appendTime struct{ usual atomic.Int64 }

// took notes how long an append took. One that hung counts as twice the usual.
func (a *appendTime) took(d time.Duration) {
	usual := a.usual.Load()
	if usual == 0 {
		a.usual.Store(int64(min(d, maxOrderWait)))
		return
	}
	a.usual.Store(usual + (min(int64(d), 2*usual)-usual)/8)
}

// wait is how long to wait for an event that is missing before it is read.
func (a *appendTime) wait() time.Duration {
	return min(max(2*time.Duration(a.usual.Load()), minOrderWait), maxOrderWait)
}

// maxFailedKeys is how many idempotency keys of failed appends a channel that keeps
// nothing else remembers.
const maxFailedKeys = 1024

// failedKeys are the idempotency keys of failed appends on a channel that keeps no
// events. The event of such a key has not been handed out; its retry is.
type failedKeys []string

func (f *failedKeys) add(key string) {
	if len(*f) == maxFailedKeys {
		*f = slices.Delete(*f, 0, 1)
	}
	*f = append(*f, key)
}

func (f *failedKeys) take(key string) bool {
	i := slices.Index(*f, key)
	if i < 0 {
		return false
	}
	*f = slices.Delete(*f, i, i+1)
	return true
}
