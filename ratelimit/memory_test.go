package ratelimit

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var _ Limiter = (*Memory)(nil)

func mustTake(t require.TestingT, l Limiter, key string, limit Limit, cost int) Decision {
	d, err := l.Take(context.Background(), key, limit, cost)
	require.NoError(t, err)
	return d
}

func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		limit := Limit{Rate: 1, Burst: 2}
		assert.Equal(t, Decision{OK: true, Remaining: 1}, mustTake(t, m, "a", limit, 1))
		assert.Equal(t, Decision{OK: true, Remaining: 0}, mustTake(t, m, "a", limit, 1))
		assert.Equal(t, Decision{RetryAfter: time.Second}, mustTake(t, m, "a", limit, 1))
		assert.Equal(t, Decision{OK: true, Remaining: 0}, mustTake(t, m, "b", limit, 2))
		time.Sleep(time.Second)
		assert.Equal(t, Decision{OK: true, Remaining: 0}, mustTake(t, m, "a", limit, 1))
		assert.Equal(t, MemoryStats{Keys: 2}, m.Stats())
	})
}

func TestMemoryKeepsNothingForWhatTakesNothing(t *testing.T) {
	m := NewMemory()
	limit := Limit{Rate: 1, Burst: 2}
	assert.True(t, mustTake(t, m, "free", limit, 0).OK)
	assert.Equal(t, Never, mustTake(t, m, "too much", limit, 3).RetryAfter)
	assert.False(t, mustTake(t, m, "invalid", Limit{}, 1).OK)
	assert.Zero(t, m.Stats())
}

func TestMemoryForgetsFullBuckets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory(WithMaxKeys(1 << 14))
		limit := Limit{Rate: 1, Burst: 1}
		for i := range 10_000 {
			mustTake(t, m, fmt.Sprint("old ", i), limit, 1)
		}
		assert.Equal(t, MemoryStats{Keys: 10_000}, m.Stats())
		time.Sleep(time.Second)
		for i := range 5_000 {
			mustTake(t, m, fmt.Sprint("new ", i), limit, 1)
		}
		st := m.Stats()
		assert.Zero(t, st.Evicted)
		assert.Less(t, st.Keys, 6_000)
		for i := range 5_000 {
			assert.False(t, mustTake(t, m, fmt.Sprint("new ", i), limit, 1).OK, "only full buckets are forgotten")
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	for _, n := range []int{1, 2, 17, 1000, 5000, 100_000} {
		m := NewMemory(WithMaxKeys(n))
		for i := range 3 * n {
			assert.True(t, mustTake(t, m, fmt.Sprint(i), Limit{Rate: 1e-3, Burst: 1}, 1).OK)
		}
		st := m.Stats()
		assert.LessOrEqual(t, st.Keys, n)
		assert.GreaterOrEqual(t, st.Keys, n-n/20)
		assert.EqualValues(t, 3*n-st.Keys, st.Evicted)
	}
	for _, n := range []int{0, -1} {
		m := NewMemory(WithMaxKeys(n))
		assert.Equal(t, DefaultMaxKeys, m.shards[0].max*len(m.shards))
	}
}

func TestMemoryReplacesTheNearestToFull(t *testing.T) {
	m := NewMemory(WithMaxKeys(evictEntries))
	limit := Limit{Rate: 1e-3, Burst: 100}
	for i := range evictEntries - 1 {
		mustTake(t, m, fmt.Sprint("exhausted ", i), limit, 100)
	}
	for i := range 10_000 {
		mustTake(t, m, fmt.Sprint("new ", i), limit, 1)
	}
	for i := range evictEntries - 1 {
		assert.False(t, mustTake(t, m, fmt.Sprint("exhausted ", i), limit, 1).OK)
	}
	assert.Equal(t, MemoryStats{Keys: evictEntries, Evicted: 9_999}, m.Stats())
}

// TestMemoryModel compares a memory with a bucket for each key.
func TestMemoryModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := NewMemory(WithMaxKeys(rapid.IntRange(20, 5000).Draw(rt, "max keys")))
		buckets := make(map[int]*Bucket)
		now := start
		for range rapid.IntRange(1, 200).Draw(rt, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(rt, "wait")))
			key := rapid.IntRange(0, 19).Draw(rt, "key")
			limit := Limit{Rate: 2, Burst: 1 + key%5}
			cost := rapid.IntRange(0, 6).Draw(rt, "cost")
			b := buckets[key]
			if b == nil {
				b = new(Bucket)
				buckets[key] = b
			}
			hash := uint64(key) * 0x9e3779b97f4a7c15
			require.Equal(rt, b.Take(now, limit, cost), m.take(hash, sinceStart(now), limit, cost))
			consistent(rt, m)
		}
		require.Zero(rt, m.Stats().Evicted)
	})
}

// consistent holds that index and entries are each other's inverse.
func consistent(t require.TestingT, m *Memory) {
	for i := range m.shards {
		s := &m.shards[i]
		require.Equal(t, len(s.entries), len(s.index))
		require.LessOrEqual(t, len(s.entries), s.max)
		for i, e := range s.entries {
			at, ok := s.index[e.hash]
			require.True(t, ok)
			require.EqualValues(t, i, at)
		}
	}
}

func TestMemoryUnderConcurrentUse(t *testing.T) {
	m := NewMemory(WithMaxKeys(100))
	limit := Limit{Rate: 1e-3, Burst: 333}
	var granted [3]atomic.Int64
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 2_000 {
				k := i % len(granted)
				if mustTake(t, m, fmt.Sprint("kept ", k), limit, 1).OK {
					granted[k].Add(1)
				}
				if i > 1_000 { // by now the kept keys are spent, so others give way first
					mustTake(t, m, fmt.Sprint(g, i), limit, 1)
				}
				m.Stats()
			}
		})
	}
	wg.Wait()
	for k := range granted {
		assert.EqualValues(t, limit.Burst, granted[k].Load())
	}
	assert.LessOrEqual(t, m.Stats().Keys, 100)
	consistent(t, m)
}
