package ratelimit

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Bucket
		limit := Limit{Rate: 10, Burst: 3}
		take := func(cost int) Decision { return b.Take(time.Now(), limit, cost) }

		assert.Equal(t, Decision{OK: true, Remaining: 3}, take(0), "a new bucket is full")
		assert.Equal(t, Decision{OK: true, Remaining: 2}, take(1))
		assert.Equal(t, Decision{OK: true, Remaining: 0}, take(2))
		assert.Equal(t, Decision{RetryAfter: 100 * time.Millisecond}, take(1))
		assert.Equal(t, Decision{RetryAfter: 300 * time.Millisecond}, take(3))
		assert.Equal(t, Decision{OK: true}, take(0), "nothing costs nothing")
		assert.Equal(t, Decision{OK: true}, take(-1))

		time.Sleep(100*time.Millisecond - time.Nanosecond)
		assert.Equal(t, Decision{RetryAfter: 1}, take(1))
		time.Sleep(time.Nanosecond)
		assert.Equal(t, Decision{OK: true}, take(1))
		time.Sleep(250 * time.Millisecond)
		assert.Equal(t, Decision{OK: true, Remaining: 1}, take(1))
		time.Sleep(24 * time.Hour)
		assert.Equal(t, Decision{OK: true, Remaining: 2}, take(1), "no more than the burst is saved up")
		assert.Equal(t, Decision{Remaining: 2, RetryAfter: Never}, take(4))
	})
}

func TestBucketIsSmall(t *testing.T) {
	assert.EqualValues(t, 8, unsafe.Sizeof(Bucket{}))
	assert.EqualValues(t, 64, unsafe.Sizeof(shard{}))
}

func TestBucketTakesAnyTime(t *testing.T) {
	limit := Limit{Rate: 1, Burst: 1}
	for _, now := range []time.Time{{}, time.Unix(0, 0), start, start.Add(-time.Second), time.Unix(1<<40, 0)} {
		var b Bucket
		assert.True(t, b.Take(now, limit, 1).OK, now)
		assert.False(t, b.Take(now, limit, 1).OK, now)
	}
	var b Bucket
	now := time.Now()
	assert.True(t, b.Take(now, limit, 1).OK)
	assert.Equal(t, Decision{RetryAfter: 2 * time.Second}, b.Take(now.Add(-time.Second), limit, 1), "time ran backwards")
}

func TestBucketWithInvalidLimit(t *testing.T) {
	for _, limit := range invalidLimits {
		var b Bucket
		assert.Equal(t, Decision{RetryAfter: Never}, b.Take(time.Now(), limit, 1), "%+v", limit)
		field, problem := limit.check()
		assert.NotEmpty(t, field, "%+v", limit)
		assert.NotEmpty(t, problem, "%+v", limit)
	}
	for _, limit := range []Limit{{1e9, math.MaxInt32}, {1e-6, 1}, {1.0 / 3600, 100}} {
		field, problem := limit.check()
		assert.Empty(t, field+problem, "%+v", limit)
		var b Bucket
		assert.True(t, b.Take(time.Now(), limit, limit.Burst).OK)
	}
}

var invalidLimits = []Limit{
	{}, {Rate: 1}, {Burst: 1}, {Rate: -1, Burst: 1}, {Rate: 1, Burst: -1},
	{Rate: math.NaN(), Burst: 1}, {Rate: math.Inf(1), Burst: 1}, {Rate: math.Inf(-1), Burst: 1},
	{Rate: 2e9, Burst: 1}, {Rate: 1e-300, Burst: 1}, {Rate: math.SmallestNonzeroFloat64, Burst: 1},
	{Rate: 1e-3, Burst: math.MaxInt},
}

func TestBucketLimitMayChange(t *testing.T) {
	var b Bucket
	now := time.Now()
	assert.True(t, b.Take(now, Limit{Rate: 1, Burst: 10}, 10).OK)
	assert.Equal(t, Decision{RetryAfter: 9100 * time.Millisecond}, b.Take(now, Limit{Rate: 10, Burst: 10}, 1))
	assert.Equal(t, Decision{OK: true, Remaining: 9}, b.Take(now, Limit{Rate: 1, Burst: 20}, 1))
}

// TestBucketModel compares a bucket with tokens counted in a float.
func TestBucketModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := Limit{Rate: rapid.Float64Range(0.01, 1e4).Draw(t, "rate"), Burst: rapid.IntRange(1, 50).Draw(t, "burst")}
		// The time between tokens is whole nanoseconds.
		rate := 1e9 / math.Ceil(1e9/limit.Rate)
		const about = 1e-5

		var b Bucket
		now, tokens := time.Now(), float64(limit.Burst)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			wait := time.Duration(rapid.Float64Range(0, 3).Draw(t, "tokens to wait for") / rate * 1e9)
			now = now.Add(wait)
			tokens = min(float64(limit.Burst), tokens+wait.Seconds()*rate)
			cost := rapid.IntRange(0, limit.Burst+1).Draw(t, "cost")

			d := b.Take(now, limit, cost)
			if math.Abs(tokens-float64(cost)) > about {
				require.Equal(t, tokens >= float64(cost), d.OK)
			}
			if d.OK {
				tokens = max(tokens-float64(cost), 0)
				require.Zero(t, d.RetryAfter)
			}
			require.InDelta(t, tokens, float64(d.Remaining)+0.5, 0.5+about)
			switch {
			case d.OK:
			case cost > limit.Burst:
				require.Equal(t, Never, d.RetryAfter)
			default:
				require.InDelta(t, (float64(cost)-tokens)/rate, d.RetryAfter.Seconds(), about/rate+1e-9)
				var later Bucket
				later.filled.Store(b.filled.Load())
				require.False(t, later.Take(now.Add(d.RetryAfter-1), limit, cost).OK)
				require.True(t, later.Take(now.Add(d.RetryAfter), limit, cost).OK)
			}
		}
	})
}

func TestBucketNeverGrantsTooMuch(t *testing.T) {
	var b Bucket
	limit := Limit{Rate: 20_000, Burst: 50}
	var granted atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for i := range 8 {
		wg.Go(func() {
			for range 20_000 {
				if b.Take(time.Now(), limit, 1+i%3).OK {
					granted.Add(int64(1 + i%3))
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	assert.LessOrEqual(t, float64(granted.Load()), float64(limit.Burst)+limit.Rate*took.Seconds())
	assert.GreaterOrEqual(t, granted.Load(), int64(limit.Burst)-2)
}

func TestBucketGrantsTheBurstToManyAtOnce(t *testing.T) {
	var b Bucket
	now := time.Now()
	var granted atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				if b.Take(now, Limit{Rate: 1, Burst: 777}, 1).OK {
					granted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 777, granted.Load())
}
