package broker_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
)

// counting is an observer that counts, as metrics do.
type counting struct{ events, delivered atomic.Int64 }

func (c *counting) Observe(_ context.Context, o broker.Observation) {
	if p, is := o.(broker.EventPublished); is {
		c.events.Add(1)
		c.delivered.Add(int64(p.Subscribers))
	}
}

// sampling follows one event of 64 to its sockets, and wants nothing else.
type sampling struct {
	counting
	asked atomic.Uint64
}

func (*sampling) WantsObservation(string, broker.ObservationKind) bool { return false }

func (s *sampling) SampleDelivery(string, string, *broker.Event) bool { return s.asked.Add(1)%64 == 0 }

// viewing is what a console does with somebody who looks at its event log: it samples, and
// copies each event.
type viewing struct {
	sampling
	last [1024]atomic.Pointer[broker.EventPublished]
}

func (*viewing) WantsObservation(_ string, kind broker.ObservationKind) bool {
	return kind == broker.ObserveEventPublished
}

func (v *viewing) Observe(_ context.Context, o broker.Observation) {
	if p, is := o.(broker.EventPublished); is {
		v.last[v.events.Add(1)%1024].Store(&p)
	}
}

// observersToMeasure are what a program may have; nil is none.
func observersToMeasure() []struct {
	name     string
	observer broker.Observer
} {
	return []struct {
		name     string
		observer broker.Observer
	}{{"none", nil}, {"counting", new(counting)}, {"sampling", new(sampling)}, {"one viewer", new(viewing)}}
}

func observed(t testing.TB, o broker.Observer) *broker.Broker {
	if o == nil {
		return newBroker(t)
	}
	return newBroker(t, broker.WithObserver(o))
}

// TestObserversCostNoAllocationWhereNobodyLooks: what an event costs without an observer is
// what it did before there was such a thing, and with one that samples the same.
func TestObserversCostNoAllocationWhereNobodyLooks(t *testing.T) {
	allocs := make(map[string]float64)
	for _, c := range observersToMeasure() {
		b := observed(t, c.observer)
		end := subscribeSinks(t, b, "room", 1000)
		app, data := b.App("1"), []byte(`{"text":"hello"}`)
		allocs[c.name] = testing.AllocsPerRun(50, func() {
			_, err := app.Publish(t.Context(), "room", "message", data)
			require.NoError(t, err)
		})
		end()
	}
	t.Log(allocs)
	assert.LessOrEqual(t, allocs["none"], 5.0)
	assert.LessOrEqual(t, allocs["sampling"], allocs["none"]+2)
	assert.LessOrEqual(t, allocs["one viewer"], allocs["none"]+4)
}

func BenchmarkObserver(b *testing.B) {
	for _, c := range observersToMeasure() {
		b.Run(c.name, func(b *testing.B) {
			br := observed(b, c.observer)
			defer subscribeSinks(b, br, "room", 100)()
			app, data := br.App("1"), []byte(`{"text":"hello"}`)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := app.Publish(context.Background(), "room", "message", data); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(100*b.N), "ns/delivery")
		})
	}
}
