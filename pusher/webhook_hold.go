package pusher

import (
	"container/list"
	"sync"
	"time"
)

const (
	// holdTime is how long a channel that was vacated, or a member who was
	// removed, may come back without the receivers hearing of either.
	holdTime = 3 * time.Second
	// maxHeld bounds the events that are held; beyond it the oldest goes early.
	maxHeld = 1 << 16
)

// holdKey is what an event that is held, and the one that undoes it, are about:
// a member of a channel, or the channel itself if there is no user.
type holdKey struct {
	app, channel, user string
}

type heldEvent struct {
	key   holdKey
	app   *App
	event webhookEvent
	due   time.Time
}

// webhookHold keeps events back for a while, in their order. It has a timer only
// while it keeps any.
type webhookHold struct {
	// release takes an event whose time has come. It is called with mu held, so
	// that an event which undoes it cannot overtake it; it must not block.
	release func(heldEvent)

	mu     sync.Mutex
	byKey  map[holdKey]*list.Element // guarded by mu
	order  list.List                 // guarded by mu; of heldEvent, the first to go in front
	timer  *time.Timer               // guarded by mu; nil when none runs
	closed bool                      // guarded by mu
}

func newWebhookHold(release func(heldEvent)) *webhookHold {
	return &webhookHold{release: release, byKey: make(map[holdKey]*list.Element)}
}

// add holds an event. One that is held already stays: nothing has undone it.
func (h *webhookHold) add(e heldEvent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		h.release(e)
		return
	}
	if _, held := h.byKey[e.key]; held {
		return
	}
	e.due = time.Now().Add(holdTime)
	h.byKey[e.key] = h.order.PushBack(e)
	if h.order.Len() > maxHeld {
		h.releaseFirst()
	}
	h.arm()
}

// cancel forgets the event that is held for key, and reports whether there was one.
func (h *webhookHold) cancel(key holdKey) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	held, ok := h.byKey[key]
	if ok {
		h.order.Remove(held)
		delete(h.byKey, key)
	}
	return ok
}

// flush releases everything at once, and from now on whatever is added.
func (h *webhookHold) flush() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.timer != nil {
		h.timer.Stop()
		h.timer = nil
	}
	for h.order.Len() > 0 {
		h.releaseFirst()
	}
}

func (h *webhookHold) size() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.order.Len()
}

// arm starts the timer for the first event. The caller holds mu.
func (h *webhookHold) arm() {
	if first := h.order.Front(); first != nil && h.timer == nil {
		h.timer = time.AfterFunc(time.Until(first.Value.(heldEvent).due), h.expire)
	}
}

func (h *webhookHold) expire() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.timer = nil
	now := time.Now()
	for first := h.order.Front(); first != nil && !first.Value.(heldEvent).due.After(now); first = h.order.Front() {
		h.releaseFirst()
	}
	h.arm()
}

// releaseFirst releases the oldest event. The caller holds mu.
func (h *webhookHold) releaseFirst() {
	e := h.order.Remove(h.order.Front()).(heldEvent)
	delete(h.byKey, e.key)
	h.release(e)
}
