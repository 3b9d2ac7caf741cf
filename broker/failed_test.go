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

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
)

// failing starts a broker that keeps n events in a store whose calls can fail.
func failing(t *testing.T, n int) (*faulty, *brokertest.Kit) {
	store := &faulty{Store: memory.New()}
	return store, brokertest.New(t, keeping(n), broker.WithHistory(store), broker.WithLogger(slog.New(slog.DiscardHandler)))
}

func TestARetryHandsOutWhatTheStoreHadTaken(t *testing.T) {
	for _, n := range []int{0, 10} {
		t.Run(fmt.Sprintf("history of %d", n), func(t *testing.T) {
			store, kit := failing(t, n)
			ann, bob := kit.Connect(t), kit.Connect(t)
			ann.Subscribe("room")
			bob.Subscribe("room")
			local := kit.App.Subscribe(t.Context(), "room")
			send := func() (broker.Published, error) {
				return kit.App.Publish(t.Context(), "room", "message", []byte("1"), broker.IdempotencyKey("k"), broker.Exclude(bob.SocketID()))
			}
			store.appendErr = assert.AnError
			_, err := send()
			require.ErrorIs(t, err, assert.AnError)
			ann.ExpectNothing()

			store.appendErr = nil
			done, err := send()
			require.NoError(t, err)
			assert.False(t, done.Duplicate, "it has gone out only now")
			assert.EqualValues(t, 1, done.Position.Offset)
			assert.Equal(t, "1", ann.Expect("message", "room").Data)
			for ev := range local {
				assert.Equal(t, done.Position, ev.Position)
				break
			}
			done, err = send()
			require.NoError(t, err)
			assert.True(t, done.Duplicate)
			ann.ExpectNothing()
			bob.ExpectNothing()
			assert.EqualValues(t, 1, kit.Broker.Stats().Published)
		})
	}
}

func TestWhatTheStoreHadTakenGoesOutInItsPlace(t *testing.T) {
	store, kit := failing(t, 100)
	ann, bob := kit.Connect(t), kit.Connect(t)
	ann.Subscribe("private-room")
	bob.Subscribe("private-room")
	local := kit.App.Subscribe(t.Context(), "private-room")
	fail := func(data string, opts ...broker.PublishOption) {
		_, err := kit.App.Publish(t.Context(), "private-room", "message", []byte(data), opts...)
		require.ErrorIs(t, err, assert.AnError)
	}
	publish(t, kit.App, "private-room", 1, 1)
	store.appendErr = assert.AnError
	fail("2", broker.IdempotencyKey("k"))
	ann.Trigger("private-room", "client-x", "3")
	store.appendErr, store.lost = nil, assert.AnError
	fail("lost")
	store.lost, store.readErr = nil, assert.AnError
	fail("4")
	assert.Contains(t, ann.Expect("message", "private-room").Raw, "1")
	ann.Expect("pusher:error", "")
	ann.ExpectNothing()

	// Who subscribes now has some of it in the past already.
	store.readErr = nil
	late := kit.App.Subscribe(t.Context(), "private-room", broker.WithRewind(2))
	publish(t, kit.App, "private-room", 5, 5)
	done, err := kit.App.Publish(t.Context(), "private-room", "message", []byte("2"), broker.IdempotencyKey("k"))
	require.NoError(t, err)
	assert.True(t, done.Duplicate)
	assert.Equal(t, []string{"1", "2", "3", "4", "5"}, take(t, local, 5))
	assert.Equal(t, []string{"3", "4", "5"}, take(t, late, 3))
	for _, want := range []string{"2", "4", "5"} { // 3 was ann's own
		assert.Equal(t, want, ann.Expect("message", "private-room").Data)
	}
	for _, want := range []string{"1", "2"} {
		assert.Equal(t, want, bob.Expect("message", "private-room").Data)
	}
	bob.Expect("client-x", "private-room")
	ann.ExpectNothing()
}

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
	kit := brokertest.New(t, keeping(100_000), broker.WithHistory(&flaky{Store: memory.New()}), broker.WithLogger(slog.New(slog.DiscardHandler)))
	const publishers, each = 4, 500
	// Somebody stays, so that failures are remembered.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stays := kit.App.Subscribe(ctx, "room")
	var done atomic.Bool
	var subscribers, publishing sync.WaitGroup
	for i := range 3 {
		subscribers.Go(func() {
			var last broker.Position
			for n := 0; ; n++ {
				ended := done.Load()
				visit, leave := context.WithTimeout(ctx, 20*time.Millisecond)
				left := 1 + (n*7+i)%50
				for ev, err := range kit.App.Subscribe(visit, "room", broker.After(last)) {
					if errors.Is(err, visit.Err()) && err != nil { // it was over before it began
						break
					}
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
	for ev, err := range stays {
		require.NoError(t, err)
		want++
		require.Equal(t, want, ev.Position.Offset)
		if want == publishers*each {
			break
		}
	}
}
