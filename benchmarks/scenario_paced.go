package main

import "fmt"

// The metrics that several scenarios have.
const (
	cpuMetric  = "CPU µs/delivery"
	lostMetric = "lost"
	lossMetric = "cut off"
)

// pacedScenario publishes to one channel at a steady rate.
func pacedScenario(n, conns int, rate float64, count int) scenario {
	return scenario{
		number: n,
		title:  fmt.Sprintf("%d subscribers of one channel, %.0f publishes/s", conns, rate),
		how: fmt.Sprintf("%d publishes at a steady rate. The floor is one write(2) per delivery, with nobody reading.",
			count),
		ratio: cpuMetric, against: []string{floorPeer, centrifugePeer},
		goals: []goal{{metric: cpuMetric, of: floorPeer, limit: 1.1}}, profiled: true,
		run: func(e *env) ([]row, error) {
			return e.eachPeer(peerNames(), func(peer string) ([]metric, error) {
				return e.paced(peer, serverOptions{}, fmt.Sprintf("%d-%s", n, peer),
					e.size(conns, 20), command{Count: e.size(count, 10), Rate: e.rate(rate), Channels: 1})
			})
		},
	}
}

// rate is higher in a quick run, which would take long otherwise.
func (e *env) rate(full float64) float64 {
	if e.quick {
		return 100
	}
	return full
}

// paced measures what a delivery costs.
func (e *env) paced(peer string, o serverOptions, name string, conns int, c command) ([]metric, error) {
	return withRig(peer, o, loadOptions{conns: conns, channels: c.Channels}, func(r *rig) ([]metric, error) {
		if err := r.warmUp(c.Channels); err != nil {
			return nil, err
		}
		repeat := 1
		if c.Rate == 0 {
			repeat = e.size(bursts, 1) // one is over before much can be measured
		}
		var got outcome
		err := r.server.profiled(e.profiles, name, func() error {
			for range repeat {
				o, err := r.publish(c)
				if err != nil {
					return err
				}
				got.add(o)
			}
			return nil
		})
		return []metric{
			{cpuMetric, got.perDelivery()},
			{"deliveries/s", float64(got.deliveries) / got.delivering.Seconds()},
			{lostMetric, float64(got.lost)},
			{lossMetric, float64(r.ended.Load())},
		}, err
	})
}

// bursts is how many bursts there are, each when all of the one before has come
// in.
const bursts = 10

// burstScenario publishes as fast as each peer takes it.
func burstScenario() scenario {
	const conns, count = 1000, 300
	return scenario{
		number: 3,
		title:  fmt.Sprintf("%d subscribers of one channel, burst of %d publishes", conns, count),
		how: fmt.Sprintf("As fast as publishing goes, %d times: peers that queue can send several events in one "+
			"system call. Everything has to arrive.", bursts),
		ratio: cpuMetric, against: []string{floorPeer, centrifugePeer},
		goals:    []goal{{metric: cpuMetric, of: centrifugePeer, limit: 0.25}, {metric: lostMetric, limit: 0}},
		profiled: true,
		run: func(e *env) ([]row, error) {
			return e.eachPeer(peerNames(), func(peer string) ([]metric, error) {
				return e.paced(peer, serverOptions{}, "3-"+peer, e.size(conns, 20),
					command{Count: e.size(count, 30), Channels: 1})
			})
		},
	}
}

// manyChannelsScenario publishes to random channels with one subscriber each.
func manyChannelsScenario() scenario {
	const channels, rate, count = 10_000, 5000, 50_000
	return scenario{
		number: 4,
		title:  fmt.Sprintf("%d channels of one subscriber, %d publishes/s", channels, rate),
		how:    fmt.Sprintf("%d publishes at a steady rate, each to a channel chosen at random.", count),
		ratio:  cpuMetric, against: []string{floorPeer, centrifugePeer},
		goals: []goal{{metric: cpuMetric, of: floorPeer, limit: 1.1,
			why: "some three quarters of the CPU time are the write and the wake-ups around it, which the floor " +
				"has too. What a publish adds is waiting for memory: a channel, a subscription, a " +
				"connection and the map's entry, none of which is in a cache when its turn comes, where " +
				"the floor has a slice of connections; and its events are longer by their envelope."}},
		profiled: true,
		run: func(e *env) ([]row, error) {
			return e.eachPeer(peerNames(), func(peer string) ([]metric, error) {
				conns := e.size(channels, 20)
				return e.paced(peer, serverOptions{}, "4-"+peer, conns,
					command{Count: e.size(count, 200), Rate: float64(e.size(rate, 1000)), Channels: conns})
			})
		},
	}
}

// variantsScenario is the first one over TLS and with compression.
func variantsScenario() scenario {
	return scenario{
		number: 9,
		title:  "1000 subscribers of one channel, 33 publishes/s, TLS and permessage-deflate",
		how: "Compression is at level 1 without context takeover, and centrifuge's cache of prepared messages is on. " +
			"Only reported: TLS has a cost of its own for each delivery.",
		profiled: true,
		run: func(e *env) ([]row, error) {
			var rows []row
			for _, v := range []struct {
				name string
				o    serverOptions
			}{{"TLS", serverOptions{tls: true}}, {"deflate", serverOptions{deflate: true}}} {
				more, err := e.eachPeer(fullPeers(), func(peer string) ([]metric, error) {
					return e.paced(peer, v.o, "9-"+v.name+"-"+peer, e.size(1000, 20),
						command{Count: e.size(133, 10), Rate: e.rate(33), Channels: 1})
				})
				for _, r := range more {
					rows = append(rows, row{r.label + ", " + v.name, r.metrics})
				}
				if err != nil {
					return rows, err
				}
			}
			return rows, nil
		},
	}
}
