package console

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Latencies are counted in buckets: each power of two of microseconds has latencySteps of
// them, so that a percentile is right to an eighth.
const (
	latencyBits    = 3
	latencySteps   = 1 << latencyBits
	latencyBuckets = 27 * latencySteps // up to 2^26 µs, about a minute
)

// counts are how many there are in each bucket.
type counts [latencyBuckets]uint32

// histogram counts latencies. It is safe for concurrent use.
type histogram [latencyBuckets]atomic.Uint32

func bucketOf(d time.Duration) int {
	µs := uint64(max(d.Microseconds(), 0))
	if µs < latencySteps {
		return int(µs)
	}
	shift := bits.Len64(µs) - 1 - latencyBits
	return min((shift+1)<<latencyBits+int(µs>>shift)-latencySteps, latencyBuckets-1)
}

// middle is the middle of a bucket.
func middle(bucket int) time.Duration {
	if bucket < 2*latencySteps {
		return time.Duration(bucket) * time.Microsecond
	}
	shift := bucket>>latencyBits - 1
	low := (bucket&(latencySteps-1) + latencySteps) << shift
	return time.Duration(low+1<<shift/2) * time.Microsecond
}

func (h *histogram) add(d time.Duration) { h[bucketOf(d)].Add(1) }

// take returns what was counted, and begins anew.
func (h *histogram) take() (c counts) {
	for i := range h {
		c[i] = h[i].Swap(0)
	}
	return c
}

func (c *counts) add(o *counts) {
	for i := range c {
		c[i] += o[i]
	}
}

func (c *counts) total() (n int) {
	for _, v := range c {
		n += int(v)
	}
	return n
}

// percentile is the latency that a part of all do not exceed; ok is false if there are none.
func (c *counts) percentile(part float64) (d time.Duration, ok bool) {
	total := c.total()
	if total == 0 {
		return 0, false
	}
	left := int(part * float64(total))
	for i, v := range c {
		if left -= int(v); left < 0 {
			return middle(i), true
		}
	}
	for i := latencyBuckets - 1; ; i-- {
		if c[i] > 0 {
			return middle(i), true
		}
	}
}
