package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// attack is something that a stranger may do.
type attack struct {
	name string
	// what says what is done, for whoever waits for it.
	what string
	// flags are those that the server gets besides its own.
	flags []string
	// prepare comes before anything is measured; nil does nothing.
	prepare func(context.Context, *target) error
	// run attacks until the context ends, and says what else there is to tell.
	run func(context.Context, *target) (string, error)
	// after comes when the attack has ended; nil has nothing to add.
	after func(context.Context, *target) (string, error)
}

// target is a server under attack.
type target struct {
	*server
	scale int
	// webhooks takes the server's webhooks, if the attack has any.
	webhooks *receiver
	// joined counts the members whom they should tell of.
	joined atomic.Int64
}

// of is n divided by the scale, and at least 1.
func (t *target) of(n int) int { return max(n/t.scale, 1) }

// outcome is what an attack costs.
type outcome struct {
	before, most       float64 // MiB
	cpu                float64 // s
	lateBefore, late   time.Duration
	arrived, connected float64 // of 100
	besides            string
}

// String is the outcome's part of a line of the table.
func (o outcome) String() string {
	return fmt.Sprintf("%.0f | %.0f | %.1f | %.2f | %.2f | %.1f | %.1f | %s", o.before, o.most, o.cpu,
		milliseconds(o.lateBefore), milliseconds(o.late), o.arrived, o.connected, o.besides)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// against runs the attack against a fresh process of a server.
func (a attack) against(ctx context.Context, b contender, s settings) (o outcome, err error) {
	t := &target{scale: s.scale}
	flags := a.flags
	if a.after != nil {
		if t.webhooks, err = startReceiver(); err != nil {
			return o, err
		}
		defer t.webhooks.stop()
		flags = append(flags[:len(flags):len(flags)], "-webhook", t.webhooks.url)
	}
	if t.server, err = startServer(ctx, b.path, flags); err != nil {
		return o, err
	}
	defer t.stop()
	if a.prepare != nil {
		if err := a.prepare(ctx, t); err != nil {
			return o, fmt.Errorf("prepare: %w", err)
		}
	}
	h, err := newHonest(t.server)
	if err != nil {
		return o, err
	}
	defer h.stop()
	h.measure(ctx, s.lasting/4)
	o.lateBefore = h.late(0.99)

	started, err := t.usage()
	if err != nil {
		return o, err
	}
	o.before = started.rss
	h.reset()
	attacking, cancel := context.WithTimeout(ctx, s.lasting)
	defer cancel()
	var group sync.WaitGroup
	var besides string
	group.Go(func() { besides, err = a.run(attacking, t) })
	h.measure(attacking, s.lasting)
	group.Wait()
	o.late, o.arrived, o.connected = h.late(0.99), h.arrived(), h.connected()
	ended, failed := t.usage()
	if failed == nil {
		o.most, o.cpu = ended.peak, ended.cpu-started.cpu
	} else if t.running() {
		err = errors.Join(err, failed)
	} else {
		besides += "; the server has ended"
	}
	if a.after != nil {
		more, failed := a.after(ctx, t)
		besides, err = strings.TrimPrefix(besides+"; "+more, "; "), errors.Join(err, failed)
	}
	o.besides = strings.TrimPrefix(besides, "; ")
	return o, err
}

// each does something in so many goroutines and waits for all of them. What fails
// is counted, since being turned away is what an attacker has to expect.
func each(n int, do func(i int) error) (failed int, last error) {
	var mu sync.Mutex
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			if err := do(i); err != nil {
				mu.Lock()
				failed, last = failed+1, err
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return failed, last
}
