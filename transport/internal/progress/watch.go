// Package progress judges a peer that is written to by what it takes, for the
// transports that have sockets below them.
package progress

import (
	"sync"
	"time"
)

// Watch keeps an eye on a writer whose peer may not read. It judges by what the
// peer takes: a system calls a full socket writable only once a good part of its
// buffer is free, which for a slow reader takes longer than any time-out. A write
// that TLS has begun cannot be tried again, so that it is interrupted when it is
// given up, and not before.
type Watch struct {
	limit    time.Duration
	unsent   func() int
	deadline func(time.Time) error
	timer    *time.Timer

	mu sync.Mutex
	// What follows is guarded by mu. last is when the peer last took something,
	// and holds what the system held for it when that was looked at.
	last        time.Time
	holds       int
	interrupted bool
	over        bool
}

// LooksPerLimit is how often a Watch looks in the time that a peer has.
const LooksPerLimit = 4

// Begin begins to watch over a writer, until Stop is called. Its peer has to take
// something within limit, again and again: unsent is how many bytes the system holds
// for it, 0 if it cannot say, and deadline sets that of writing.
func Begin(limit time.Duration, unsent func() int, deadline func(time.Time) error) *Watch {
	p := &Watch{limit: limit, unsent: unsent, deadline: deadline, last: time.Now()}
	p.mu.Lock() // look may be called before timer is set
	defer p.mu.Unlock()
	p.timer = time.AfterFunc(p.limit/LooksPerLimit, p.look)
	return p
}

func (p *Watch) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || p.interrupted {
		return
	}
	if holds := p.unsent(); holds != p.holds {
		p.holds, p.last = holds, time.Now()
	}
	left := p.limit - time.Since(p.last)
	if left <= 0 {
		p.interrupted = true
		_ = p.deadline(time.Now())
		return
	}
	p.timer.Reset(min(left, p.limit/LooksPerLimit))
}

// Took notes that the system has taken something for the peer.
func (p *Watch) Took() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = time.Now()
	p.resume()
}

// Stop ends the watch, and takes the deadline back that it has set.
func (p *Watch) Stop() {
	p.timer.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	p.resume()
}

// resume lets the peer be written to again. The caller holds mu.
func (p *Watch) resume() {
	if !p.interrupted {
		return
	}
	p.interrupted = false
	_ = p.deadline(time.Time{})
	if !p.over {
		p.timer.Reset(p.limit / LooksPerLimit)
	}
}
