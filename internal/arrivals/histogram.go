package arrivals

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// A histogram's buckets: linear below 32 ns, then 32 for each power of two, so
// that a quantile is at most 3 % off.
const (
	subBits    = 5
	subBuckets = 1 << subBits
	buckets    = (64 - subBits + 1) * subBuckets
)

// Histogram counts durations. It is safe for concurrent use.
type Histogram struct {
	counts [buckets]atomic.Int64
}

// Record counts a duration; one below zero is 0.
func (h *Histogram) Record(d time.Duration) { h.counts[bucketOf(d)].Add(1) }

func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < subBuckets {
		return int(v)
	}
	e := bits.Len64(v) - subBits - 1
	return e*subBuckets + int(v>>e)
}

// valueOf is the middle of a bucket.
func valueOf(bucket int) time.Duration {
	if bucket < 2*subBuckets {
		return time.Duration(bucket)
	}
	e := bucket/subBuckets - 1
	v := uint64(bucket-e*subBuckets) << e
	return time.Duration(v + 1<<e/2)
}

// Reset forgets everything.
func (h *Histogram) Reset() {
	for i := range h.counts {
		h.counts[i].Store(0)
	}
}

// Quantile returns the duration that a share q of all are not longer than; 0
// without any.
func (h *Histogram) Quantile(q float64) time.Duration {
	var all int64
	for i := range h.counts {
		all += h.counts[i].Load()
	}
	rank := min(int64(q*float64(all)), all-1)
	for i := range h.counts {
		n := h.counts[i].Load()
		if n > 0 && rank < n {
			return valueOf(i)
		}
		rank -= n
	}
	return 0
}
