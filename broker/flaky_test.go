package broker_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
)

// flaky is a store that fails now and then: before an append, or after it.
type flaky struct {
	*memory.Store
	calls atomic.Int64
}

func (f *flaky) Append(ctx context.Context, ch storage.ChannelID, ev *storage.Event, opts storage.AppendOptions) (storage.Appended, error) {
	switch f.calls.Add(1) % 7 {
	case 3:
		return storage.Appended{}, assert.AnError
	case 5, 6:
		_, _ = f.Store.Append(ctx, ch, ev, opts)
		return storage.Appended{}, assert.AnError
	}
	return f.Store.Append(ctx, ch, ev, opts)
}

// Whatever the store reports, whoever comes and goes has each event that is kept
// once, and in order.
func TestResumeIsExactWithAStoreThatFails(t *testing.T) {
	synctest.Test(t, resumeWithAStoreThatFails)
}

func resumeWithAStoreThatFails(t *testing.T) {
	kit := brokertest.New(t, keeping(100_000), broker.WithHistory(&flaky{Store: memory.New()}), broker.WithLogger(slog.New(slog.DiscardHandler)))
	const publishers, each = 4, 500
	// Somebody stays, so that failures are remembered.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stays, err := kit.App.Subscribe(ctx, "room")
	require.NoError(t, err)
	var done atomic.Bool
	var subscribers, publishing sync.WaitGroup
	for i := range 3 {
		subscribers.Go(func() {
			var last broker.Position
			for n := 0; ; n++ {
				ended := done.Load()
				visit, leave := context.WithTimeout(ctx, time.Second)
				left := 1 + (n*7+i)%50
				sub, err := kit.App.Subscribe(visit, "room", broker.After(last))
				if err != nil {
					leave()
					if !assert.ErrorIs(t, err, visit.Err()) { // it was over before it began
						return
					}
					continue
				}
				for ev, err := range sub.Events() {
					if !assert.NoError(t, err) || !assert.Equal(t, last.Offset+1, ev.Position.Offset) {
						leave()
						return
					}
					last = ev.Position
					if left--; left == 0 {
						break
					}
				}
				leave()
				if latest, err := kit.App.Latest(ctx, "room"); ended && assert.NoError(t, err) && latest == last {
					return
				}
			}
		})
	}
	for p := range publishers {
		publishing.Go(func() {
			for i := range each {
				key := broker.IdempotencyKey(fmt.Sprint(p, "-", i))
				for {
					if _, err := kit.App.Publish(ctx, "room", "message", []byte("x"), key); err == nil {
						break
					}
				}
			}
		})
	}
	publishing.Wait()
	done.Store(true)
	subscribers.Wait()
	want := uint64(0)
	for ev, err := range stays.Events() {
		require.NoError(t, err)
		want++
		require.Equal(t, want, ev.Position.Offset)
		if want == publishers*each {
			break
		}
	}
}
