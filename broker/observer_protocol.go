package broker

import (
	"context"
	"net/textproto"
	"slices"
)

// Observes reports whether anybody wants to hear of what a protocol observes: it is asked
// before an observation is built. It is for protocols.
func (b *Broker) Observes(app string, kind ObservationKind) bool { return b.observers.want(app, kind) }

// Observe tells the broker's observers of what a protocol has observed.
func (b *Broker) Observe(ctx context.Context, app string, o Observation) {
	b.observers.tell(ctx, app, o)
}

// StartAPICall tells the tracers of a request to the HTTP API of a protocol, and returns the
// context for it; EndAPICall has to be given that.
func (b *Broker) StartAPICall(ctx context.Context, call APICalled, header textproto.MIMEHeader) context.Context {
	for _, o := range b.observers.list() {
		if o.calls {
			b.observers.guard(o, func() {
				if traced := o.Observer.(APITracer).APIStart(ctx, call, header); traced != nil {
					ctx = traced
				}
			})
		}
	}
	return ctx
}

// EndAPICall tells the tracers and observers of a request that was answered.
func (b *Broker) EndAPICall(ctx context.Context, call APICalled) {
	for _, o := range slices.Backward(b.observers.list()) {
		if o.calls {
			b.observers.guard(o, func() { o.Observer.(APITracer).APIEnd(ctx, call) })
		}
	}
	if b.observers.want(call.App, ObserveAPICalled) {
		b.observers.tell(ctx, call.App, call)
	}
}
