package console

import (
	"net/http"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/carillon-rt/carillon/broker"
)

const (
	// seconds and minutes are how many points of each are kept.
	seconds, minutes = 120, 60
)

// figures are those of one point of time, or the average or the most of a stretch.
type figures struct {
	Sessions      int64    `json:"sessions"`
	Channels      int64    `json:"channels"`
	InPerS        float64  `json:"inPerS"`
	OutPerS       float64  `json:"outPerS"`
	PublishedPerS float64  `json:"publishedPerS"`
	BytesInPerS   float64  `json:"bytesInPerS"`
	BytesOutPerS  float64  `json:"bytesOutPerS"`
	P50Ms         *float64 `json:"p50Ms"`
	P99Ms         *float64 `json:"p99Ms"`
	Samples       int      `json:"samples"`
	Memory        int64    `json:"memory"`
	Goroutines    int64    `json:"goroutines"`
	QueuedBytes   int64    `json:"queuedBytes"`
	SlowPerS      float64  `json:"slowPerS"`
	RefusedPerS   float64  `json:"refusedPerS"`
}

type point struct {
	At int64 `json:"at"`
	figures
}

// reading is what the figures are made of: counts that only grow.
type reading struct {
	at      time.Time
	stats   broker.Stats
	traffic broker.Traffic
}

// series keeps the figures of the last two minutes by the second, and of the last hour by
// the minute.
type series struct {
	mu      sync.Mutex
	last    reading // guarded by mu
	seconds []point // guarded by mu: oldest first
	minutes []point // guarded by mu: oldest first
	// What the minute consists of so far.
	minute        []point // guarded by mu
	minuteLatency counts  // guarded by mu
}

func (f *figures) latency(c *counts) {
	f.Samples = c.total()
	f.P50Ms, f.P99Ms = nil, nil
	if p50, ok := c.percentile(0.5); ok {
		p99, _ := c.percentile(0.99)
		a, b := ms(p50), ms(p99)
		f.P50Ms, f.P99Ms = &a, &b
	}
}

// add makes a point of a reading, and returns how many events were published since the one
// before.
func (s *series) add(now reading, latency counts) (published int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.last
	s.last = now
	if was.at.IsZero() {
		return 0
	}
	elapsed := now.at.Sub(was.at).Seconds()
	if elapsed <= 0 {
		return 0
	}
	rate := func(now, was int64) float64 { return max(0, float64(now-was)/elapsed) }
	p := point{At: millis(now.at)}
	p.Sessions, p.Channels, p.QueuedBytes = now.stats.Sessions, now.stats.Channels, now.stats.QueuedBytes
	p.Memory, p.Goroutines = readRuntime()
	p.InPerS = rate(now.traffic.MessagesIn, was.traffic.MessagesIn)
	p.BytesInPerS, p.BytesOutPerS = rate(now.traffic.BytesIn, was.traffic.BytesIn), rate(now.traffic.BytesOut, was.traffic.BytesOut)
	p.OutPerS, p.PublishedPerS = rate(now.stats.Delivered, was.stats.Delivered), rate(now.stats.Published, was.stats.Published)
	p.SlowPerS, p.RefusedPerS = rate(now.stats.SlowSessions, was.stats.SlowSessions), rate(now.stats.Refused, was.stats.Refused)
	p.latency(&latency)
	s.seconds = appendBounded(s.seconds, p, seconds)

	if len(s.minute) > 0 && s.minute[0].At/60_000 != p.At/60_000 {
		s.minutes = appendBounded(s.minutes, summary(s.minute, &s.minuteLatency), minutes)
		s.minute, s.minuteLatency = s.minute[:0], counts{}
	}
	s.minute = appendBounded(s.minute, p, seconds)
	s.minuteLatency.add(&latency)
	return now.stats.Published - was.stats.Published
}

func appendBounded(points []point, p point, most int) []point {
	if len(points) < most {
		return append(points, p)
	}
	copy(points, points[1:])
	points[len(points)-1] = p
	return points
}

// summary is what a stretch was: the averages of rates, the most of all else, and the
// percentiles of all latencies.
func summary(points []point, latency *counts) (s point) {
	n := float64(len(points))
	s.At = points[0].At
	for _, p := range points {
		s.Sessions, s.Channels = max(s.Sessions, p.Sessions), max(s.Channels, p.Channels)
		s.Memory, s.Goroutines, s.QueuedBytes = max(s.Memory, p.Memory), max(s.Goroutines, p.Goroutines), max(s.QueuedBytes, p.QueuedBytes)
		s.InPerS += p.InPerS / n
		s.OutPerS += p.OutPerS / n
		s.PublishedPerS += p.PublishedPerS / n
		s.BytesInPerS += p.BytesInPerS / n
		s.BytesOutPerS += p.BytesOutPerS / n
		s.SlowPerS += p.SlowPerS / n
		s.RefusedPerS += p.RefusedPerS / n
	}
	s.latency(latency)
	return s
}

// latest is the last second; zero if there is none yet.
func (s *series) latest() (p point) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.seconds); n > 0 {
		p = s.seconds[n-1]
	}
	return p
}

// byStep returns the points of a step, the minute that is under way included.
func (s *series) byStep(minute bool) []point {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !minute {
		return append([]point{}, s.seconds...)
	}
	points := append([]point{}, s.minutes...)
	if len(s.minute) > 0 {
		points = append(points, summary(s.minute, &s.minuteLatency))
	}
	if len(points) > minutes {
		points = points[len(points)-minutes:]
	}
	return points
}

// readRuntime returns how much memory the process has from the system, and its goroutines.
func readRuntime() (memory, goroutines int64) {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/sched/goroutines:goroutines"}}
	metrics.Read(samples)
	value := func(i int) int64 {
		if samples[i].Value.Kind() != metrics.KindUint64 {
			return 0
		}
		return int64(samples[i].Value.Uint64())
	}
	return value(0) - value(1), value(2)
}

// seriesOf answers with the points of the last two minutes, or of the last hour.
func (c *Console) seriesOf(k *call) (any, error) {
	step, err := k.number("step", 1, 1, 60)
	if err != nil {
		return nil, err
	}
	if step != 1 && step != 60 {
		return nil, &apiError{status: http.StatusBadRequest, Code: "bad_request", Field: "step", Text: "step has to be 1 or 60"}
	}
	return struct {
		Step   int64   `json:"step"`
		Points []point `json:"points"`
	}{step, c.series.byStep(step == 60)}, nil
}
