package keylock

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/carillon-rt/carillon/internal/alloctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// empty reports whether no lock of l is in use.
func empty[K comparable](l *Locks[K]) bool {
	for i := range l.stripes {
		if l.stripes[i].used != nil {
			return false
		}
	}
	return true
}

func lock[K comparable](t *testing.T, l *Locks[K], key K) *Lock[K] {
	t.Helper()
	k, err := l.Lock(t.Context(), 7, key)
	require.NoError(t, err)
	return k
}

func TestOnlyTheSameKeyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Locks[string]
		a, b := lock(t, &l, "a"), lock(t, &l, "b")
		got := make(chan *Lock[string])
		go func() { got <- lock(t, &l, "a") }()
		synctest.Wait()
		assert.True(t, l.Held(7, "b"))
		b.Unlock()
		assert.True(t, l.Held(7, "a"))
		assert.False(t, l.Held(7, "b"))
		c := lock(t, &l, "c")
		assert.Empty(t, got)
		a.Unlock()
		(<-got).Unlock()
		c.Unlock()
		assert.True(t, empty(&l))
	})
}

func TestWaitersAreServedInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Locks[int]
		held := lock(t, &l, 1)
		var order []int
		var all sync.WaitGroup
		for i := range 5 {
			all.Go(func() {
				defer lock(t, &l, 1).Unlock()
				order = append(order, i)
			})
			synctest.Wait()
		}
		held.Unlock()
		all.Wait()
		assert.Equal(t, []int{0, 1, 2, 3, 4}, order)
		assert.True(t, empty(&l))
	})
}

func TestAContextEndsTheWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Locks[int]
		held := lock(t, &l, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := l.Lock(ctx, 7, 1)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		held.Unlock()
		assert.True(t, empty(&l))
		// A lock that is free is not waited for.
		again, err := l.Lock(ctx, 7, 1)
		require.NoError(t, err)
		again.Unlock()
	})
}

// Whatever contexts end at whatever moment, one at a time holds a key and no lock
// is lost.
func TestContextsThatEndAnyTime(t *testing.T) {
	var l Locks[int]
	var inside [3]int // not locked: the key guards it
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 2000 {
				key := (i + j) % len(inside)
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(j%7)*time.Microsecond)
				if k, err := l.Lock(ctx, uint64(key), key); err == nil {
					inside[key]++
					assert.Equal(t, 1, inside[key])
					inside[key]--
					k.Unlock()
				}
				cancel()
			}
		})
	}
	all.Wait()
	assert.True(t, empty(&l))
}

func TestLockAllocatesNothing(t *testing.T) {
	var l Locks[string]
	assert.Zero(t, alloctest.PerRun(100, func() {
		k, _ := l.Lock(context.Background(), 7, "a")
		k.Unlock()
	}))
}

func BenchmarkLock(b *testing.B) {
	var l Locks[string]
	for b.Loop() {
		k, _ := l.Lock(context.Background(), 7, "room")
		k.Unlock()
	}
}
