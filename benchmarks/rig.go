package main

import (
	"errors"
	"fmt"
	"time"
)

const (
	// quietLimit is how long nothing may come in before what is missing counts
	// as lost, and deliveryLimit how long all may take.
	quietLimit    = 3 * time.Second
	deliveryLimit = time.Minute
	// settle is how long a server may come to rest before it is used or measured.
	settle = 300 * time.Millisecond
)

// rig is a server process and the clients that are connected to it.
type rig struct {
	*load
	server *process
	dialer *dialer
	// perEvent is how many deliveries an event makes.
	perEvent int
}

// dialTo starts a server process and connects nobody.
func dialTo(peer string, o serverOptions) (*process, *dialer, error) {
	server, err := startProcess(peer, o)
	if err != nil {
		return nil, nil, err
	}
	trust, err := trusting(server.hello.Certificate)
	if err != nil {
		return nil, nil, errors.Join(err, server.stop())
	}
	return server, &dialer{peer: peer, addr: server.hello.Addr, tls: trust, deflate: o.deflate}, nil
}

// newRig starts a server process and connects its clients.
func newRig(peer string, o serverOptions, clients loadOptions) (*rig, error) {
	server, d, err := dialTo(peer, o)
	if err != nil {
		return nil, err
	}
	l, err := connect(d, clients)
	if err != nil {
		return nil, errors.Join(err, server.stop())
	}
	// centrifuge answers a subscription just before events reach it.
	time.Sleep(settle)
	return &rig{load: l, server: server, dialer: d, perEvent: (clients.conns - clients.stalled) / clients.channels}, nil
}

// close ends the clients and the server process.
func (r *rig) close() error {
	r.load.close()
	return r.server.stop()
}

// outcome is what came of publishing.
type outcome struct {
	deliveries, lost int64
	// publishing is how long it took to publish, delivering until all was in.
	publishing, delivering time.Duration
	cpu                    time.Duration
}

func (o *outcome) add(other outcome) {
	o.deliveries += other.deliveries
	o.lost += other.lost
	o.publishing += other.publishing
	o.delivering += other.delivering
	o.cpu += other.cpu
}

// perDelivery is the server's CPU time for each delivery in microseconds.
func (o outcome) perDelivery() float64 {
	return float64(o.cpu.Nanoseconds()) / 1e3 / float64(max(o.deliveries, 1))
}

// publish publishes and waits until everything has come in, or the rest is
// lost.
func (r *rig) publish(c command) (outcome, error) {
	c.Command = commandPublish
	if c.Size == 0 {
		c.Size = payloadBytes
	}
	before, start := r.received.Load(), time.Now()
	published, err := r.server.ask(c)
	if err != nil {
		return outcome{}, err
	}
	expected := int64(c.Count) * int64(r.perEvent)
	r.wait(before+expected, quietLimit, deliveryLimit)
	delivering := time.Since(start)
	usage, err := r.server.ask(command{Command: commandUsage})
	if err != nil {
		return outcome{}, err
	}
	got := r.received.Load() - before
	if got > expected {
		return outcome{}, fmt.Errorf("%d deliveries of %d", got, expected)
	}
	return outcome{
		deliveries: got, lost: expected - got,
		publishing: seconds(published.Seconds), delivering: delivering,
		cpu: seconds(usage.CPU),
	}, nil
}

// warmUp publishes a little, so that all that starts late has started.
func (r *rig) warmUp(channels int) error {
	c := command{Count: 10, Rate: 50, Channels: channels}
	if channels > 1 {
		c.Count, c.Rate = 500, 2000
	}
	o, err := r.publish(c)
	if err == nil && o.lost > 0 {
		err = fmt.Errorf("lost %d of %d deliveries before it was measured", o.lost, o.lost+o.deliveries)
	}
	time.Sleep(settle)
	return err
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
