package broker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
)

// distant is a memory store that takes its time for each append.
type distant struct {
	*memory.Store
	delay  func(n int64) time.Duration
	failed func(n int64) bool
	n      atomic.Int64
}

var errDistant = errors.New("answer lost")

func (d *distant) Append(ctx context.Context, ch storage.ChannelID, ev *storage.Event, opts storage.AppendOptions) (storage.Appended, error) {
	n := d.n.Add(1)
	out, err := d.Store.Append(ctx, ch, ev, opts)
	time.Sleep(d.delay(n))
	if err == nil && d.failed != nil && d.failed(n) {
		return storage.Appended{}, errDistant
	}
	return out, err
}

// committing is a memory store that commits up to 512 appends together, in 2 ms.
type committing struct {
	*memory.Store
	mu   sync.Mutex
	wait chan struct{} // guarded by mu: closed when those who wait are committed
	n    int           // guarded by mu
}

func (c *committing) Append(ctx context.Context, ch storage.ChannelID, ev *storage.Event, opts storage.AppendOptions) (storage.Appended, error) {
	c.mu.Lock()
	if c.wait == nil || c.n == 512 {
		done := make(chan struct{})
		before := c.wait
		c.wait, c.n = done, 0
		go func() {
			if before != nil {
				<-before
			}
			time.Sleep(2 * time.Millisecond)
			c.mu.Lock()
			if c.wait == done {
				c.wait = nil
			}
			c.mu.Unlock()
			close(done)
		}()
	}
	c.n++
	wait := c.wait
	out, err := c.Store.Append(ctx, ch, ev, opts)
	c.mu.Unlock()
	<-wait
	return out, err
}

func always(d time.Duration) func(int64) time.Duration {
	return func(int64) time.Duration { return d }
}

// Publishers of one channel whose store is far away.
func BenchmarkPublishToADistantStore(b *testing.B) {
	const hang = 3 * time.Second
	for _, bm := range []struct {
		name       string
		publishers int
		store      func() storage.History
	}{
		{"2 ms", 64, func() storage.History {
			return &distant{Store: memory.New(), delay: always(2 * time.Millisecond)}
		}},
		{"2 ms", 512, func() storage.History {
			return &distant{Store: memory.New(), delay: always(2 * time.Millisecond)}
		}},
		{"up to 512 in 2 ms", 64, func() storage.History { return &committing{Store: memory.New()} }},
		{"2 ms, 1 in 100 kept though it failed", 64, func() storage.History {
			return &distant{Store: memory.New(), delay: always(2 * time.Millisecond),
				failed: func(n int64) bool { return n%100 == 0 }}
		}},
		{"2 ms, one hangs for 3 s", 64, func() storage.History {
			return &distant{Store: memory.New(), delay: func(n int64) time.Duration {
				if n == 1000 {
					return hang
				}
				return 2 * time.Millisecond
			}}
		}},
	} {
		b.Run(fmt.Sprintf("%s, %d publishers", bm.name, bm.publishers), func(b *testing.B) {
			br := newBroker(b, broker.WithHistory(bm.store()), broker.WithLogger(slog.New(slog.DiscardHandler)),
				broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 1000}}))
			end := subscribeSinks(b, br, "room", 1)
			app := br.App("1")
			var left, worst atomic.Int64
			left.Store(int64(b.N))
			var publishers sync.WaitGroup
			b.ResetTimer()
			for range bm.publishers {
				publishers.Go(func() {
					for left.Add(-1) >= 0 {
						start := time.Now()
						if _, err := app.Publish(context.Background(), "room", "message", data); err != nil && !errors.Is(err, errDistant) {
							b.Error(err)
						}
						// The one that hangs is not one of the others.
						for took := int64(time.Since(start)); took < int64(hang); {
							if old := worst.Load(); took <= old || worst.CompareAndSwap(old, took) {
								break
							}
						}
					}
				})
			}
			publishers.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "publishes/s")
			b.ReportMetric(float64(worst.Load())/1e6, "worst-ms")
			end()
			require.NoError(b, br.Shutdown(context.Background()))
		})
	}
}

// Publishers of one channel whose store is in memory.
func BenchmarkPublishWithHistoryFrom64(b *testing.B) {
	for _, n := range []int{0, 1} {
		b.Run(fmt.Sprintf("to %d", n), func(b *testing.B) {
			br := newBroker(b, broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 100}}))
			defer subscribeSinks(b, br, "room", n)()
			app := br.App("1")
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := app.Publish(context.Background(), "room", "message", data); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// A publisher of a channel whose store is in memory.
func BenchmarkPublishWithHistoryTo(b *testing.B) {
	for _, n := range []int{0, 1, 10, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			br := newBroker(b, broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 100}}))
			defer subscribeSinks(b, br, "room", n)()
			app := br.App("1")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := app.Publish(context.Background(), "room", "message", data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
