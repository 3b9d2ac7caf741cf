package broker

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ShutdownGrace is how long after the end of its context Shutdown returns at the
// latest, whatever hangs: connections that were cut off take a moment to end.
const ShutdownGrace = time.Second

// lastMoment is how long each step of Shutdown goes on after its time is over, with
// what takes no time unless something hangs. There are six steps that may need it.
const lastMoment = ShutdownGrace / 6

// What Shutdown gives to its steps of the time that its context leaves it, one
// after another: the rest is for what OnShutdown has been given, such as webhooks.
const (
	sessionsShare = 5.0 / 8
	hooksShare    = 6.0 / 8
)

// within calls f, which ends soon after ctx has, and returns what it does; or
// without it, if it does not.
func within(ctx context.Context, f func(context.Context) error) error {
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(lastMoment):
		return ctx.Err()
	}
}

// all calls several functions at once.
func (b *Broker) all(ctx context.Context, fs []func(context.Context) error) error {
	errs := make([]error, len(fs))
	var calls sync.WaitGroup
	for i, f := range fs {
		calls.Go(func() {
			errs[i] = within(ctx, func(ctx context.Context) (err error) {
				defer b.caught("shutdown", &err)
				return f(ctx)
			})
		})
	}
	calls.Wait()
	return errors.Join(errs...)
}

// share is a context for the part of the time up to a deadline that is over at a
// fraction of it.
func share(ctx context.Context, start time.Time, fraction float64) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, start.Add(time.Duration(fraction*float64(deadline.Sub(start)))))
}

// OnDrained makes Shutdown call f once all sessions have ended or the time for that is
// over. When its context ends, which it may have before the call, f cuts off the
// connections that are left, and ends their sessions. Protocol handlers use it to stop
// their transports.
func (b *Broker) OnDrained(f func(context.Context) error) {
	b.life.Lock()
	defer b.life.Unlock()
	b.drained = append(b.drained, f)
}

// OnShutdown makes Shutdown call f last: after all sessions have ended and all hooks
// have been called, or the time for that is over. Protocol handlers use it to flush
// their webhooks.
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

// Shutdown ends the broker: new sessions are refused; every session is sent what is
// queued for it and closed so that its client reconnects elsewhere, spread over the
// drain window; members leave their channels; hooks are called for all of that;
// in-process subscriptions end with ErrShutdown, and publishing fails with it; webhooks
// are flushed. See Hooks for what hooks may do meanwhile.
//
// It returns when all of that is done and no goroutine of the broker is left. If ctx
// has a deadline, sessions have five eighths of the time to end, hooks one eighth after
// that, and webhooks the rest; without one, what hangs takes all of it. What has not
// ended in its time is cut off, and Shutdown returns an error: ShutdownGrace after the
// end of ctx at the latest, whatever hooks, stores or clients do. A goroutine that
// waits in a hook or a store is then left until that returns. Further calls wait for
// the first.
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
	start := time.Now()
	errs := []error{b.endSessions(ctx, start, sessions), b.endHooks(ctx, start)}
	b.grantEnds.Stop()
	b.life.Lock()
	closers := b.closers
	b.life.Unlock()
	errs = append(errs, b.all(ctx, closers))
	b.life.Lock()
	b.waiting = true
	b.life.Unlock()
	errs = append(errs, within(ctx, func(context.Context) error {
		b.working.Wait()
		b.budget.Wait()
		return nil
	}), ctx.Err())
	b.result = errors.Join(errs...)
	close(b.done)
	return b.result
}

// endSessions closes all sessions, and then cuts off what is left.
func (b *Broker) endSessions(ctx context.Context, start time.Time, sessions int) error {
	window := b.window(ctx, sessions)
	ctx, cancel := share(ctx, start, sessionsShare)
	defer cancel()
	_ = within(ctx, func(ctx context.Context) error { b.closeSessions(ctx, window, sessions); return nil })
	select {
	case <-b.empty:
	case <-ctx.Done():
	}
	b.life.Lock()
	drained := b.drained
	b.life.Unlock()
	err := b.all(ctx, drained)
	select {
	case <-b.empty:
		return err
	default:
		return errors.Join(err, ctx.Err())
	}
}

// endHooks lets all members leave and calls all hooks; then nothing is taken in any
// more.
func (b *Broker) endHooks(ctx context.Context, start time.Time) error {
	ctx, cancel := share(ctx, start, hooksShare)
	defer cancel()
	over := func() { b.hooks.over(ErrShutdown) }
	defer over()
	defer context.AfterFunc(ctx, over)()
	err := within(ctx, func(ctx context.Context) error {
		lasting, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		defer context.AfterFunc(ctx, func() { time.AfterFunc(lastMoment, cancel) })()
		b.tracker.Close(lasting)
		return nil
	})
	var flushes []func(context.Context) error
	for _, n := range b.hooks.sets() {
		flushes = append(flushes, n.flush)
	}
	err = errors.Join(err, b.all(ctx, flushes))
	b.stopped.Store(true)
	if b.stopWatching != nil {
		b.stopWatching()
	}
	b.endInProcess()
	return err
}

// window is how long the closing of sessions is spread.
func (b *Broker) window(ctx context.Context, sessions int) time.Duration {
	window := min(time.Duration(sessions)*time.Millisecond, MaxDrainWindow)
	if b.drainWindow != nil {
		window = *b.drainWindow
	}
	if deadline, ok := ctx.Deadline(); ok {
		window = min(window, time.Until(deadline)/2)
	}
	return window
}

// closeSessions closes every session, spread evenly over the drain window: the
// clients reconnect as soon as they are closed, and all at once would be a storm.
func (b *Broker) closeSessions(ctx context.Context, window time.Duration, n int) {
	start := time.Now()
	i := 0
	for _, s := range b.allSessions() {
		if wait := time.Until(start.Add(window / time.Duration(max(n, 1)) * time.Duration(i))); wait > time.Millisecond {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
		}
		// A transport within the process may end the session in Close.
		b.background(func() { s.Close(CloseShutdown) })
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

// endInProcess ends the subscriptions of Go code in this process.
func (b *Broker) endInProcess() {
	var inboxes []*inbox
	b.channels.all(func(c *channel) bool {
		c.mu.Lock()
		for _, s := range c.subs {
			if s.extras != nil && s.inbox != nil {
				inboxes = append(inboxes, s.inbox)
			}
		}
		c.mu.Unlock()
		return true
	})
	for _, in := range inboxes {
		in.end(ErrShutdown)
	}
}

// MaxDrainWindow is the longest time over which Shutdown spreads the closing of
// sessions where WithDrainWindow does not say.
const MaxDrainWindow = 10 * time.Second
