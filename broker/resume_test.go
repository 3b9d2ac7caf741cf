package broker_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/storage/memory"
	"github.com/carillon-rt/carillon/storage/storagetest"
)

// filled publishes so many events of so many bytes and returns the position of one
// before them.
func filled(t *testing.T, events, bytes int) (*broker.Broker, broker.Position) {
	br := newBroker(t, broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 10_000}, Rewind: 10_000}), broker.WithMaxEventBytes(3<<20))
	app := br.App("1")
	first, err := app.Publish(t.Context(), "room", "message", data)
	require.NoError(t, err)
	for range events {
		_, err := app.Publish(t.Context(), "room", "message", make([]byte, bytes))
		require.NoError(t, err)
	}
	return br, first.Position
}

// subscribed subscribes a new session and returns what it was sent.
func subscribed(t *testing.T, br *broker.Broker, after *broker.Position) *sink {
	conn := &sink{}
	s, err := br.Connect(t.Context(), broker.ConnectOptions{
		ConnectRequest: broker.ConnectRequest{App: "1"}, Conn: conn, Protocol: &plain{}})
	require.NoError(t, err)
	require.NoError(t, s.Subscribe(t.Context(), broker.SubscribeRequest{Channel: "room", After: after}))
	s.End(1000)
	require.NoError(t, br.Shutdown(t.Context()))
	return conn
}

// A client that has missed more than its connection's queue holds would be cut
// off each time it came back: it is told of a gap instead.
func TestWhatDoesNotFitIntoAQueueIsAGap(t *testing.T) {
	for name, tc := range map[string]struct {
		events, bytes int
		gap           bool
	}{
		"as many as fit":  {events: 8192, bytes: 1},
		"one too many":    {events: 8193, bytes: 1, gap: true},
		"as much as fits": {events: 2, bytes: 1 << 20},
		"too much":        {events: 3, bytes: 1 << 20, gap: true},
	} {
		t.Run(name, func(t *testing.T) {
			br, first := filled(t, tc.events, tc.bytes)
			conn := subscribed(t, br, &first)
			assert.Equal(t, tc.gap, conn.gap)
			if !tc.gap {
				assert.Equal(t, tc.events+1, conn.sent, "the confirmation and what was missed")
			}
		})
	}
}

// A rewind that does not fit would cut the client off each time it subscribes.
func TestARewindIsCutShortWhereItDoesNotFit(t *testing.T) {
	for name, tc := range map[string]struct{ events, bytes, want int }{
		"events": {events: 9000, bytes: 1, want: 8192},
		"bytes":  {events: 9, bytes: 500 << 10, want: 4},
		"one":    {events: 2, bytes: 3 << 20, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			br, _ := filled(t, tc.events, tc.bytes)
			conn := subscribed(t, br, nil)
			assert.Equal(t, tc.want+1, conn.sent, "the confirmation and the latest events")
		})
	}
}

// A subscription that cannot begin anew since its store fails has ended, and all hear so;
// one that is refused goes on.
func TestABeginningAnewThatFailsEndsTheSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failing atomic.Bool
		var told []string
		kit := brokertest.New(t, keeping(10), broker.WithHooks(broker.Hooks{
			Unsubscribed:   func(context.Context, broker.SubscriptionChange) { told = append(told, "unsubscribed") },
			ChannelVacated: func(context.Context, broker.ChannelChange) { told = append(told, "vacated") },
		}), broker.WithHistory(storagetest.NewFaults(memory.New(), func(c storagetest.Call) (f storagetest.Fault) {
			if failing.Load() && c.Op == storagetest.OpRead {
				f.Err = errFault
			}
			return f
		})))
		conn := &sink{}
		s, err := kit.Broker.Connect(t.Context(), broker.ConnectOptions{ConnectRequest: broker.ConnectRequest{App: brokertest.AppID}, Conn: conn, Protocol: &plain{}})
		require.NoError(t, err)
		first := publishTo(t, kit, "room", "1").Position
		req := broker.SubscribeRequest{Channel: "room", After: &first, Again: true}
		require.NoError(t, s.Subscribe(t.Context(), req))
		require.NoError(t, s.Subscribe(t.Context(), req))
		assert.True(t, s.Subscribed("room"))
		failing.Store(true)
		require.ErrorIs(t, s.Subscribe(t.Context(), req), errFault)
		assert.False(t, s.Subscribed("room"))
		sent := conn.sent
		publishTo(t, kit, "room", "2")
		assert.Equal(t, sent, conn.sent)
		synctest.Wait()
		assert.Equal(t, []string{"unsubscribed", "vacated"}, told)
		failing.Store(false)
		require.NoError(t, s.Subscribe(t.Context(), req))
		s.End(1000)
	})
}

// Those who open a channel together ask the store once, and do not depend on the one that
// was first.
func TestWhoAsksFirstMayGoAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		kit := brokertest.New(t, keeping(10), broker.WithHistory(storagetest.NewFaults(memory.New(), func(c storagetest.Call) (f storagetest.Fault) {
			if c.Op == storagetest.OpLatest {
				asked.Add(1)
				f.Wait = time.Second
			}
			return f
		})))
		publishTo(t, kit, "room", "1")
		ctx, leave := context.WithCancel(t.Context())
		go func() { _, _ = kit.App.Subscribe(ctx, "room") }()
		synctest.Wait()
		leave()
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				sub, err := kit.App.Subscribe(t.Context(), "room")
				if assert.NoError(t, err) {
					assert.False(t, sub.Position().IsZero())
					sub.Close()
				}
			})
		}
		all.Wait()
		assert.EqualValues(t, 1, asked.Load())
	})
}
