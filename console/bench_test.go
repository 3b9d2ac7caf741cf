package console

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
)

// BenchmarkLists asks for pages of 100 000 channels.
func BenchmarkLists(b *testing.B) {
	const channels, each = 100_000, 1000
	c, err := New(WithAuthorization(func(*http.Request) error { return nil }), WithLogger(slog.New(slog.DiscardHandler)))
	require.NoError(b, err)
	kit := brokertest.New(b, broker.WithObserver(c))
	require.NoError(b, c.Attach(kit.Broker, kit.Handler))
	b.Cleanup(c.Close)
	kit.Config.Limits.SubscribesPerSecond, kit.Config.Limits.ChannelsPerConnection = 0, 0
	for i := 0; i < channels; i += each {
		client := kit.Connect(b)
		for n := i; n < i+each; n++ {
			client.Write(fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":"many-%06d"}}`, n))
		}
	}
	for name, target := range map[string]string{
		"first page":     "/api/channels?limit=50",
		"by subscribers": "/api/channels?limit=200&sort=-subscribers",
		"search":         "/api/channels?limit=50&q=0999",
		"pattern":        "/api/channels?limit=50&q=*99*9",
		"no hit":         "/api/channels?limit=50&q=nothing",
		"sessions":       "/api/sessions?limit=50&sort=-channels",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if resp := do(c, request(http.MethodGet, target, "")); resp.StatusCode != http.StatusOK {
					b.Fatal(resp.Status)
				}
			}
		})
	}
}

// BenchmarkObserve is what is done for each published event while somebody looks, and while
// nobody does.
func BenchmarkObserve(b *testing.B) {
	c, err := New(WithLoopbackOnly(), WithLimits(Limits{PerSecond: 1 << 30}))
	require.NoError(b, err)
	ev := broker.Event{ID: "1yujx5gbqiwz2-3m", Name: "message", Channel: "room-17", Data: make([]byte, 100), Time: time.Now()}
	var o broker.Observation = broker.EventPublished{App: "1", Event: &ev, Subscribers: 10}
	b.Run("looked at", func(b *testing.B) {
		c.looking.Store(true)
		b.ReportAllocs()
		for b.Loop() {
			if c.WantsObservation("1", broker.ObserveEventPublished) {
				c.Observe(b.Context(), o)
			}
			c.SampleDelivery("1", "room-17", &ev)
			c.TraceDeliveries("1", "room-17", &ev)
		}
	})
	b.Run("not looked at", func(b *testing.B) {
		c.looking.Store(false)
		c.idle.Store(0)
		c.sampling.Store(1<<10 - 1)
		b.ReportAllocs()
		for b.Loop() {
			if c.WantsObservation("1", broker.ObserveEventPublished) {
				c.Observe(b.Context(), o)
			}
			c.SampleDelivery("1", "room-17", &ev)
			c.TraceDeliveries("1", "room-17", &ev)
		}
	})
}

// BenchmarkBatch is what a viewer costs for each entry that it is sent.
func BenchmarkBatch(b *testing.B) {
	c, err := New(WithLoopbackOnly())
	require.NoError(b, err)
	c.looking.Store(true)
	ev := broker.Event{ID: "1yujx5gbqiwz2-3m", Name: "message", Channel: "room-17", Data: []byte(`{"text":"what people say to each other is about so long, as a rule"}`), Time: time.Now()}
	const entries = 30
	for range entries {
		c.Observe(b.Context(), broker.EventPublished{App: "1", Event: &ev, Subscribers: 100})
	}
	var f filter
	b.ReportAllocs()
	for b.Loop() {
		var some []logged
		var out []eventJSON
		for next := uint64(1); ; next = some[len(some)-1].seq + 1 {
			if some = c.journal.read(next, some); len(some) == 0 {
				break
			}
			for i := range some {
				if f.lets(&some[i]) {
					out = append(out, c.eventJSON(&some[i]))
				}
			}
		}
		if _, err := json.Marshal(out); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/entries, "ns/entry")
}

// BenchmarkNow is what a viewer costs each second.
func BenchmarkNow(b *testing.B) {
	c, err := New(WithLoopbackOnly())
	require.NoError(b, err)
	kit := brokertest.New(b, broker.WithObserver(c))
	require.NoError(b, c.Attach(kit.Broker, kit.Handler))
	b.Cleanup(c.Close)
	b.ReportAllocs()
	for b.Loop() {
		c.second(c.attached.Load())
		if _, err := json.Marshal(c.now(c.attached.Load())); err != nil {
			b.Fatal(err)
		}
	}
}
