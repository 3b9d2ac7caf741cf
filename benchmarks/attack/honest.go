package main

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// subscribers is how many honest clients hear of each event, and publishes how
	// often a second there is one.
	subscribers = 20
	publishes   = 50
	// newClients is how often a second somebody new connects.
	newClients = 5
	// grace is how long an event may take before it counts as lost.
	grace = 3 * time.Second
)

// honest is what others do while a server is attacked.
type honest struct {
	server  *server
	sockets []*socket
	readers sync.WaitGroup

	published, tried, joined atomic.Int64

	mu    sync.Mutex
	times []time.Duration // guarded by mu
}

func newHonest(s *server) (*honest, error) {
	h := &honest{server: s}
	for range subscribers {
		c, err := s.dial(context.Background(), "", false)
		if err == nil {
			h.sockets = append(h.sockets, c)
			_, err = c.Write(subscribing(c, "honest", ""))
		}
		if err == nil {
			err = c.await("subscription_succeeded")
		}
		if err != nil {
			h.stop()
			return nil, err
		}
	}
	for _, c := range h.sockets {
		h.readers.Go(func() { h.read(c) })
	}
	return h, nil
}

// read takes the time of each event that comes, and answers pings. It ends as the
// server ends the connection, which would wait for the answer otherwise.
func (h *honest) read(c *socket) {
	defer func() { _ = c.Close() }()
	for {
		text, err := c.read()
		if err != nil {
			return
		}
		_, rest, found := bytes.Cut(text, []byte("@"))
		stamp, _, ended := bytes.Cut(rest, []byte("@"))
		sent, err := strconv.ParseInt(string(stamp), 10, 64)
		if found && ended && err == nil {
			h.mu.Lock()
			h.times = append(h.times, time.Duration(time.Now().UnixNano()-sent))
			h.mu.Unlock()
		} else if bytes.Contains(text, []byte("pusher:ping")) {
			_, _ = c.Write(frame(`{"event":"pusher:pong","data":{}}`))
		}
	}
}

// measure publishes and connects for a time, and waits for what is under way.
func (h *honest) measure(ctx context.Context, lasting time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, lasting)
	defer cancel()
	var group sync.WaitGroup
	every := func(rate time.Duration, do func()) {
		ticker := time.NewTicker(time.Second / rate)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				group.Go(do)
			}
		}
	}
	group.Go(func() {
		every(publishes, func() {
			h.published.Add(1)
			stamp := strconv.FormatInt(time.Now().UnixNano(), 10)
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
			defer cancel()
			_ = h.server.publish(ctx, event{Name: "message", Channel: "honest", Data: "@" + stamp + "@"})
		})
	})
	group.Go(func() {
		every(newClients, func() {
			h.tried.Add(1)
			c, err := h.server.dial(context.WithoutCancel(ctx), "", false)
			if err == nil {
				h.joined.Add(1)
				_ = c.Close()
			}
		})
	})
	group.Wait()
	for end := time.Now().Add(grace); h.arrived() < 100 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
}

func (h *honest) reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.times = nil
	h.published.Store(0)
	h.tried.Store(0)
	h.joined.Store(0)
}

// late is the time that a share q of the events did not take longer than.
func (h *honest) late(q float64) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(h.times))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func (h *honest) arrived() float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return 100 * float64(len(h.times)) / float64(max(h.published.Load()*subscribers, 1))
}

func (h *honest) connected() float64 {
	return 100 * float64(h.joined.Load()) / float64(max(h.tried.Load(), 1))
}

func (h *honest) stop() {
	for _, c := range h.sockets {
		_ = c.Close()
	}
	h.readers.Wait()
}
