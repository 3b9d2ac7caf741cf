package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/internal/arrivals"
	"github.com/carillon-rt/carillon/transport"
)

// newApp returns an app of a broker that ends with the benchmark.
func newApp(b *testing.B) (*broker.Broker, *broker.App) {
	br, err := broker.New(broker.WithDrainWindow(0))
	require.NoError(b, err)
	return br, br.App("1")
}

// shutdown ends a broker, and with it all subscriptions.
func shutdown(b *testing.B, br *broker.Broker, consumers *sync.WaitGroup) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(b, br.Shutdown(ctx))
	consumers.Wait()
}

// held is what the heap and the goroutines' stacks hold.
func held() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// The memory of channels that have one subscriber in this process each, without
// and with the goroutine that consumes, and a publish to one of them.
func BenchmarkChannelsWithOneSubscriber(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			if testing.Short() && n > 10_000 {
				b.Skip("too many for a short run")
			}
			br, app := newApp(b)
			names := make([]string, n)
			before := held()
			consume := make([]func(), n)
			slots := held()
			for i := range names {
				names[i] = channelName(i)
				sub, err := app.Subscribe(context.Background(), names[i])
				require.NoError(b, err)
				consume[i] = func() {
					for range sub.Events() {
					}
				}
			}
			subscribed := held()
			var consumers sync.WaitGroup
			for _, f := range consume {
				consumers.Go(f)
			}
			consume = nil
			consumed := held()
			data := arrivals.Payload(arrivals.Filler(payloadBytes), time.Now())
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := app.Publish(ctx, names[rand.IntN(n)], carillonEvent, data); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(subscribed-slots)/float64(n), "B/channel")
			b.ReportMetric(float64(consumed-before)/float64(n), "B/channel+goroutine")
			shutdown(b, br, &consumers)
		})
	}
}

// untilConsumed is how many events are published before the subscribers have to
// have consumed them.
const untilConsumed = 1 << 20

// A publish to one of many channels that have one subscriber in this process
// each, which is busy and not waiting: what the publish itself costs, with a name
// that has just been made, as one that comes with a request. In turn is the order
// in which the channels were made. Beside it the least that finding one of so many
// things at random can take: a look-up in a map.
func BenchmarkPublishAsChannelsGrow(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000, 1_000_000} {
		if testing.Short() && n > 10_000 {
			continue
		}
		b.Run(fmt.Sprint("in turn/", n), func(b *testing.B) {
			publishToMany(b, n, func(i int) int { return i % n })
		})
		b.Run(fmt.Sprint("at random/", n), func(b *testing.B) {
			publishToMany(b, n, func(int) int { return rand.IntN(n) })
		})
		b.Run(fmt.Sprint("map at random/", n), func(b *testing.B) {
			counts := make(map[string]*int, n)
			for i := range n {
				counts[channelName(i)] = new(int)
			}
			for b.Loop() {
				*counts[channelName(rand.IntN(n))]++
			}
		})
	}
}

func publishToMany(b *testing.B, n int, next func(int) int) {
	br, app := newApp(b)
	var end context.CancelFunc
	subscribe := func() {
		b.StopTimer()
		if end != nil {
			end()
		}
		var ctx context.Context
		ctx, end = context.WithCancel(context.Background())
		for i := range n {
			_, err := app.Subscribe(ctx, channelName(i), broker.WithBuffer(untilConsumed))
			require.NoError(b, err)
		}
		runtime.GC()
		b.StartTimer()
	}
	data := arrivals.Payload(arrivals.Filler(payloadBytes), time.Now())
	ctx := context.Background()
	for i := range b.N {
		if i%untilConsumed == 0 {
			subscribe()
		}
		if _, err := app.Publish(ctx, channelName(next(i)), carillonEvent, data); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	end()
	shutdown(b, br, new(sync.WaitGroup))
}

// sink is a connection that takes everything in and keeps nothing.
type sink struct {
	sent atomic.Int64
	_    [120]byte // or publishers would share a cache line
}

func (s *sink) Send(*transport.Message) error { s.sent.Add(1); return nil }
func (s *sink) Close(int, string)             {}
func (s *sink) Queue() transport.Queue {
	return transport.Queue{MessageLimit: transport.DefaultQueueMessages, ByteLimit: transport.DefaultQueueBytes}
}
func (s *sink) LastReceived() time.Time { return time.Time{} }
func (s *sink) Info() transport.Info    { return transport.Info{Transport: "sink"} }

// plain is a protocol without an envelope.
type plain struct{ nothing *transport.Message }

func (p *plain) Encode(n broker.Notice) *transport.Message {
	if n, ok := n.(broker.EventNotice); ok {
		return transport.NewMessage(n.Data)
	}
	return p.nothing
}
func (p *plain) Close(broker.CloseReason) (int, string) { return 4200, "" }

// Publishing from several goroutines, each to a channel of its own with one
// session that takes everything at once. ns/op is the time of a publish by the
// clock, whichever goroutine made it, and cpu-ns/op what the process has used for
// it: with as many goroutines as processors, or more, nothing but shared locks
// and cache lines could make it rise.
func BenchmarkPublishToDistinctChannels(b *testing.B) {
	for _, publishers := range []int{1, 2, 4, 8} {
		b.Run(fmt.Sprint(publishers), func(b *testing.B) {
			br, app := newApp(b)
			protocol := &plain{transport.NewMessage(nil)}
			sinks := make([]*sink, publishers)
			ctx := context.Background()
			for i := range sinks {
				sinks[i] = new(sink)
				s, err := br.Connect(ctx, broker.ConnectOptions{
					ConnectRequest: broker.ConnectRequest{App: app.ID()}, Conn: sinks[i], Protocol: protocol})
				require.NoError(b, err)
				defer s.End(1000)
				require.NoError(b, s.Subscribe(ctx, broker.SubscribeRequest{Channel: channelName(i)}))
			}
			data := arrivals.Payload(arrivals.Filler(payloadBytes), time.Now())
			var group sync.WaitGroup
			used, err := cpuTime()
			require.NoError(b, err)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range publishers {
				group.Go(func() {
					for range b.N/publishers + 1 {
						if _, err := app.Publish(ctx, channelName(i), carillonEvent, data); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
			b.StopTimer()
			now, err := cpuTime()
			require.NoError(b, err)
			b.ReportMetric(float64((now-used).Nanoseconds())/float64(b.N), "cpu-ns/op")
			for _, s := range sinks {
				require.Equal(b, int64(b.N/publishers+2), s.sent.Load(), "the confirmation and all events")
			}
		})
	}
}

// maxBehind is how many events the consumers may be behind the publisher.
const maxBehind = 4096

// reportEvery is how many events a consumer takes before it says so: one
// counter for all, touched at each event, would be what is measured.
const reportEvery = 64

// Deliveries to Go code that subscribes in the same process. The op is a
// publish.
func BenchmarkInProcessDeliveries(b *testing.B) {
	for _, subscribers := range []int{1, 10, 1000} {
		b.Run(fmt.Sprint(subscribers), func(b *testing.B) {
			br, app := newApp(b)
			var consumers sync.WaitGroup
			var received atomic.Int64
			for range subscribers {
				sub, err := app.Subscribe(context.Background(), "room", broker.WithBuffer(1<<20))
				require.NoError(b, err)
				consumers.Go(func() {
					n := 0
					for _, err := range sub.Events() {
						if err != nil {
							return
						}
						if n++; n%reportEvery == 0 || n == b.N {
							received.Add(int64(n-1)%reportEvery + 1)
						}
					}
				})
			}
			data := arrivals.Payload(arrivals.Filler(payloadBytes), time.Now())
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			b.ResetTimer()
			for i := range b.N {
				for received.Load() < int64(i-maxBehind)*int64(subscribers) {
					runtime.Gosched()
				}
				if _, err := app.Publish(context.Background(), "room", carillonEvent, data); err != nil {
					b.Fatal(err)
				}
			}
			deliveries := int64(b.N) * int64(subscribers)
			for received.Load() < deliveries {
				runtime.Gosched()
			}
			b.StopTimer()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(deliveries)/b.Elapsed().Seconds(), "deliveries/s")
			b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(deliveries), "allocs/delivery")
			shutdown(b, br, &consumers)
		})
	}
}
