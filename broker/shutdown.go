package broker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// lifecycle is how a broker comes to its end.
type lifecycle struct {
	// stopped is set when nothing is taken in any more.
	stopped atomic.Bool

	life     sync.Mutex
	draining bool                          // guarded by life
	live     int                           // guarded by life: sessions that have not ended
	empty    chan struct{}                 // guarded by life: closed when draining and live is 0
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

// lastMoment is how long Shutdown goes on after its context has ended with what
// takes no time, unless a store hangs.
const lastMoment = 100 * time.Millisecond

// within calls f and returns when f has, or soon after ctx has ended.
func within(ctx context.Context, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	select {
	case <-done:
	case <-time.After(lastMoment):
	}
}

// OnShutdown makes Shutdown call f after all sessions have ended and all hooks
// been called, or after its context has ended. Protocol handlers use it to stop
// their transports and flush their webhooks.
func (b *Broker) OnShutdown(f func(context.Context) error) {
	b.life.Lock()
	defer b.life.Unlock()
	b.closers = append(b.closers, f)
}

// Draining reports whether the broker is shutting down.
func (b *Broker) Draining() bool {
	b.life.Lock()
	defer b.life.Unlock()
	return b.draining
}

// Shutdown ends the broker: new sessions are refused; every session is sent
// what is queued for it and closed so that its client reconnects elsewhere,
// spread over the drain window; members leave their channels; in-process
// subscriptions end with ErrShutdown; hooks and webhooks are flushed. It returns
// when all of that is done and no goroutine of the broker is left, or, soon after
// the context has ended, with its error and with what is left cut off: a store that
// hangs does not hold it up. Further calls wait for the first.
func (b *Broker) Shutdown(ctx context.Context) error {
	b.life.Lock()
	if b.draining {
		b.life.Unlock()
		select {
		case <-b.done:
			return b.result
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	b.draining = true
	sessions := b.live
	if sessions == 0 {
		close(b.empty)
	}
	b.life.Unlock()

	within(ctx, func() { b.closeSessions(ctx, sessions) })
	select {
	case <-b.empty:
	case <-ctx.Done():
	}
	within(ctx, func() { b.tracker.Close(context.WithoutCancel(ctx)) })
	b.stopped.Store(true)
	b.endLocals()
	var errs []error
	for _, n := range b.hookSets() {
		if err := n.flush(ctx); err != nil {
			errs = append(errs, err)
			break
		}
	}
	b.life.Lock()
	closers := b.closers
	b.life.Unlock()
	for _, f := range closers {
		errs = append(errs, f(ctx))
	}
	b.life.Lock()
	b.waiting = true
	b.life.Unlock()
	within(ctx, b.working.Wait)
	within(ctx, b.budget.Wait)
	if err := ctx.Err(); err != nil {
		errs = append(errs, err)
	}
	b.result = errors.Join(errs...)
	close(b.done)
	return b.result
}

// closeSessions closes every session, spread evenly over the drain window: the
// clients reconnect as soon as they are closed, and all at once would be a storm.
func (b *Broker) closeSessions(ctx context.Context, n int) {
	window := min(time.Duration(n)*time.Millisecond, MaxDrainWindow)
	if b.drainWindow != nil {
		window = *b.drainWindow
	}
	if deadline, ok := ctx.Deadline(); ok {
		window = min(window, time.Until(deadline)/2)
	}
	start := time.Now()
	i := 0
	for _, s := range b.allSessions() {
		if wait := time.Until(start.Add(window / time.Duration(max(n, 1)) * time.Duration(i))); wait > time.Millisecond {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
		}
		s.Close(CloseShutdown)
		i++
	}
}

func (b *Broker) allSessions() []*Session {
	all := make([]*Session, 0, b.sessions.Size())
	b.sessions.Range(func(_ string, s *Session) bool {
		all = append(all, s)
		return true
	})
	return all
}

func (b *Broker) endLocals() {
	var locals []*localQueue
	b.channels.all(func(c *channel) bool {
		c.mu.Lock()
		for _, s := range c.subs {
			if s.extras != nil && s.local != nil {
				locals = append(locals, s.local)
			}
		}
		c.mu.Unlock()
		return true
	})
	for _, q := range locals {
		q.end(ErrShutdown)
	}
}
