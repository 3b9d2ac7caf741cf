package broker

import (
	"context"
	"slices"
)

// newObserver finds out what else an observer is.
func newObserver(of Observer) *observer {
	o := &observer{Observer: of}
	o.filter, _ = of.(ObservationFilter)
	o.store, _ = of.(StoreTracer)
	_, o.publishes = of.(PublishTracer)
	_, o.handsOut = of.(HandOutTracer)
	_, o.samples = of.(DeliverySampler)
	_, o.traces = of.(DeliveryTracer)
	_, o.calls = of.(APITracer)
	return o
}

// publish makes a publish that is observed, and tells if it fails. There is an observer.
func (h *observers) publish(ctx context.Context, t PublishTrace, publish func(context.Context) (Published, error)) (Published, error) {
	traced := h.all.Load().publishes
	if traced {
		ctx = h.publishStart(ctx, t)
	}
	t.Published, t.Err = publish(ctx)
	if traced {
		h.publishEnd(ctx, t)
	}
	if t.Err != nil {
		h.publishRefused(ctx, &t)
	}
	return t.Published, t.Err
}

func (h *observers) publishStart(ctx context.Context, t PublishTrace) context.Context {
	for _, o := range h.list() {
		if o.publishes {
			h.guard(o, func() {
				if traced := o.Observer.(PublishTracer).PublishStart(ctx, t); traced != nil {
					ctx = traced
				}
			})
		}
	}
	return ctx
}

func (h *observers) publishEnd(ctx context.Context, t PublishTrace) {
	for _, o := range slices.Backward(h.list()) {
		if o.publishes {
			h.guard(o, func() { o.Observer.(PublishTracer).PublishEnd(ctx, t) })
		}
	}
}

// publishRefused tells of a publish that has failed.
func (h *observers) publishRefused(ctx context.Context, t *PublishTrace) {
	if h.want(t.App, ObservePublishRefused) {
		h.tell(ctx, t.App, PublishRefused{App: t.App, Channel: t.Channel, Event: t.Event, Bytes: t.Bytes, Session: t.Session, Err: t.Err})
	}
}

// handOut traces how an event takes its place. There is an observer.
func (h *observers) handOut(ctx context.Context, app string, ev *Event, arrive func(context.Context) error) error {
	list := h.all.Load()
	if !list.handsOut {
		return arrive(ctx)
	}
	for _, o := range list.all {
		if o.handsOut {
			h.guard(o, func() {
				if traced := o.Observer.(HandOutTracer).HandOutStart(ctx, app, ev); traced != nil {
					ctx = traced
				}
			})
		}
	}
	err := arrive(ctx)
	for _, o := range slices.Backward(list.all) {
		if o.handsOut {
			h.guard(o, func() { o.Observer.(HandOutTracer).HandOutEnd(ctx, app, ev, err) })
		}
	}
	return err
}
