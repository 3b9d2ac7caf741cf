package prometheus_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/observe/prometheus"
)

func Example() {
	ctx := context.Background()
	b, err := broker.New()
	if err != nil {
		panic(err)
	}
	defer b.Shutdown(ctx)
	metrics, err := prometheus.New(b)
	if err != nil {
		panic(err)
	}
	_, _ = b.App("shop").Publish(ctx, "room", "message", []byte("hello"))

	// A server has http.Handle("GET /metrics", metrics.Handler()).
	scrape := httptest.NewRecorder()
	metrics.Handler().ServeHTTP(scrape, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(scrape.Body.String()) {
		if strings.HasPrefix(line, "carillon_events_published_total") {
			fmt.Print(line)
		}
	}
	// Output:
	// carillon_events_published_total{app="shop",source="client"} 0
	// carillon_events_published_total{app="shop",source="server"} 1
}
