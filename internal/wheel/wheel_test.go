package wheel

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const tick = 100 * time.Millisecond

func TestNeverEarlyAndAtMostTwoTicksLate(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		delays := rapid.SliceOfN(rapid.IntRange(-50, 5000), 1, 40).Draw(rt, "delays in ms")
		cancelled := rapid.SliceOfN(rapid.Bool(), len(delays), len(delays)).Draw(rt, "cancelled")
		synctest.Test(t, func(t *testing.T) {
			w := New(tick, 8)
			start := time.Now()
			ran := make([]time.Duration, len(delays))
			timers := make([]Timer, len(delays))
			for i, d := range delays {
				timers[i].Init(func() { ran[i] = time.Since(start) })
				w.Schedule(&timers[i], time.Duration(d)*time.Millisecond)
			}
			for i := range delays {
				if cancelled[i] {
					require.True(t, w.Cancel(&timers[i]))
					require.False(t, w.Cancel(&timers[i]))
				}
			}
			time.Sleep(10 * time.Second)
			synctest.Wait()
			for i, d := range delays {
				want := time.Duration(max(d, 0)) * time.Millisecond
				if cancelled[i] {
					assert.Zero(t, ran[i])
					continue
				}
				assert.GreaterOrEqual(t, ran[i], want)
				assert.LessOrEqual(t, ran[i], want+2*tick)
				assert.NotZero(t, ran[i])
			}
			assert.Nil(t, w.done, "the goroutine ends when nothing is scheduled")
			w.Stop()
		})
	})
}

func TestScheduleMovesATimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(tick, 4)
		defer w.Stop()
		var runs atomic.Int32
		var timer Timer
		timer.Init(func() { runs.Add(1) })
		w.Schedule(&timer, time.Second)
		time.Sleep(900 * time.Millisecond)
		w.Schedule(&timer, time.Second)
		time.Sleep(900 * time.Millisecond)
		synctest.Wait()
		assert.Zero(t, runs.Load())
		time.Sleep(300 * time.Millisecond)
		synctest.Wait()
		assert.EqualValues(t, 1, runs.Load())
	})
}

func TestATimerMayScheduleItselfAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(tick, 4)
		runs := 0
		var timer Timer
		timer.Init(func() {
			if runs++; runs < 3 {
				w.Schedule(&timer, time.Second)
			}
		})
		w.Schedule(&timer, time.Second)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, 3, runs)
		w.Stop()
	})
}

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(tick, 4)
		var timer Timer
		timer.Init(func() { t.Error("ran after Stop") })
		w.Schedule(&timer, time.Second)
		w.Stop()
		w.Stop()
		w.Schedule(&timer, time.Second)
		time.Sleep(time.Minute)
	})
}

func TestConcurrentUse(t *testing.T) {
	w := New(time.Millisecond, 16)
	var ran, cancelled atomic.Int64
	const each = 500
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var fired sync.WaitGroup
			for i := range each {
				timer := new(Timer)
				fired.Add(1)
				timer.Init(func() { ran.Add(1); fired.Done() })
				w.Schedule(timer, time.Duration(i%7)*time.Millisecond)
				if i%3 == 0 && w.Cancel(timer) {
					cancelled.Add(1)
					fired.Done()
				}
			}
			fired.Wait()
		})
	}
	wg.Wait()
	w.Stop()
	assert.EqualValues(t, 4*each, ran.Load()+cancelled.Load())
}

func BenchmarkScheduleAndCancel(b *testing.B) {
	w := New(250*time.Millisecond, 512)
	defer w.Stop()
	var timer Timer
	timer.Init(func() {})
	b.ReportAllocs()
	for b.Loop() {
		w.Schedule(&timer, time.Minute)
	}
}
