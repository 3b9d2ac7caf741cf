package stream

import (
	"context"
	"sync"
	"time"

	"github.com/carillon-rt/carillon/transport"
)

// Lifetime is that of a server: it counts the connections, and ends when the server
// is shut down and the last of them has ended. It is safe for concurrent use.
type Lifetime struct {
	finish func()

	mu      sync.Mutex
	open    int           // guarded by mu
	closed  bool          // guarded by mu
	empty   chan struct{} // closed when closed is set and open is 0
	stopped chan struct{} // closed when finish has returned after that
}

// NewLifetime returns the lifetime of a server whose goroutines finish ends, once
// there is no connection left.
func NewLifetime(finish func()) *Lifetime {
	return &Lifetime{finish: finish, empty: make(chan struct{}), stopped: make(chan struct{})}
}

// Enter counts a connection in, unless the server is shut down or has limit of
// them. It reports whether it did.
func (l *Lifetime) Enter(limit int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.open >= limit {
		return false
	}
	l.open++
	return true
}

// Leave counts a connection out that has ended.
func (l *Lifetime) Leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open--; l.closed && l.open == 0 {
		close(l.empty)
	}
}

// Open is how many connections there are.
func (l *Lifetime) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// Closed reports whether the server is shut down.
func (l *Lifetime) Closed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// Shutdown lets no further connections in and waits until all have ended. When
// ctx ends, cut is called to cut off those that are left; it must not wait for them. It
// returns transport.ShutdownGrace after that at the latest: a receiver that holds on
// to a connection delays only finish.
func (l *Lifetime) Shutdown(ctx context.Context, cut func()) error {
	l.mu.Lock()
	idle := l.open == 0
	if !l.closed {
		l.closed = true
		if idle {
			close(l.empty)
		}
		go func() {
			<-l.empty
			l.finish()
			close(l.stopped)
		}()
	}
	l.mu.Unlock()
	select {
	case <-l.stopped:
		return nil
	case <-ctx.Done():
	}
	cut()
	select {
	case <-l.stopped:
		if idle {
			return nil
		}
	case <-time.After(transport.ShutdownGrace):
	}
	return ctx.Err()
}
