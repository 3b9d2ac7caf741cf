// Package wheel is a timing wheel: time-outs by the hundred thousand that are
// set and cancelled often, seldom run out, and need not be exact. Setting and
// cancelling one costs a few pointers, and no timer of the runtime's.
//
// It is not for time-outs that must be exact: they run out late by up to a tick.
//
//	w := wheel.New(250*time.Millisecond, 512)
//	var t wheel.Timer
//	t.Init(func() { … })
//	w.Schedule(&t, 30*time.Second)
package wheel

import (
	"sync"
	"time"
)

// Wheel runs the functions of timers. Its goroutine exists only while a timer
// is scheduled. It is safe for concurrent use.
type Wheel struct {
	tick time.Duration

	mu      sync.Mutex
	slots   []Timer       // guarded by mu; each is the head of a ring of timers
	now     uint64        // guarded by mu; ticks that have been worked off
	start   time.Time     // guarded by mu; when tick 0 was
	pending int           // guarded by mu
	stopped bool          // guarded by mu
	stop    chan struct{} // closed by Stop
	done    chan struct{} // guarded by mu; closed when the goroutine has ended, nil without one
}

// Timer is one time-out. Embed it by value, call Init once, and do not copy it.
type Timer struct {
	next, prev *Timer
	due        uint64
	run        func()
}

// Init sets what runs when the timer runs out. It runs on the wheel's
// goroutine and must not block; it may schedule the timer again.
func (t *Timer) Init(run func()) { t.run = run }

// New returns a wheel that looks at its timers every tick. Time-outs longer
// than tick × slots cost a look in every turn.
func New(tick time.Duration, slots int) *Wheel {
	w := &Wheel{tick: tick, slots: make([]Timer, slots), stop: make(chan struct{})}
	for i := range w.slots {
		head := &w.slots[i]
		head.next, head.prev = head, head
	}
	return w
}

// Schedule makes t run out after d, never earlier and at most about a tick
// later. A timer that is scheduled already is moved. After Stop it does nothing.
func (w *Wheel) Schedule(t *Timer, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return
	}
	w.remove(t)
	if w.done == nil {
		w.start, w.now = time.Now(), 0
		w.done = make(chan struct{})
		go w.turn(w.done)
	}
	// Rounded up, so that no timer runs out early.
	t.due = uint64((time.Since(w.start) + max(d, 0) + w.tick - 1) / w.tick)
	t.due = max(t.due, w.now+1)
	head := &w.slots[t.due%uint64(len(w.slots))]
	t.prev, t.next = head.prev, head
	head.prev.next, head.prev = t, t
	w.pending++
}

// Cancel takes t back. It reports whether t was scheduled: if not, its function
// has run, is running, or will not run.
func (w *Wheel) Cancel(t *Timer) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.remove(t)
}

func (w *Wheel) remove(t *Timer) bool {
	if t.next == nil {
		return false
	}
	t.prev.next, t.next.prev = t.next, t.prev
	t.next, t.prev = nil, nil
	w.pending--
	return true
}

// Stop forgets all timers and waits for the function that may be running. It
// must not be called by one.
func (w *Wheel) Stop() {
	w.mu.Lock()
	if !w.stopped {
		w.stopped = true
		close(w.stop)
	}
	done := w.done
	w.mu.Unlock()
	if done != nil {
		<-done
	}
}

// turn works off the ticks until no timer is scheduled.
func (w *Wheel) turn(done chan struct{}) {
	defer close(done)
	ticker := time.NewTicker(w.tick)
	defer ticker.Stop()
	var due []*Timer
	for {
		select {
		case <-w.stop:
			return
		case <-ticker.C:
		}
		due = due[:0]
		w.mu.Lock()
		passed := uint64(time.Since(w.start) / w.tick)
		// A late goroutine need not look at any slot twice.
		first := max(w.now+1, passed-min(passed, uint64(len(w.slots))-1))
		for tick := first; tick <= passed; tick++ {
			head := &w.slots[tick%uint64(len(w.slots))]
			for t := head.next; t != head; {
				next := t.next
				if t.due <= passed {
					w.remove(t)
					due = append(due, t)
				}
				t = next
			}
		}
		w.now = max(w.now, passed)
		w.mu.Unlock()
		for i, t := range due {
			t.run()
			due[i] = nil
		}
		w.mu.Lock()
		if w.pending == 0 && !w.stopped {
			w.done = nil
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
	}
}
