// Package otel makes OpenTelemetry spans of what a broker does: of requests to the HTTP API,
// of each publish and amendment, and within it of the calls of the store and of the hand-out
// to subscribers.
//
//	tracer, err := otel.New(provider)
//	// …
//	b, err := broker.New(broker.WithObserver(tracer))
//
// A request to the HTTP API goes on with the trace that its header traceparent names, and a
// publish in process with that of its context; hooks and stores see the span in theirs, so
// that what they ask of others is part of the trace.
//
//	span                              kind      parent
//	POST /events (method and route)   server    of the header traceparent
//	publish                           producer  the request, or the context's
//	history append (the operation)    client    the publish, or whatever asked the store
//	hand out                          internal  the publish
//
// A call of a store that belongs to no trace, such as the renewal of a lease, gets no span.
// Each event of a batch has a publish of its own; their calls of the store, which is one for
// all, and their hand-outs lie beside them, below what the batch's context has.
//
// Attributes of spans are carillon.app, carillon.channel, carillon.event,
// carillon.event_id, carillon.position, carillon.duplicate, carillon.socket_id (of a client's
// event), carillon.bytes and, of a request, http.request.method, http.route and
// http.response.status_code. What a span fails with is recorded as its error. Data is never
// part of a span.
package otel

import (
	"context"
	"errors"
	"net/http"
	"net/textproto"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/carillon-rt/carillon/broker"
)

// Tracer is an Observer that makes spans. Give it to broker.WithObserver. It is safe for
// concurrent use.
type Tracer struct {
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	nameless   bool
}

// Option changes what New makes. One that is not valid makes it fail.
type Option func(*Tracer) error

// WithPropagator sets how the header of a request names a trace. The default reads
// traceparent, tracestate and baggage as the W3C has them.
func WithPropagator(p propagation.TextMapPropagator) Option {
	return func(t *Tracer) error {
		if p == nil {
			return errors.New("otel: propagator is nil")
		}
		t.propagator = p
		return nil
	}
}

// WithoutNames leaves the names of channels and events, and IDs, out of spans.
func WithoutNames() Option {
	return func(t *Tracer) error {
		t.nameless = true
		return nil
	}
}

// scope names what makes the spans.
const scope = "github.com/carillon-rt/carillon/observe/otel"

// New returns a tracer whose spans go to a provider, which has to be shut down by who made
// it.
func New(provider trace.TracerProvider, opts ...Option) (*Tracer, error) {
	if provider == nil {
		return nil, errors.New("otel: provider is nil")
	}
	t := &Tracer{tracer: provider.Tracer(scope),
		propagator: propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})}
	for _, opt := range opts {
		if err := opt(t); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Observe implements broker.Observer. Spans are made by the tracing interfaces.
func (*Tracer) Observe(context.Context, broker.Observation) {}

// WantsObservation implements broker.ObservationFilter: calls of stores are traced only where
// they are wanted.
func (*Tracer) WantsObservation(_ string, kind broker.ObservationKind) bool {
	return kind == broker.ObserveStoreCall
}

// started is the key of the span that a pair of methods begins and ends, by its layer:
// the span of the context may be another by then.
type started int

const (
	ofAPI started = iota
	ofPublish
	ofHandOut
	ofStore
)

func (t *Tracer) start(ctx context.Context, layer started, name string, kind trace.SpanKind, attributes ...attribute.KeyValue) context.Context {
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithAttributes(attributes...))
	return context.WithValue(ctx, layer, span)
}

// end ends the span of a layer. asError says that an error is one of this side.
func end(ctx context.Context, layer started, err error, asError bool, attributes ...attribute.KeyValue) {
	span, ok := ctx.Value(layer).(trace.Span)
	if !ok {
		return
	}
	span.SetAttributes(attributes...)
	if err != nil {
		span.RecordError(err)
		if asError {
			span.SetStatus(codes.Error, err.Error())
		}
	}
	span.End()
}

// named returns attributes, with the names of what they are about unless those are left out.
func (t *Tracer) named(app, channel, event string, attributes ...attribute.KeyValue) []attribute.KeyValue {
	attributes = append(attributes, attribute.String("carillon.app", app))
	if t.nameless {
		return attributes
	}
	if channel != "" {
		attributes = append(attributes, attribute.String("carillon.channel", channel))
	}
	if event != "" {
		attributes = append(attributes, attribute.String("carillon.event", event))
	}
	return attributes
}

// APIStart implements broker.APITracer.
func (t *Tracer) APIStart(ctx context.Context, call broker.APICalled, header textproto.MIMEHeader) context.Context {
	ctx = t.propagator.Extract(ctx, propagation.HeaderCarrier(http.Header(header)))
	return t.start(ctx, ofAPI, call.Method+" "+call.Route, trace.SpanKindServer,
		attribute.String("carillon.app", call.App), attribute.String("http.request.method", call.Method), attribute.String("http.route", call.Route))
}

// APIEnd implements broker.APITracer.
func (*Tracer) APIEnd(ctx context.Context, call broker.APICalled) {
	end(ctx, ofAPI, call.Err, call.Status >= 500, attribute.Int("http.response.status_code", call.Status))
}

// PublishStart implements broker.PublishTracer.
func (t *Tracer) PublishStart(ctx context.Context, p broker.PublishTrace) context.Context {
	attributes := t.named(p.App, p.Channel, p.Event, attribute.Int("carillon.bytes", p.Bytes))
	if p.Session != nil && !t.nameless {
		attributes = append(attributes, attribute.String("carillon.socket_id", p.Session.ID()))
	}
	return t.start(ctx, ofPublish, "publish", trace.SpanKindProducer, attributes...)
}

// PublishEnd implements broker.PublishTracer.
func (t *Tracer) PublishEnd(ctx context.Context, p broker.PublishTrace) {
	var attributes []attribute.KeyValue
	if !p.Published.Position.IsZero() {
		attributes = append(attributes, attribute.String("carillon.position", p.Published.Position.String()))
	}
	if p.Published.ID != "" && !t.nameless {
		attributes = append(attributes, attribute.String("carillon.event_id", p.Published.ID))
	}
	if p.Published.Duplicate {
		attributes = append(attributes, attribute.Bool("carillon.duplicate", true))
	}
	end(ctx, ofPublish, p.Err, true, attributes...)
}

// HandOutStart implements broker.HandOutTracer.
func (t *Tracer) HandOutStart(ctx context.Context, app string, ev *broker.Event) context.Context {
	return t.start(ctx, ofHandOut, "hand out", trace.SpanKindInternal, t.named(app, ev.Channel, ev.Name)...)
}

// HandOutEnd implements broker.HandOutTracer.
func (*Tracer) HandOutEnd(ctx context.Context, _ string, _ *broker.Event, err error) {
	end(ctx, ofHandOut, err, true)
}

// StoreStart implements broker.StoreTracer.
func (t *Tracer) StoreStart(ctx context.Context, call broker.StoreCall) context.Context {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx
	}
	return t.start(ctx, ofStore, call.Operation, trace.SpanKindClient, t.named(call.App, call.Channel, "")...)
}

// StoreEnd implements broker.StoreTracer.
func (*Tracer) StoreEnd(ctx context.Context, call broker.StoreCall) {
	end(ctx, ofStore, call.Err, true)
}
