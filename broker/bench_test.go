package broker_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/internal/alloctest"
	"github.com/carillon-rt/carillon/transport"
)

// sink is a connection that takes everything in and keeps nothing.
type sink struct {
	sent int
	gap  bool // a subscription began with one
}

func (s *sink) Send(m *transport.Message) error {
	s.sent++
	s.gap = s.gap || m == gapped
	return nil
}
func (s *sink) Close(int, string) {}
func (s *sink) Queue() transport.Queue {
	return transport.Queue{MessageLimit: transport.DefaultQueueMessages, ByteLimit: transport.DefaultQueueBytes}
}
func (s *sink) LastReceived() time.Time { return time.Time{} }
func (s *sink) Info() transport.Info    { return transport.Info{Transport: "sink"} }

// plain is a protocol with as little encoding as there can be.
type plain struct{}

var empty, gapped = transport.NewMessage(nil), transport.NewMessage(nil)

func (*plain) Encode(n broker.Notice) *transport.Message {
	switch n := n.(type) {
	case broker.EventNotice:
		return transport.NewMessage(n.Data)
	case broker.SubscribedNotice:
		if n.Resume == broker.ResumeGap {
			return gapped
		}
	case broker.GapNotice:
		return nil
	}
	return empty
}
func (*plain) Close(broker.CloseReason) (int, string) { return 4200, "" }

var data = make([]byte, 100)

func newBroker(b testing.TB, opts ...broker.Option) *broker.Broker {
	br, err := broker.New(append(opts, broker.WithDrainWindow(0))...)
	require.NoError(b, err)
	return br
}

func subscribeSinks(b testing.TB, br *broker.Broker, channel string, n int) func() {
	protocol := &plain{}
	sessions := make([]*broker.Session, n)
	for i := range sessions {
		s, err := br.Connect(context.Background(), broker.ConnectOptions{
			ConnectRequest: broker.ConnectRequest{App: "1"}, Conn: &sink{}, Protocol: protocol})
		require.NoError(b, err)
		require.NoError(b, s.Subscribe(context.Background(), broker.SubscribeRequest{Channel: channel}))
		sessions[i] = s
	}
	return func() {
		for _, s := range sessions {
			s.End(1000)
		}
	}
}

func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{0, 1, 1000} {
		b.Run(fmt.Sprintf("to %d", n), func(b *testing.B) {
			br := newBroker(b)
			defer subscribeSinks(b, br, "room", n)()
			app := br.App("1")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := app.Publish(context.Background(), "room", "message", data); err != nil {
					b.Fatal(err)
				}
			}
			if n > 0 {
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/delivery")
			}
		})
	}
}

// rulesOfAllKinds returns n rules, of which none matches "room".
func rulesOfAllKinds(n int) []broker.ChannelRule {
	forms := [...]string{"presence-game-%d-*", "private-user-%d", "orders-%d-[0-9]*", "ro*-%d", "*-typing-%d"}
	rules := make([]broker.ChannelRule, n)
	for i := range rules {
		rules[i] = broker.ChannelRule{Pattern: fmt.Sprintf(forms[i%len(forms)], i), LeaveGrace: time.Second}
	}
	return rules
}

// BenchmarkPublishWithRules publishes to one channel, and where nobody is there to
// one channel after the other as well: the patterns must not be felt.
func BenchmarkPublishWithRules(b *testing.B) {
	many := make([]string, 100_000)
	for i := range many {
		many[i] = fmt.Sprint("private-user-", i+100)
	}
	for _, rules := range []int{0, 50} {
		for _, c := range []struct {
			name        string
			channels    []string
			subscribers int
		}{
			{"to 0", []string{"room"}, 0}, {"to 1", []string{"room"}, 1}, {"to 0 on 100000 channels", many, 0},
		} {
			b.Run(fmt.Sprintf("%d/%s", rules, c.name), func(b *testing.B) {
				br := newBroker(b, broker.WithChannelRules(rulesOfAllKinds(rules)...))
				defer subscribeSinks(b, br, c.channels[0], c.subscribers)()
				app := br.App("1")
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if _, err := app.Publish(context.Background(), c.channels[i%len(c.channels)], "message", data); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkClientEvent sends to one other subscriber. A channel that is open knows its
// rule: the patterns must not be felt.
func BenchmarkClientEvent(b *testing.B) {
	for _, rules := range []int{0, 50} {
		b.Run(fmt.Sprintf("%d rules", rules), func(b *testing.B) {
			br := newBroker(b, broker.WithChannelRules(rulesOfAllKinds(rules)...))
			var sessions [2]*broker.Session
			for i := range sessions {
				s, err := br.Connect(context.Background(), broker.ConnectOptions{
					ConnectRequest: broker.ConnectRequest{App: "1"}, Conn: &sink{}, Protocol: &plain{}})
				require.NoError(b, err)
				defer s.End(1000)
				require.NoError(b, s.Subscribe(context.Background(), broker.SubscribeRequest{Channel: "private-room", Authorized: true}))
				sessions[i] = s
			}
			req := broker.ClientEventRequest{Channel: "private-room", Event: "client-x", Data: data}
			b.ReportAllocs()
			for b.Loop() {
				if err := sessions[0].ClientEvent(context.Background(), req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPublishParallelToDistinctChannels(b *testing.B) {
	br := newBroker(b)
	var next int
	channels := make(chan string, 64)
	for range cap(channels) {
		name := fmt.Sprint("room-", next)
		next++
		defer subscribeSinks(b, br, name, 10)()
		channels <- name
	}
	app := br.App("1")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		name := <-channels
		for pb.Next() {
			if _, err := app.Publish(context.Background(), name, "message", data); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkPublishWithHistory(b *testing.B) {
	br := newBroker(b, broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 100}}))
	defer subscribeSinks(b, br, "room", 10)()
	app := br.App("1")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := app.Publish(context.Background(), "room", "message", data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInProcessDeliveries(b *testing.B) {
	const subscribers = 10
	br := newBroker(b)
	app := br.App("1")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int)
	for range subscribers {
		sub, err := app.Subscribe(ctx, "room", broker.WithBuffer(1<<30))
		require.NoError(b, err)
		go func() {
			n := 0
			for range sub.Events() {
				if n++; n == b.N {
					break
				}
			}
			done <- n
		}()
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		_, _ = app.Publish(ctx, "room", "message", data)
	}
	for range subscribers {
		<-done
	}
	b.ReportMetric(float64(b.N*subscribers)/b.Elapsed().Seconds(), "deliveries/s")
	cancel()
}

func BenchmarkSubscribe(b *testing.B) {
	for _, channel := range []string{"room", "presence-room"} {
		b.Run(channel, func(b *testing.B) {
			br := newBroker(b)
			defer subscribeSinks(b, br, channel+"-kept", 0)()
			s, err := br.Connect(context.Background(), broker.ConnectOptions{
				ConnectRequest: broker.ConnectRequest{App: "1"}, Conn: &sink{}, Protocol: &plain{}})
			require.NoError(b, err)
			defer s.End(1000)
			req := broker.SubscribeRequest{Channel: channel, Authorized: true, Member: &broker.Member{UserID: "ann"}}
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Subscribe(context.Background(), req); err != nil {
					b.Fatal(err)
				}
				s.Unsubscribe(context.Background(), channel)
			}
		})
	}
}

// The memory of a channel with one in-process subscriber that nobody publishes
// to.
func BenchmarkEmptySubscription(b *testing.B) {
	const n = 100_000
	for b.Loop() {
		br := newBroker(b)
		app := br.App("1")
		ctx, cancel := context.WithCancel(context.Background())
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range n {
			_, err := app.Subscribe(ctx, fmt.Sprint("room-", i))
			require.NoError(b, err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/subscription")
		cancel()
	}
}

func TestPublishAllocatesNothingPerSubscriber(t *testing.T) {
	allocs := func(n int) float64 {
		br := newBroker(t)
		defer subscribeSinks(t, br, "room", n)()
		app := br.App("1")
		return alloctest.PerRun(100, func() {
			_, _ = app.Publish(context.Background(), "room", "message", data)
		})
	}
	one, thousand := allocs(1), allocs(1000)
	require.Zero(t, allocs(0), "nobody is subscribed")
	require.Equal(t, one, thousand)
	require.LessOrEqual(t, one, 5.0)
}

func TestPublishWithRulesToNobodyAllocatesNothing(t *testing.T) {
	br := newBroker(t, broker.WithChannelRules(rulesOfAllKinds(50)...))
	app := br.App("1")
	require.Zero(t, alloctest.PerRun(100, func() {
		_, _ = app.Publish(context.Background(), "room", "message", data)
	}))
}

// Publishers of one channel wait for each other: what is kept goes out in order.
func BenchmarkPublishWithHistoryParallelToOneChannel(b *testing.B) {
	br := newBroker(b, broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 100}}))
	defer subscribeSinks(b, br, "room", 10)()
	app := br.App("1")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := app.Publish(context.Background(), "room", "message", data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
