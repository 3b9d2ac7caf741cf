package broker_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/pusher"
	store "github.com/carillon-rt/carillon/storage/memory"
	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/memory"
)

// dial connects a client whose queue has the given bounds.
func dial(t *testing.T, kit *brokertest.Kit, messages, bytes int) *memory.Client {
	t.Helper()
	c, err := memory.Connect(kit.Handler.Open(t.Context(), pusher.Dial{Key: brokertest.Key, Protocol: "7"}),
		memory.WithQueueLimits(messages, bytes))
	require.NoError(t, err)
	_, ok := c.TryReceive()
	require.True(t, ok)
	return c
}

func ask(t *testing.T, c *memory.Client, channel string) {
	t.Helper()
	require.NoError(t, c.Send([]byte(`{"event":"pusher:subscribe","data":{"channel":"`+channel+`"}}`)))
}

// received returns how many messages wait for the client, and the last of them.
func received(c *memory.Client) (n int, last string) {
	for {
		m, ok := c.TryReceive()
		if !ok {
			return n, last
		}
		n, last = n+1, string(m)
	}
}

// What a rewind has too much for a connection's queue would cut it off each time
// it comes back.
func TestARewindFitsTheConnectionItGoesTo(t *testing.T) {
	rules := broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 10_000}, Rewind: 10_000})
	for name, tc := range map[string]struct {
		messages, bytes  int // of the queue
		events, channels int
		data             string
		least, most      int // messages
	}{
		"few messages":            {messages: 64, events: 100, channels: 1, data: "x", least: 30, most: 63},
		"few bytes":               {bytes: 64 << 10, events: 100, channels: 1, data: strings.Repeat("x", 2<<10), least: 10, most: 32},
		"few bytes once encoded":  {bytes: 64 << 10, events: 100, channels: 1, data: strings.Repeat("\x01", 2<<10), least: 3, most: 6},
		"one of half the queue":   {bytes: 64 << 10, events: 3, channels: 1, data: strings.Repeat("x", 40<<10), least: 2, most: 2},
		"one that never fits":     {bytes: 64 << 10, events: 1, channels: 1, data: strings.Repeat("x", 70<<10), least: 1, most: 1},
		"all of it":               {messages: 64, events: 20, channels: 1, data: "x", least: 21, most: 21},
		"many channels":           {messages: 64, events: 100, channels: 20, data: "x", least: 60, most: 64},
		"many with usual bounds":  {events: 3000, channels: 20, data: "x", least: 8192, most: 16_384},
		"large with usual bounds": {events: 12, channels: 10, data: strings.Repeat("x", 300<<10), least: 20, most: 24},
	} {
		t.Run(name, func(t *testing.T) {
			kit := brokertest.New(t, rules)
			for i := range tc.channels {
				for range tc.events {
					_, err := kit.App.Publish(t.Context(), fmt.Sprint("room", i), "message", []byte(tc.data))
					require.NoError(t, err)
				}
			}
			c := dial(t, kit, tc.messages, tc.bytes)
			for i := range tc.channels {
				ask(t, c, fmt.Sprint("room", i))
			}
			n, _ := received(c)
			assert.GreaterOrEqual(t, n, tc.least)
			assert.LessOrEqual(t, n, tc.most)
			publish(t, kit.App, "room0", 7, 7)
			_, last := received(c)
			assert.Contains(t, last, `"data":"7"`, "it goes on")
			assert.Zero(t, kit.Broker.Stats().SlowSessions)
		})
	}
}

// What was missed goes out whole or is a gap, by what this connection has room for.
func TestWhatWasMissedFitsTheConnectionItGoesTo(t *testing.T) {
	for name, tc := range map[string]struct {
		queue  transport.Queue
		events int
		data   []byte
		gap    bool
	}{
		"fits":            {queue: transport.Queue{MessageLimit: 64, ByteLimit: 1 << 20}, events: 32, data: []byte("x")},
		"too many":        {queue: transport.Queue{MessageLimit: 64, ByteLimit: 1 << 20}, events: 33, data: []byte("x"), gap: true},
		"others wait":     {queue: transport.Queue{Messages: 10, MessageLimit: 64, ByteLimit: 1 << 20}, events: 32, data: []byte("x"), gap: true},
		"too large":       {queue: transport.Queue{MessageLimit: 64, ByteLimit: 1 << 10}, events: 6, data: make([]byte, 100), gap: true},
		"large once sent": {queue: transport.Queue{MessageLimit: 64, ByteLimit: 1 << 10, Format: tenfold}, events: 4, data: make([]byte, 20), gap: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t, broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 100}}))
			first := publish(t, b.App("1"), "room", 1, 1)
			for range tc.events {
				_, err := b.App("1").Publish(t.Context(), "room", "message", tc.data)
				require.NoError(t, err)
			}
			conn := &roomy{queue: tc.queue}
			s, err := b.Connect(t.Context(), broker.ConnectOptions{
				ConnectRequest: broker.ConnectRequest{App: "1"}, Conn: conn, Protocol: &plain{}})
			require.NoError(t, err)
			require.NoError(t, s.Subscribe(t.Context(), broker.SubscribeRequest{Channel: "room", After: &first}))
			assert.Equal(t, tc.gap, conn.gap)
			if tc.gap {
				assert.Equal(t, 1, conn.sent)
			} else {
				assert.Equal(t, tc.events+1, conn.sent)
			}
			s.End(1000)
			require.NoError(t, b.Shutdown(t.Context()))
		})
	}
}

// tenfold is a wire on which everything takes ten times the room.
var tenfold = transport.NewFormat("tenfold", func(p []byte) []byte { return bytes.Repeat(p, 10) })

// roomy is a connection with a queue of its own bounds.
type roomy struct {
	sink
	queue transport.Queue
}

func (r *roomy) Queue() transport.Queue { return r.queue }

// What is held back while a store hangs is bounded by the connection's queue too.
func TestWhatIsHeldFitsTheConnectionItGoesTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, tc := range map[string]struct {
			messages, bytes, events int
			data                    string
			slow                    int64
		}{
			"fits":        {messages: 64, events: 30, data: "x"},
			"too many":    {messages: 64, events: 65, data: "x", slow: 1},
			"too large":   {bytes: 64 << 10, events: 10, data: strings.Repeat("x", 10<<10), slow: 1},
			"beside past": {messages: 64, events: 32, data: "x"},
		} {
			release := make(chan struct{})
			history := &faulty{Store: store.New()}
			kit := brokertest.New(t, broker.WithHistory(history), broker.WithLogger(slog.New(slog.DiscardHandler)),
				broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 100}, Rewind: 100}))
			publish(t, kit.App, "room", 1, 100)
			history.read = func() { <-release }
			c := dial(t, kit, tc.messages, tc.bytes)
			go ask(t, c, "room")
			synctest.Wait()
			for range tc.events {
				_, err := kit.App.Publish(t.Context(), "room", "message", []byte(tc.data))
				require.NoError(t, err)
			}
			synctest.Wait()
			assert.Equal(t, tc.slow, kit.Broker.Stats().SlowSessions, name)
			close(release)
			synctest.Wait()
			assert.Equal(t, tc.slow, kit.Broker.Stats().SlowSessions, name)
		}
	})
}

// A list of members that no queue of the connection ever takes is refused, instead
// of cutting it off each time it comes back.
func TestMembersFitTheConnectionTheyGoTo(t *testing.T) {
	kit := brokertest.New(t)
	info := `{"about":"` + strings.Repeat("x", 900) + `"}`
	for i := range 10 {
		kit.Connect(t).SubscribeAs("presence-room", fmt.Sprint("user", i), info)
	}
	c, err := memory.Connect(kit.Handler.Open(t.Context(), pusher.Dial{Key: brokertest.Key, Protocol: "7"}),
		memory.WithQueueLimits(64, 8<<10))
	require.NoError(t, err)
	hello, ok := c.TryReceive()
	require.True(t, ok)
	socketID := regexp.MustCompile(`\d+\.\d+`).FindString(string(hello))
	member := `{"user_id":"late"}`
	auth, err := pusher.SignChannel(kit.Config, socketID, "presence-room", member)
	require.NoError(t, err)
	require.NoError(t, c.Send(fmt.Appendf(nil,
		`{"event":"pusher:subscribe","data":{"auth":%q,"channel_data":%q,"channel":"presence-room"}}`, auth, member)))
	_, last := received(c)
	assert.Contains(t, last, "pusher:subscription_error")
	assert.Contains(t, last, "LimitReached")
	members, err := kit.App.Members(t.Context(), "presence-room")
	require.NoError(t, err)
	assert.Len(t, members, 10)
	ask(t, c, "room")
	_, last = received(c)
	assert.Contains(t, last, "subscription_succeeded")
	assert.Zero(t, kit.Broker.Stats().SlowSessions)
}

// A page of history that the connection's queue cannot take would cut it off each time it
// asks.
func TestAPageFitsTheConnectionItGoesTo(t *testing.T) {
	for name, bytes := range map[string]int{"small": 16 << 10, "usual": 4 << 20} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kit := brokertest.New(t, broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 100}}))
				for range 100 {
					_, err := kit.App.Publish(t.Context(), "room", "message", []byte(strings.Repeat("\x01", 1000)))
					require.NoError(t, err)
				}
				c := dial(t, kit, 64, bytes)
				ask(t, c, "room")
				_, last := received(c)
				require.Contains(t, last, "subscription_succeeded")
				require.NoError(t, c.Send([]byte(`{"event":"pusher:history","data":{"id":1,"channel":"room"}}`)))
				synctest.Wait()
				_, last = received(c)
				assert.Contains(t, last, "pusher_internal:history")
				assert.NotContains(t, last, "error")
				assert.Zero(t, kit.Broker.Stats().SlowSessions)
			})
		})
	}
}
