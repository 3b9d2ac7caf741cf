package websocket

import (
	"net"
	"sync"
	"time"
)

// watch keeps an eye on a writer whose peer may not read. It judges by what the
// peer takes: a system calls a full socket writable only once a good part of its
// buffer is free, which for a slow reader takes longer than any time-out. A write
// that TLS has begun cannot be tried again, so that it is interrupted when it is
// given up, and not before.
type watch struct {
	nc    net.Conn
	limit time.Duration
	held  func(net.Conn) int
	timer *time.Timer

	mu sync.Mutex
	// What follows is guarded by mu. last is when the peer last took something,
	// and holds what the system held for it when that was looked at.
	last        time.Time
	holds       int
	interrupted bool
	over        bool
}

// looksPerTimeout is how often watch looks in the time that a peer has.
const looksPerTimeout = 4

// watch begins to watch over nc's writer, until stop is called.
func (s *Server) watch(nc net.Conn) *watch {
	p := &watch{nc: nc, limit: s.options.writeTimeout, held: s.options.held, last: time.Now()}
	p.mu.Lock() // look may be called before timer is set
	defer p.mu.Unlock()
	p.timer = time.AfterFunc(p.limit/looksPerTimeout, p.look)
	return p
}

func (p *watch) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || p.interrupted {
		return
	}
	if holds := p.held(p.nc); holds != p.holds {
		p.holds, p.last = holds, time.Now()
	}
	left := p.limit - time.Since(p.last)
	if left <= 0 {
		p.interrupted = true
		_ = p.nc.SetWriteDeadline(time.Now())
		return
	}
	p.timer.Reset(min(left, p.limit/looksPerTimeout))
}

// took notes that the system has taken something for the peer.
func (p *watch) took() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = time.Now()
	p.resume()
}

// stop ends the watch.
func (p *watch) stop() {
	p.timer.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	p.resume()
}

// resume lets nc be written to again. The caller holds mu.
func (p *watch) resume() {
	if !p.interrupted {
		return
	}
	p.interrupted = false
	_ = p.nc.SetWriteDeadline(time.Time{})
	if !p.over {
		p.timer.Reset(p.limit / looksPerTimeout)
	}
}
