package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	flooders = 32
	// floodWrite is how many bytes a flooder writes at a time.
	floodWrite = 16 << 10
	// floodPause is how long one whose connection was ended waits for its next try.
	floodPause = 10 * time.Millisecond
)

// Who the subscribers are beside.
const (
	nobody      = "alone"
	besideSink  = "beside a sink"
	besidePings = "beside pings"
)

// floods are what clients may send as fast as they can, over and over.
var floods = map[string][][]byte{
	besideSink:  {ping},
	besidePings: {ping},
	"beside subscribes": {
		message("pusher:subscribe", "", map[string]string{"channel": "flooded"}),
		message("pusher:unsubscribe", "", map[string]string{"channel": "flooded"}),
	},
	"beside garbage": {[]byte("no JSON at all")},
}

var ping = message("pusher:ping", "", map[string]string{})

// floodScenario tells what others notice of clients that send as fast as they can.
func floodScenario() scenario {
	labels := []string{nobody, besideSink, besidePings, "beside subscribes", "beside garbage"}
	s := scenario{
		number: 12,
		title:  "100 subscribers of one channel beside 32 flooding sockets",
		how: "50 publishes/s; the percentiles are of the subscribers. The flooders send and read as fast as they can, " +
			"and come back when their connection was ended. The flood costs time by itself, since it is sent on the same " +
			"processors: beside a sink, the same flooders send pings to a process that reads and looks at nothing.",
		run: func(e *env) ([]row, error) { return e.cases(labels, e.flooded) },
	}
	for _, label := range labels[2:] {
		s.goals = append(s.goals, goal{label: label, metric: "p99 ms", of: besideSink, limit: 2})
	}
	return s
}

// flooded measures the honest clients of one server while another, or the same,
// is flooded.
func (e *env) flooded(label string) ([]metric, error) {
	clients := loadOptions{conns: e.size(100, 10), channels: 1, latency: true}
	return withRig(carillonPeer, serverOptions{}, clients, func(r *rig) (metrics []metric, err error) {
		if err := r.warmUp(1); err != nil {
			return nil, err
		}
		f := &flood{cancel: func() {}}
		if label != nobody {
			d := r.dialer
			if label == besideSink {
				other, toOther, failed := dialTo(sinkPeer, serverOptions{})
				if failed != nil {
					return nil, failed
				}
				defer func() { err = errors.Join(err, other.stop()) }()
				d = toOther
			}
			f = startFlood(d, floods[label])
			defer f.stop()
			time.Sleep(settle)
		}
		r.late.Reset()
		before, start := f.sent.Load(), time.Now()
		got, err := r.publish(command{Count: e.size(250, 20), Rate: 50, Channels: 1})
		return []metric{
			{"p50 ms", milliseconds(r.late.Quantile(0.5))},
			{"p99 ms", milliseconds(r.late.Quantile(0.99))},
			{lostMetric, float64(got.lost)},
			{"flood MiB/s", float64(f.sent.Load()-before) / (1 << 20) / time.Since(start).Seconds()},
			{"flooders cut off", float64(f.ended.Load())},
		}, err
	})
}

// flood is clients that send as fast as they can.
type flood struct {
	cancel      context.CancelFunc
	group       sync.WaitGroup
	sent, ended atomic.Int64
}

func startFlood(d *dialer, messages [][]byte) *flood {
	ctx, cancel := context.WithCancel(context.Background())
	f := &flood{cancel: cancel}
	var piece []byte
	for len(piece) < floodWrite {
		for _, m := range messages {
			piece = append(piece, masked(m)...)
		}
	}
	for range flooders {
		f.group.Go(func() {
			for ctx.Err() == nil {
				if f.run(ctx, d, piece) != nil && ctx.Err() == nil {
					f.ended.Add(1)
					time.Sleep(floodPause)
				}
			}
		})
	}
	return f
}

// run floods over one connection until that ends.
func (f *flood) run(ctx context.Context, d *dialer, piece []byte) error {
	c, err := d.handshake()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	defer func() { _ = c.Close() }()
	go func() {
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
	}()
	for {
		n, err := c.Write(piece)
		f.sent.Add(int64(n))
		if err != nil {
			return fmt.Errorf("flood: %w", err)
		}
	}
}

func (f *flood) stop() {
	f.cancel()
	f.group.Wait()
}
