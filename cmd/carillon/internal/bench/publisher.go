package bench

import (
	"context"
	"sync"
	"time"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/client"
	"github.com/carillon-rt/carillon/internal/arrivals"
)

// publishers is how many requests are on their way at a time.
const publishers = 16

// published is what came of publishing at a rate.
type published struct {
	// events were accepted, to reach deliveries; failed were not, the first because of
	// first.
	events, failed int
	deliveries     int64
	first          error
	took           time.Duration
}

// eventName is that of every event here.
const eventName = "bench"

// publish publishes events at a rate for a time, whether the server keeps up or not: each
// carries the time at which it was due, so that a server that answers late does not hide it.
// Who is behind sends several in one request.
func publish(ctx context.Context, api *client.API, c *crowd, rate float64, lasting time.Duration, size int) (p published) {
	total := max(int(rate*lasting.Seconds()), 1)
	fill := arrivals.Filler(size)
	start := time.Now()
	due := func(i int) time.Time { return start.Add(time.Duration(float64(i) / rate * float64(time.Second))) }
	// What takes longer than this is a server that does not keep up.
	end := start.Add(lasting + lasting/2 + time.Second)
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()

	var mu sync.Mutex // guards next and p
	next := 0
	take := func() (from, to int) {
		mu.Lock()
		defer mu.Unlock()
		from = next
		for next < total && next < from+client.MaxBatch && (next == from || time.Now().After(due(next))) {
			next++
		}
		return from, next
	}
	var group sync.WaitGroup
	for range publishers {
		group.Go(func() {
			for {
				from, to := take()
				if from == to || client.Pause(ctx, time.Until(due(from))) != nil {
					return
				}
				events := make([]client.Event, 0, to-from)
				deliveries := int64(0)
				for i := from; i < to; i++ {
					channel := i % len(c.channels)
					deliveries += int64(c.on(channel))
					events = append(events, client.Event{Name: eventName, Channel: c.channels[channel], Data: string(arrivals.Payload(fill, due(i)))})
				}
				err := send(ctx, api, events)
				mu.Lock()
				if err == nil {
					p.events += len(events)
					p.deliveries += deliveries
				} else if p.failed += len(events); p.first == nil {
					p.first = err
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	p.took = max(time.Since(start), lasting)
	return p
}

func send(ctx context.Context, api *client.API, events []client.Event) (err error) {
	if len(events) == 1 {
		_, err = api.Publish(ctx, events[0])
	} else {
		_, err = api.PublishBatch(ctx, events)
	}
	return err
}
