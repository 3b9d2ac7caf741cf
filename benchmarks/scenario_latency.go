package main

import (
	"fmt"
	"time"

	"github.com/carillon-rt/carillon/internal/arrivals"
)

// How the saturation rate is looked for: steps of a second, each a quarter
// faster, until what was published is not all there shortly after.
const (
	firstRate  = 40.0
	rateFactor = 1.25
	rateSteps  = 24
	saturated  = 100 * time.Millisecond
)

// latencyScenario compares peers at a rate that each of them can keep up with.
func latencyScenario() scenario {
	return scenario{
		number: 5,
		title:  "Latency with 1000 subscribers of one channel at half the rate of saturation",
		how: "Saturation is the highest rate in publishes/s, in steps of a quarter, at which all has arrived " +
			"100 ms after a second of publishing. All peers are then given half of the smallest. Latency is from " +
			"before the publish to after the read in the load process, which has the same processors.",
		ratio: "p99 ms", against: []string{centrifugePeer},
		goals: []goal{
			{metric: "p50 ms", of: centrifugePeer, limit: 1},
			{metric: "p99 ms", of: centrifugePeer, limit: 1},
			{metric: "p99.9 ms", of: centrifugePeer, limit: 1},
		},
		run: func(e *env) ([]row, error) {
			conns := e.size(1000, 20)
			rate := 0.0
			most := make(map[string]float64)
			_, err := e.eachPeer(fullPeers(), func(peer string) ([]metric, error) {
				found, err := e.saturation(peer, conns)
				most[peer] = found
				if rate == 0 || found < rate {
					rate = found
				}
				return []metric{{"saturation", found}}, err
			})
			if err != nil {
				return nil, err
			}
			return e.eachPeer(fullPeers(), func(peer string) ([]metric, error) {
				return e.latency(peer, conns, most[peer], rate/2)
			})
		},
	}
}

// saturation is the highest rate that a peer was found to keep up with.
func (e *env) saturation(peer string, conns int) (float64, error) {
	found, err := withRig(peer, serverOptions{}, loadOptions{conns: conns, channels: 1}, func(r *rig) ([]metric, error) {
		if err := r.warmUp(1); err != nil {
			return nil, err
		}
		best := 0.0
		rate := firstRate
		for range e.size(rateSteps, 2) {
			ok, err := keepsUp(r, rate)
			if err == nil && !ok {
				// Once more: other programs are at work too.
				ok, err = keepsUp(r, rate)
			}
			if err != nil {
				return nil, err
			}
			if !ok {
				break
			}
			best, rate = rate, rate*rateFactor
		}
		if best == 0 {
			return nil, fmt.Errorf("does not keep up with %.0f publishes/s", firstRate)
		}
		return []metric{{"", best}}, nil
	})
	if err != nil {
		return 0, err
	}
	return found[0].value, nil
}

func keepsUp(r *rig, rate float64) (bool, error) {
	o, err := r.publish(command{Count: int(rate), Rate: rate, Channels: 1})
	if err == nil && o.lost > 0 {
		err = fmt.Errorf("lost %d deliveries at %.0f publishes/s", o.lost, rate)
	}
	return o.delivering < time.Second+saturated, err
}

// latency measures how late events are at a steady rate.
func (e *env) latency(peer string, conns int, most, rate float64) ([]metric, error) {
	clients := loadOptions{conns: conns, channels: 1, latency: true}
	return withRig(peer, serverOptions{}, clients, func(r *rig) ([]metric, error) {
		if err := r.warmUp(1); err != nil {
			return nil, err
		}
		r.late.Reset()
		got, err := r.publish(command{Count: max(int(rate*float64(e.size(5, 1))), 1), Rate: rate, Channels: 1})
		return append([]metric{{"saturation", most}, {"at rate", rate}},
			append(lateness(r.late), metric{cpuMetric, got.perDelivery()}, metric{lostMetric, float64(got.lost)})...), err
	})
}

func lateness(h *arrivals.Histogram) []metric {
	return []metric{
		{"p50 ms", milliseconds(h.Quantile(0.5))},
		{"p99 ms", milliseconds(h.Quantile(0.99))},
		{"p99.9 ms", milliseconds(h.Quantile(0.999))},
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// stalledScenario lets some clients stop reading.
func stalledScenario() scenario {
	const conns, stalled = 1000, 10
	return scenario{
		number: 8,
		title:  "1000 subscribers of one channel, 1 % of them not reading",
		how: "400 publishes of 1 KiB at 66/s, with socket buffers of some 32 KiB, which are full within a second. " +
			"The percentiles are those of the clients that read. The floor is left out: it would wait for ever.",
		goals: []goal{{metric: "1 % stalled: p99 ms", ofMetric: "none stalled: p99 ms", limit: 1.1}},
		run: func(e *env) ([]row, error) {
			return e.eachPeer(peerNames()[1:], func(peer string) ([]metric, error) {
				var all []metric
				for _, n := range []int{0, e.size(stalled, 1)} {
					clients := loadOptions{conns: e.size(conns, 20), channels: 1, stalled: n, latency: true}
					found, err := withRig(peer, serverOptions{sendBuffer: 16 << 10}, clients, func(r *rig) ([]metric, error) {
						return e.stalled(r)
					})
					if err != nil {
						return nil, err
					}
					with := "none stalled: "
					if n > 0 {
						with = "1 % stalled: "
					}
					for _, m := range found {
						all = append(all, metric{with + m.name, m.value})
					}
				}
				return all, nil
			})
		},
	}
}

func (e *env) stalled(r *rig) ([]metric, error) {
	if err := r.warmUp(1); err != nil {
		return nil, err
	}
	r.late.Reset()
	got, err := r.publish(command{Count: e.size(400, 50), Rate: e.rate(66), Channels: 1, Size: 1 << 10})
	return []metric{
		{"p50 ms", milliseconds(r.late.Quantile(0.5))},
		{"p99 ms", milliseconds(r.late.Quantile(0.99))},
		{lostMetric, float64(got.lost)},
	}, err
}
