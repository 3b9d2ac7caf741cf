package otel_test

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	api "go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	sent "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/observe/otel"
	"github.com/carillon-rt/carillon/pusher"
)

// system is a broker with an HTTP API, whose spans go to a processor.
type system struct {
	broker  *broker.Broker
	handler *pusher.Handler
	app     *pusher.App
	hook    func(context.Context)
}

func newSystem(t *testing.T, processor trace.SpanProcessor, opts ...otel.Option) *system {
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(processor))
	tracer, err := otel.New(provider, opts...)
	require.NoError(t, err)
	s := &system{app: &pusher.App{ID: "1", Key: "key", Secret: "secret"}}
	s.broker, err = broker.New(broker.WithObserver(tracer), broker.WithLogger(slog.New(slog.DiscardHandler)),
		broker.WithChannelRules(broker.ChannelRule{Pattern: "kept", History: broker.Retention{Events: 5}},
			broker.ChannelRule{Pattern: "shut", Publishers: broker.OnlyClients}),
		broker.WithHooks(broker.Hooks{Publish: func(ctx context.Context, _ *broker.PublishRequest) error {
			if s.hook != nil {
				s.hook(ctx)
			}
			return nil
		}}))
	require.NoError(t, err)
	apps, err := pusher.NewApps(*s.app)
	require.NoError(t, err)
	s.handler, err = pusher.NewHandler(s.broker, apps)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, s.broker.Shutdown(context.Background()))
		require.NoError(t, provider.Shutdown(context.Background()))
	})
	return s
}

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// post makes a signed request to the API, as part of a trace.
func (s *system) post(t *testing.T, path, body string) int {
	t.Helper()
	query := url.Values{"auth_key": {s.app.Key}, "auth_timestamp": {strconv.FormatInt(time.Now().Unix(), 10)}, "auth_version": {"1.0"},
		"body_md5": {fmt.Sprintf("%x", md5.Sum([]byte(body)))}}.Encode()
	sum := hmac.New(sha256.New, []byte(s.app.Secret))
	sum.Write([]byte("POST\n" + path + "\n" + query))
	r := httptest.NewRequest(http.MethodPost, path+"?"+query+"&auth_signature="+hex.EncodeToString(sum.Sum(nil)), strings.NewReader(body))
	r.Header.Set("traceparent", traceparent)
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w.Code
}

func TestARequestIsATraceOfItsCallers(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	s := newSystem(t, recorder)
	var inHook api.SpanContext
	s.hook = func(ctx context.Context) { inHook = api.SpanContextFromContext(ctx) }
	require.Equal(t, 200, s.post(t, "/apps/1/events", `{"name":"m","data":"x","channel":"kept"}`))
	spans := byName(recorder.Ended())
	require.Len(t, spans, 4)
	request, publish, store, handOut := spans["POST /events"], spans["publish"], spans["history append"], spans["hand out"]
	assert.Equal(t, "0af7651916cd43dd8448eb211c80319c", request.SpanContext().TraceID().String())
	assert.Equal(t, "b7ad6b7169203331", request.Parent().SpanID().String())
	assert.True(t, request.Parent().IsRemote())
	assert.Equal(t, api.SpanKindServer, request.SpanKind())
	assert.Equal(t, request.SpanContext().SpanID(), publish.Parent().SpanID())
	assert.Equal(t, publish.SpanContext().SpanID(), inHook.SpanID(), "hooks are part of the publish")
	assert.Equal(t, publish.SpanContext().SpanID(), store.Parent().SpanID())
	assert.Equal(t, publish.SpanContext().SpanID(), handOut.Parent().SpanID())
	assert.Equal(t, map[string]string{"carillon.app": "1", "carillon.channel": "kept", "carillon.event": "m", "carillon.bytes": "1"},
		without(attributesOf(publish), "carillon.position", "carillon.event_id"))
	assert.Contains(t, attributesOf(publish), "carillon.position")
	assert.Equal(t, "200", attributesOf(request)["http.response.status_code"])
}

func TestWhatFailsIsAnError(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	s := newSystem(t, recorder)
	require.Equal(t, 403, s.post(t, "/apps/1/events", `{"name":"m","data":"x","channel":"shut"}`))
	spans := byName(recorder.Ended())
	assert.Equal(t, codes.Error, spans["publish"].Status().Code)
	assert.Equal(t, codes.Unset, spans["POST /events"].Status().Code, "the client is to blame")
	assert.NotContains(t, spans, "hand out")
}

func TestABatchHasASpanForEachEvent(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	s := newSystem(t, recorder)
	require.Equal(t, 200, s.post(t, "/apps/1/batch_events", `{"batch":[{"name":"m","data":"x","channel":"kept"},{"name":"m","data":"x","channel":"room"}]}`))
	publishes := 0
	for _, span := range recorder.Ended() {
		if span.Name() == "publish" {
			publishes++
			assert.Contains(t, []string{"kept", "room"}, attributesOf(span)["carillon.channel"])
		}
	}
	assert.Equal(t, 2, publishes)
}

func TestNoEventOfABatchThatFailsIsASuccess(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	s := newSystem(t, recorder)
	require.Equal(t, 403, s.post(t, "/apps/1/batch_events", `{"batch":[{"name":"m","data":"x","channel":"kept"},{"name":"m","data":"x","channel":"shut"},{"name":"m","data":"x","channel":"room"}]}`))
	publishes := 0
	for _, span := range recorder.Ended() {
		if span.Name() == "publish" {
			publishes++
			assert.Equal(t, codes.Error, span.Status().Code, attributesOf(span)["carillon.channel"])
		}
	}
	assert.Equal(t, 3, publishes)
}

func TestWhatBelongsToNoTraceHasNoSpanOfAStore(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	s := newSystem(t, recorder)
	_, err := s.broker.App("1").Latest(t.Context(), "kept")
	require.NoError(t, err)
	assert.Empty(t, recorder.Ended())
}

func TestNamesMayBeLeftOut(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	s := newSystem(t, recorder, otel.WithoutNames())
	require.Equal(t, 200, s.post(t, "/apps/1/events", `{"name":"hush","data":"x","channel":"kept"}`))
	for _, span := range recorder.Ended() {
		for key, value := range attributesOf(span) {
			assert.NotContains(t, []string{"hush", "kept"}, value, key)
		}
	}
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	_, err := otel.New(nil)
	require.Error(t, err)
	_, err = otel.New(trace.NewTracerProvider(), otel.WithPropagator(nil))
	require.Error(t, err)
}

// collecting is an OTLP collector.
type collecting struct {
	mu    sync.Mutex
	spans []*sent.Span // guarded by mu
}

func (c *collecting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var request collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &request)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		http.Error(w, "not a trace", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range request.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
}

func TestSpansArriveAtACollector(t *testing.T) {
	spans := new(collecting)
	server := httptest.NewServer(spans)
	defer server.Close()
	exporter, err := otlptracehttp.New(t.Context(), otlptracehttp.WithEndpointURL(server.URL+"/v1/traces"),
		otlptracehttp.WithCompression(otlptracehttp.NoCompression))
	require.NoError(t, err)
	s := newSystem(t, trace.NewSimpleSpanProcessor(exporter))
	require.Equal(t, 200, s.post(t, "/apps/1/events", `{"name":"m","data":"x","channel":"kept"}`))
	spans.mu.Lock()
	defer spans.mu.Unlock()
	var names []string
	for _, span := range spans.spans {
		names = append(names, span.Name)
		assert.Equal(t, "\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c", string(span.TraceId))
		assert.LessOrEqual(t, span.StartTimeUnixNano, span.EndTimeUnixNano)
	}
	assert.ElementsMatch(t, []string{"history append", "hand out", "publish", "POST /events"}, names)
}

func byName(spans []trace.ReadOnlySpan) map[string]trace.ReadOnlySpan {
	named := make(map[string]trace.ReadOnlySpan)
	for _, span := range spans {
		named[span.Name()] = span
	}
	return named
}

func attributesOf(span trace.ReadOnlySpan) map[string]string {
	all := make(map[string]string)
	for _, a := range span.Attributes() {
		all[string(a.Key)] = a.Value.String()
	}
	return all
}

func without(all map[string]string, keys ...string) map[string]string {
	for _, key := range keys {
		delete(all, key)
	}
	return all
}
