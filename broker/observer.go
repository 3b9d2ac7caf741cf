package broker

import (
	"context"
	"slices"
	"sync/atomic"
	"time"
)

// observer is an Observer, with what it is besides.
type observer struct {
	Observer
	filter ObservationFilter // nil if it wants all
	store  StoreTracer       // nil if it is none
	// What else it is, for those who ask it.
	publishes, handsOut, samples, traces, calls bool
	panicked                                    atomic.Bool
}

func (o *observer) wants(app string, kind ObservationKind) bool {
	return o.filter == nil || o.filter.WantsObservation(app, kind)
}

// observerList are several observers, and whether any of them is what few are.
type observerList struct {
	all                          []*observer
	publishes, handsOut, follows bool
}

// observers are those of a broker. Without any, asking costs one load.
type observers struct {
	all atomic.Pointer[observerList]
	// caught counts a panic of an observer, and logs its first.
	caught func(first bool, p any)
}

// add takes another one in.
func (h *observers) add(o *observer) {
	for {
		old := h.all.Load()
		now := new(observerList)
		if old != nil {
			*now = *old
		}
		now.all = append(slices.Clone(now.all), o)
		now.publishes = now.publishes || o.publishes
		now.handsOut = now.handsOut || o.handsOut
		now.follows = now.follows || o.samples || o.traces
		if h.all.CompareAndSwap(old, now) {
			return
		}
	}
}

// any reports whether there is an observer.
func (h *observers) any() bool { return h.all.Load() != nil }

// list is those there are now. It must not be changed.
func (h *observers) list() []*observer {
	if l := h.all.Load(); l != nil {
		return l.all
	}
	return nil
}

// follow reports whether anybody may want to follow events to their sockets.
func (h *observers) follow() bool {
	l := h.all.Load()
	return l != nil && l.follows
}

// want reports whether anybody wants to be told. It is asked before an observation is
// built.
func (h *observers) want(app string, kind ObservationKind) bool {
	return h.any() && h.wanted(app, kind)
}

func (h *observers) wanted(app string, kind ObservationKind) (wanted bool) {
	for _, o := range h.list() {
		if h.guard(o, func() { wanted = o.wants(app, kind) }); wanted {
			return true
		}
	}
	return false
}

// tell tells all who want to know.
func (h *observers) tell(ctx context.Context, app string, o Observation) {
	for _, to := range h.list() {
		h.guard(to, func() {
			if to.wants(app, o.kind()) {
				to.Observe(ctx, o)
			}
		})
	}
}

// guard makes a call of an observer, which may panic.
func (h *observers) guard(o *observer, call func()) {
	defer func() {
		if p := recover(); p != nil {
			h.caught(o.panicked.CompareAndSwap(false, true), p)
		}
	}()
	call()
}

// storeCall is a call of a store that is under way.
type storeCall struct {
	ctx     context.Context
	op      string
	channel ChannelID
	began   time.Time   // zero if nobody observes it
	tracers []*observer // who was told of its start, and is of its end
}

// begin begins a call of a store. The call's context is that of the tracers.
func (h *observers) begin(ctx context.Context, op string, ch ChannelID) storeCall {
	c := storeCall{ctx: ctx, op: op, channel: ch}
	if !h.want(ch.App, ObserveStoreCall) {
		return c
	}
	for _, o := range h.list() {
		if o.store != nil {
			h.guard(o, func() {
				if o.wants(ch.App, ObserveStoreCall) {
					if traced := o.store.StoreStart(c.ctx, StoreCall{Operation: op, App: ch.App, Channel: ch.Name}); traced != nil {
						c.ctx = traced
					}
					c.tracers = append(c.tracers, o)
				}
			})
		}
	}
	c.began = time.Now()
	return c
}

// end tells of a call that has returned.
func (h *observers) end(c *storeCall, err error) {
	if c.began.IsZero() {
		return
	}
	call := StoreCall{Operation: c.op, App: c.channel.App, Channel: c.channel.Name, Took: time.Since(c.began), Err: err}
	for _, o := range slices.Backward(c.tracers) {
		h.guard(o, func() { o.store.StoreEnd(c.ctx, call) })
	}
	h.tell(c.ctx, call.App, call)
}
