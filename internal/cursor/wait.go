package cursor

import (
	"container/heap"

	"github.com/carillon-rt/carillon/storage"
)

// Waiter waits until the cursor has passed a position.
type Waiter struct {
	position storage.Position
	index    int
	passed   chan struct{}
}

// Passed is closed when the cursor has passed the position, or never will.
func (w *Waiter) Passed() <-chan struct{} { return w.passed }

// Wait returns a waiter for a position, and nil if the cursor has passed it.
func (c *Cursor) Wait(p storage.Position) *Waiter {
	if !p.After(c.last) {
		return nil
	}
	w := &Waiter{position: p, passed: make(chan struct{})}
	heap.Push(&c.waiters, w)
	return w
}

// Forget takes a waiter away that waits no longer.
func (c *Cursor) Forget(w *Waiter) {
	if w.index >= 0 {
		heap.Remove(&c.waiters, w.index)
	}
}

// Release tells those who wait for a position that the cursor has passed. The owner
// calls it once everything up to there has been handed out and every gap told.
func (c *Cursor) Release() {
	for len(c.waiters) > 0 && !c.waiters[0].position.After(c.last) {
		close(heap.Pop(&c.waiters).(*Waiter).passed)
	}
}

// ReleaseAll tells all who wait: there is nobody left to hand anything out to.
func (c *Cursor) ReleaseAll() {
	for _, w := range c.waiters {
		w.index = -1
		close(w.passed)
	}
	c.waiters = nil
}

// waiters is a heap by position.
type waiters []*Waiter

func (ws waiters) Len() int           { return len(ws) }
func (ws waiters) Less(i, j int) bool { return ws[j].position.After(ws[i].position) }
func (ws waiters) Swap(i, j int) {
	ws[i], ws[j] = ws[j], ws[i]
	ws[i].index, ws[j].index = i, j
}

func (ws *waiters) Push(x any) {
	w := x.(*Waiter)
	w.index = len(*ws)
	*ws = append(*ws, w)
}

func (ws *waiters) Pop() any {
	old := *ws
	w := old[len(old)-1]
	old[len(old)-1] = nil
	*ws = old[:len(old)-1]
	w.index = -1
	return w
}
