package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/client"
)

// plan says what to try.
type plan struct {
	clients, channels int
	// rate is of events a second, over all channels; it grows up to maxRate once all clients
	// are there.
	rate, maxRate float64
	lasting       time.Duration // of each step
	size          int           // of an event's data, in bytes
	maxLatency    time.Duration // at the 99th percentile
	pid           int           // of the server; 0 where it is not known
}

// result is what one step came to.
type result struct {
	Clients int     `json:"clients"`
	Rate    float64 `json:"rate"`
	// Published is of events, Failed of those that the server did not accept.
	Published int     `json:"published"`
	Failed    int     `json:"failed"`
	PerSecond float64 `json:"published_per_second"`
	// Deliveries is what arrived, Expected what had to, and Lost the difference.
	Deliveries          int64   `json:"deliveries"`
	Expected            int64   `json:"expected"`
	Lost                int64   `json:"lost"`
	DeliveriesPerSecond float64 `json:"deliveries_per_second"`
	// The latencies are from when an event was due to when a client had it.
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
	// Ended counts connections that the server ended.
	Ended int64 `json:"ended"`
	// The cores are how many were busy. Those of the server, and the memory that a client
	// costs it, garbage included, are only known of one on this machine.
	GeneratorCores float64  `json:"generator_cores"`
	ServerCores    *float64 `json:"server_cores,omitempty"`
	BytesPerClient *int64   `json:"server_bytes_per_client,omitempty"`
	// Held says that the server took it; Why says why not.
	Held bool   `json:"held"`
	Why  string `json:"why,omitempty"`
}

// steps are the clients and rates to try, one after another: up to all clients, then up to
// the highest rate.
func (p plan) steps() (all []struct {
	clients int
	rate    float64
}) {
	add := func(clients int, rate float64) {
		all = append(all, struct {
			clients int
			rate    float64
		}{clients, rate})
	}
	for shift := 3; shift > 0; shift-- {
		if n := p.clients >> shift; n >= p.channels {
			add(n, p.rate)
		}
	}
	add(p.clients, p.rate)
	for rate := 2 * p.rate; rate <= p.maxRate; rate *= 2 {
		add(p.clients, rate)
	}
	return all
}

// run tries step after step until one is not held, and hands each to report.
func (p plan) run(ctx context.Context, app *client.App, api *client.API, channels []string, report func(result) error) error {
	c := &crowd{app: app, channels: channels}
	defer c.close()
	before := memoryOf(p.pid)
	for _, s := range p.steps() {
		r, err := p.step(ctx, c, api, s.clients, s.rate, before)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && (len(c.clients) == 0 || errors.Is(err, errNotHere)) {
			return err
		}
		if err := report(r); err != nil {
			return err
		}
		if !r.Held {
			return nil
		}
	}
	return nil
}

// step connects what is missing, and publishes. Its error is about connecting.
func (p plan) step(ctx context.Context, c *crowd, api *client.API, clients int, rate float64, before int64) (r result, err error) {
	err = c.grow(ctx, clients)
	r.Clients, r.Rate = len(c.clients), rate
	if err != nil {
		r.Why = err.Error()
		return r, err
	}
	c.keep()
	if m := memoryOf(p.pid); m > 0 && before > 0 {
		per := max(m-before, 0) / int64(clients)
		r.BytesPerClient = &per
	}
	c.late.Reset()
	c.received.Store(0)
	began, own := time.Now(), ownTime()
	servers, known := timeOf(p.pid)
	got := publish(ctx, api, c, rate, p.lasting, p.size)
	c.settle(ctx, got.deliveries, 2*time.Second, 10*time.Second)
	elapsed := time.Since(began).Seconds()
	r.GeneratorCores = (ownTime() - own).Seconds() / elapsed
	if now, still := timeOf(p.pid); known && still {
		cores := (now - servers).Seconds() / elapsed
		r.ServerCores = &cores
	}
	r.Published, r.Failed, r.PerSecond = got.events, got.failed, float64(got.events)/got.took.Seconds()
	r.Deliveries, r.Expected, r.Ended = c.received.Load(), got.deliveries, c.ended.Load()
	r.Lost = max(r.Expected-r.Deliveries, 0)
	// What came in while nothing was published any more came late, and counts as such.
	r.DeliveriesPerSecond = float64(r.Deliveries) / got.took.Seconds()
	r.P50, r.P99, r.Max = milliseconds(c.late.Quantile(0.5)), milliseconds(c.late.Quantile(0.99)), milliseconds(c.late.Quantile(1))
	r.judge(p, got.first)
	return r, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// judge says whether the server took the step.
func (r *result) judge(p plan, first error) {
	switch {
	case r.Failed > 0:
		r.Why = fmt.Sprintf("%d events were not accepted: %v", r.Failed, first)
	case r.Ended > 0:
		r.Why = fmt.Sprintf("the server ended %d connections", r.Ended)
	case r.Lost > 0:
		r.Why = fmt.Sprintf("%d deliveries were missing", r.Lost)
	case r.PerSecond < 0.95*r.Rate && r.Published > 1:
		r.Why = fmt.Sprintf("%.0f events a second were published instead of %.0f", r.PerSecond, r.Rate)
	case r.P99 > milliseconds(p.maxLatency):
		r.Why = fmt.Sprintf("1 %% of the deliveries took longer than %.0f ms", r.P99)
	default:
		r.Held = true
		return
	}
	if limit := r.limitedByGenerator(); limit != "" {
		r.Why += "; " + limit
	}
}

// limitedByGenerator says how far the load itself kept the machine busy; empty if not far.
func (r *result) limitedByGenerator() string {
	cores := float64(runtime.NumCPU())
	server := 0.0
	if r.ServerCores != nil {
		server = *r.ServerCores
	}
	switch {
	case r.GeneratorCores > 0.8*cores:
		return fmt.Sprintf("this load itself kept %.1f of %.0f cores busy: it is the generator's limit, not the server's", r.GeneratorCores, cores)
	case r.GeneratorCores+server > 0.85*cores:
		return fmt.Sprintf("the load took %.1f of the machine's %.0f cores: alone the server would go further", r.GeneratorCores, cores)
	}
	return ""
}
