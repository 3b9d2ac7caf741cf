package broker_test

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/transport"
)

// An in-process subscription holds so many bytes, not only so many events.
func TestABufferIsBoundedInBytes(t *testing.T) {
	const kib = 1 << 10
	for name, tc := range map[string]struct {
		opts    []broker.SubscribeOption
		past    int
		publish []int // bytes
		want    int   // events, then an error if it is less than all
	}{
		"by default":       {publish: sizes(65, 1<<20), want: 64},
		"set":              {opts: []broker.SubscribeOption{broker.WithBufferBytes(10 * kib)}, publish: sizes(11, kib), want: 10},
		"fits":             {opts: []broker.SubscribeOption{broker.WithBufferBytes(10 * kib)}, publish: sizes(10, kib), want: 10},
		"one that is more": {opts: []broker.SubscribeOption{broker.WithBufferBytes(kib)}, publish: sizes(1, 9*kib), want: 1},
		"no data":          {opts: []broker.SubscribeOption{broker.WithBufferBytes(1)}, publish: sizes(100, 0), want: 100},
		"events first":     {opts: []broker.SubscribeOption{broker.WithBufferBytes(kib), broker.WithBuffer(3)}, publish: sizes(4, 1), want: 3},
		"past on top":      {opts: []broker.SubscribeOption{broker.WithBufferBytes(4 * kib), broker.WithRewind(20)}, past: 20, publish: sizes(5, kib), want: 24},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				br := newBroker(t, broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 20}}))
				defer func() { assert.NoError(t, br.Shutdown(t.Context())) }()
				app := br.App("1")
				send := func(size int) {
					_, err := app.Publish(t.Context(), "room", "message", []byte(strings.Repeat("x", size)))
					require.NoError(t, err)
				}
				for range tc.past {
					send(kib)
				}
				sub := subscribe(t, app, "room", tc.opts...)
				for _, size := range tc.publish {
					send(size)
				}
				synctest.Wait()
				n, ended := 0, error(nil)
				for _, err := range sub.Events() {
					if ended = err; err != nil {
						break
					}
					if n++; n == tc.past+len(tc.publish) {
						break
					}
				}
				assert.Equal(t, tc.want, n)
				if tc.want < tc.past+len(tc.publish) {
					require.ErrorIs(t, ended, broker.ErrSlowSubscriber)
					assert.EqualValues(t, 1, br.Stats().SlowInProcess)
				} else {
					require.NoError(t, ended)
				}
			})
		})
	}
}

func sizes(n, size int) (all []int) {
	for range n {
		all = append(all, size)
	}
	return all
}

func TestABufferOfNoBytesIsRefused(t *testing.T) {
	kit := brokertest.New(t)
	_, err := kit.App.Subscribe(t.Context(), "room", broker.WithBufferBytes(0))
	var field *broker.FieldError
	require.ErrorAs(t, err, &field)
	assert.Equal(t, "buffer bytes", field.Field)
}

// What the consumer has taken and gone through makes room again.
func TestABufferHasRoomForWhatIsConsumed(t *testing.T) {
	kit := brokertest.New(t)
	sub := subscribe(t, kit.App, "room", broker.WithBufferBytes(1<<20))
	data := []byte(strings.Repeat("x", 100<<10))
	send := func() {
		_, err := kit.App.Publish(t.Context(), "room", "message", data)
		require.NoError(t, err)
	}
	for range 10 {
		send()
	}
	n := 0
	for _, err := range sub.Events() {
		require.NoError(t, err)
		if n++; n == 200 {
			break
		}
		send() // while most of a batch is yet to be gone through
	}
	assert.Equal(t, 200, n)
}

// Sessions' connections and in-process subscriptions have one budget.
func TestTheLargestBufferIsCutFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t, broker.WithQueueBudget(4<<20), broker.WithLogger(slog.New(slog.DiscardHandler)))
		large, small := subscribe(t, kit.App, "large"), subscribe(t, kit.App, "small")
		send := func(channel string, n int) {
			for range n {
				_, err := kit.App.Publish(t.Context(), channel, "message", []byte(strings.Repeat("x", 100<<10)))
				require.NoError(t, err)
				synctest.Wait()
			}
		}
		send("small", 10)
		send("large", 25)
		assert.Zero(t, kit.Broker.Stats().BudgetCuts)
		send("large", 10)
		assert.EqualValues(t, 1, kit.Broker.Stats().BudgetCuts)
		for _, err := range large.Events() {
			require.ErrorIs(t, err, broker.ErrSlowSubscriber)
			require.ErrorIs(t, err, transport.ErrBudget)
		}
		assert.Len(t, take(t, small, 10), 10)
		assert.Zero(t, kit.Broker.Stats().QueuedBytes)
	})
}
