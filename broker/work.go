package broker

import (
	"context"
	"sync"
	"sync/atomic"
)

// lifecycle is how a broker comes to its end.
type lifecycle struct {
	// stopped is set when nothing is taken in any more.
	stopped atomic.Bool

	life     sync.Mutex
	draining bool                          // guarded by life
	live     int                           // guarded by life: sessions that have not ended
	empty    chan struct{}                 // guarded by life: closed when draining and live is 0
	drained  []func(context.Context) error // guarded by life
	closers  []func(context.Context) error // guarded by life
	waiting  bool                          // guarded by life: Shutdown waits for working, which takes in no more
	working  sync.WaitGroup
	done     chan struct{} // closed when Shutdown has finished
	result   error         // set before done is closed
}

func (l *lifecycle) init() {
	l.empty = make(chan struct{})
	l.done = make(chan struct{})
}

// sessionStarted counts a session, unless the broker is shutting down.
func (l *lifecycle) sessionStarted() bool {
	l.life.Lock()
	defer l.life.Unlock()
	if l.draining {
		return false
	}
	l.live++
	return true
}

func (l *lifecycle) sessionEnded() {
	l.life.Lock()
	defer l.life.Unlock()
	if l.live--; l.live == 0 && l.draining {
		close(l.empty)
	}
}

// background runs f on a goroutine that Shutdown waits for.
func (l *lifecycle) background(f func()) {
	l.life.Lock()
	defer l.life.Unlock()
	if l.waiting {
		go f()
		return
	}
	l.working.Go(f)
}
