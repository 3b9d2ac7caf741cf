package otel_test

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/observe/otel"
)

func Example() {
	ctx := context.Background()
	spans := tracetest.NewInMemoryExporter() // otlptracehttp.New in a program
	provider := trace.NewTracerProvider(trace.WithSyncer(spans))
	defer provider.Shutdown(ctx)
	tracer, err := otel.New(provider)
	if err != nil {
		panic(err)
	}
	b, err := broker.New(broker.WithObserver(tracer),
		broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 10}}))
	if err != nil {
		panic(err)
	}
	defer b.Shutdown(ctx)
	_, _ = b.App("1").Publish(ctx, "room", "message", []byte("hello"))
	for _, span := range spans.GetSpans() { // in the order of their ends
		fmt.Println(span.Name)
	}
	// Output:
	// history append
	// hand out
	// publish
}
