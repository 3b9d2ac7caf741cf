package broker_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
)

// metered counts what is read from it.
type metered struct {
	*memory.Store
	mu            sync.Mutex
	events, bytes int  // guarded by mu: of the largest read
	unbounded     bool // guarded by mu: a read had no bound
}

func (m *metered) Read(ctx context.Context, ch storage.ChannelID, opts storage.ReadOptions) (storage.Page, error) {
	page, err := m.Store.Read(ctx, ch, opts)
	bytes := 0
	for i := range page.Events {
		bytes += len(page.Events[i].Data)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events, m.bytes = max(m.events, len(page.Events)), max(m.bytes, bytes)
	m.unbounded = m.unbounded || opts.MaxEvents == 0 || opts.MaxBytes == 0
	return page, err
}

// TestReadsOfThePastAreBounded before they are made: who asks for what can never
// be delivered must not have it read.
func TestReadsOfThePastAreBounded(t *testing.T) {
	const kept, size = 5000, 4 << 10 // 20 MB
	start := broker.Position{}
	for name, test := range map[string]struct {
		events, bytes int
		gap           bool
		read          func(t *testing.T, b *broker.Broker) error
	}{
		"a session from the start": {512, 2 << 20, true, func(t *testing.T, b *broker.Broker) error {
			return gapOf(subscribed(t, b, &start))
		}},
		"a rewind": {512, 2 << 20, false, func(t *testing.T, b *broker.Broker) error {
			return gapOf(subscribed(t, b, nil))
		}},
		"in process, from the start": {101, kept * size, true, func(t *testing.T, b *broker.Broker) error {
			return firstError(subscribe(t, b.App("1"), "room", broker.After(start), broker.WithBuffer(100)).Events())
		}},
		"in process, a rewind": {1000, kept * size, false, func(t *testing.T, b *broker.Broker) error {
			return firstError(subscribe(t, b.App("1"), "room", broker.WithRewind(1000), broker.WithBuffer(100)).Events())
		}},
		"history": {256, 1 << 20, false, func(t *testing.T, b *broker.Broker) error {
			n := 0
			for _, err := range b.App("1").History(t.Context(), "room") {
				require.NoError(t, err)
				n++
			}
			assert.Equal(t, kept, n)
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			store := &metered{Store: memory.New()}
			b := newBroker(t, broker.WithHistory(store),
				broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: kept}, Rewind: kept}))
			for range kept {
				_, err := b.App("1").Publish(t.Context(), "room", "message", make([]byte, size))
				require.NoError(t, err)
			}
			err := test.read(t, b)
			assert.Equal(t, test.gap, errors.Is(err, storage.ErrGap), err)
			assert.LessOrEqual(t, store.events, test.events)
			assert.LessOrEqual(t, store.bytes, test.bytes)
			assert.False(t, store.unbounded)
		})
	}
}

// gapOf returns an error if the subscription of a session began with a gap.
func gapOf(conn *sink) error {
	if conn.gap {
		return storage.ErrGap
	}
	return nil
}

// firstError returns the error that a subscription starts with.
func firstError(events func(func(broker.Event, error) bool)) (first error) {
	for _, err := range events {
		return err
	}
	return nil
}

// TestAConsumerGetsAsMuchOfThePastAsItHasRoomFor and is told of a gap where that
// is not all.
func TestAConsumerGetsAsMuchOfThePastAsItHasRoomFor(t *testing.T) {
	for name, test := range map[string]struct {
		opt  broker.SubscribeOption
		want int
		gap  bool
	}{
		"after, it fits":     {broker.WithBuffer(5), 5, false},
		"after, it does not": {broker.WithBuffer(4), 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t, broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 100}}))
			app := b.App("1")
			first, err := app.Publish(t.Context(), "room", "message", data)
			require.NoError(t, err)
			for range 5 {
				_, err := app.Publish(t.Context(), "room", "message", data)
				require.NoError(t, err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			got := 0
			sub, err := app.Subscribe(ctx, "room", broker.After(first.Position), test.opt)
			require.NoError(t, err)
			cancel()
			for _, err := range sub.Events() {
				if test.gap {
					require.ErrorIs(t, err, storage.ErrGap)
					continue
				}
				require.NoError(t, err)
				got++
			}
			assert.Equal(t, test.want, got)
		})
	}
}
