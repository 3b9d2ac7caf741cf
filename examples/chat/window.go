package main

import (
	"sync"
	"time"
)

// window lets each key through at most a number of times in any stretch of time as long
// as its span. A token bucket lets twice as many through at first: those it holds, and
// those that it gains meanwhile. It is safe for concurrent use.
type window struct {
	most int
	span time.Duration

	mu sync.Mutex
	// taken has, for each key, when it came through in the last span, the oldest first.
	taken map[string][]time.Time
	swept time.Time
}

func newWindow(most int, span time.Duration) *window {
	return &window{most: most, span: span, taken: make(map[string][]time.Time)}
}

// take lets a key through, or says how long it has to wait for that.
func (w *window) take(key string) (wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.sweep(now)
	taken := w.taken[key]
	for len(taken) > 0 && now.Sub(taken[0]) >= w.span {
		taken = taken[1:]
	}
	if len(taken) >= w.most {
		w.taken[key] = taken
		return w.span - now.Sub(taken[0])
	}
	w.taken[key] = append(taken, now)
	return 0
}

// sweep forgets, once in a span, the keys that have not come through for that long. The
// caller holds w.mu.
func (w *window) sweep(now time.Time) {
	if now.Sub(w.swept) < w.span {
		return
	}
	w.swept = now
	for key, taken := range w.taken {
		if now.Sub(taken[len(taken)-1]) >= w.span {
			delete(w.taken, key)
		}
	}
}
