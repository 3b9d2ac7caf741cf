package main

import (
	"errors"
	"slices"
	"time"
)

// idleScenario tells what a connection holds while nothing happens.
func idleScenario() scenario {
	return scenario{
		number: 6,
		title:  "10000 idle connections",
		how: "Each has subscribed and got one event; then four collections. Resident memory of the server process " +
			"beyond that of one that has had 100 connections before and none now.",
		ratio: "KiB/connection", against: []string{centrifugePeer},
		goals: []goal{{metric: "KiB/connection", limit: 8}, {metric: "goroutines/connection", limit: 1}},
		run: func(e *env) ([]row, error) {
			return e.eachPeer(peerNames(), e.idle)
		},
	}
}

func (e *env) idle(peer string) (metrics []metric, err error) {
	server, d, err := dialTo(peer, serverOptions{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	conns := e.size(10_000, 50)
	before, err := e.occupied(server, d, 100, false)
	if err != nil {
		return nil, err
	}
	after, err := e.occupied(server, d, conns, true)
	if err != nil {
		return nil, err
	}
	return []metric{
		{"KiB/connection", float64(after.RSS-before.RSS) / 1024 / float64(conns)},
		{"goroutines/connection", float64(after.Goroutines-before.Goroutines) / float64(conns)},
		{"baseline MiB", float64(before.RSS) / (1 << 20)},
	}, nil
}

// occupied is the memory of a server after so many connections have got an
// event, with them or after they have gone.
func (e *env) occupied(server *process, d *dialer, conns int, stay bool) (answer, error) {
	l, err := connect(d, loadOptions{conns: conns, channels: 1})
	if err != nil {
		return answer{}, err
	}
	defer l.close()
	r := &rig{load: l, server: server, dialer: d, perEvent: conns}
	if _, err := r.publish(command{Count: 1, Channels: 1}); err != nil {
		return answer{}, err
	}
	if !stay {
		l.close()
	}
	time.Sleep(settle * 3)
	return server.ask(command{Command: commandMemory})
}

// connectScenario tells how fast clients come in.
func connectScenario() scenario {
	return scenario{
		number: 7,
		title:  "Connections per second",
		how: "10000 clients, 64 at a time: handshake and one subscription, confirmed. With presence, ten clients share a " +
			"channel, get its members and hear of those who join; Carillon checks a signature besides. The load's own " +
			"work, signatures included, is in the rate but not in the CPU time.",
		ratio: "CPU µs/connection", against: []string{centrifugePeer},
		goals: []goal{
			{metric: "connections/s", of: centrifugePeer, limit: 1, least: true},
			{metric: "with presence: connections/s", of: centrifugePeer, limit: 1, least: true},
		},
		profiled: true,
		run: func(e *env) ([]row, error) {
			return e.eachPeer(peerNames(), func(peer string) ([]metric, error) {
				metrics, err := e.connects(peer, false, "")
				if err != nil || !slices.Contains(fullPeers(), peer) {
					return metrics, err
				}
				with, err := e.connects(peer, true, "with presence: ")
				return append(metrics, with...), err
			})
		},
	}
}

func (e *env) connects(peer string, members bool, prefix string) (metrics []metric, err error) {
	server, d, err := dialTo(peer, serverOptions{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	conns := e.size(10_000, 50)
	for _, n := range []int{100, conns} { // the first to warm up
		if _, err := server.ask(command{Command: commandMark}); err != nil {
			return nil, err
		}
		name := "7-" + peer
		if members {
			name += "-presence"
		}
		var l *load
		start := time.Now()
		err := server.profiled(e.profiles, name, func() (err error) {
			l, err = connect(d, loadOptions{conns: n, channels: n, members: members})
			return err
		})
		took := time.Since(start)
		if err != nil {
			return nil, err
		}
		usage, err := server.ask(command{Command: commandUsage})
		l.close()
		if err != nil {
			return nil, err
		}
		time.Sleep(settle)
		metrics = []metric{
			{prefix + "connections/s", float64(n) / took.Seconds()},
			{prefix + "CPU µs/connection", usage.CPU * 1e6 / float64(n)},
		}
	}
	return metrics, nil
}
