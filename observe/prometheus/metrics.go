// Package prometheus gives Prometheus what a broker does: counters, gauges and histograms,
// by app.
//
//	b, err := broker.New()
//	// …
//	metrics, err := prometheus.New(b)
//	// …
//	registry.MustRegister(metrics)
//
// Metrics.Handler serves them by themselves. dashboard.json, in this folder, is a Grafana
// dashboard of them.
//
// # Metrics
//
// Names of channels, events and users are never labels: there may be any number of them.
// The label app is one of the first apps that anything was observed of, see WithMaxApps;
// further ones share "other". "none" is what belongs to no app, "unknown" a request that
// names an app that there is not.
//
//	name                                              labels
//	carillon_sessions                                 app
//	carillon_channels                                 app
//	carillon_in_process_subscriptions
//	carillon_queued_bytes                             what waits in queues that are not nearly empty
//	carillon_sessions_opened_total                    app, transport
//	carillon_sessions_closed_total                    app, code: one of the protocols', or "other"
//	carillon_sessions_refused_total                   app, reason
//	carillon_sessions_slow_total                      app: cut off, having fallen behind
//	carillon_session_duration_seconds                 app
//	carillon_subscriptions_opened_total               app, start: fresh, resumed or gap
//	carillon_subscriptions_closed_total               app
//	carillon_subscriptions_refused_total              app, reason
//	carillon_subscribe_duration_seconds               app
//	carillon_requests_refused_total                   app, action, reason
//	carillon_messages_received_total                  app: from clients
//	carillon_messages_received_bytes_total            app
//	carillon_events_published_total                   app, source: server or client
//	carillon_events_published_bytes_total             app
//	carillon_events_delivered_total                   app: an event counts once for each subscriber
//	carillon_publish_duration_seconds                 app: until it is in every queue
//	carillon_publishes_refused_total                  app, reason
//	carillon_fan_out_duration_seconds                 app: of sampled events, until the last socket
//	carillon_fan_out_dropped_total                    app: sockets of those that ended before
//	carillon_channel_gaps_total                       app
//	carillon_members_joined_total, _left_total        app
//	carillon_users_online_total, _offline_total       app
//	carillon_store_call_duration_seconds              operation
//	carillon_store_calls_failed_total                 operation
//	carillon_store_panics_total, _timeouts_total
//	carillon_api_requests_total                       app, method, route, status
//	carillon_api_request_duration_seconds             app, route
//	carillon_webhook_requests_total                   app, result: 2xx … 5xx, or failed
//	carillon_webhook_request_duration_seconds         app
//	carillon_webhook_events_dropped_total             app
//	carillon_hook_calls_dropped_total
//	carillon_hook_panics_total, carillon_observer_panics_total
//	carillon_in_process_slow_total                    in-process subscriptions that fell behind
//	carillon_queue_budget_cuts_total                  queues cut off for the memory of all
//	carillon_app_overflow_total                       what was counted under "other"
//
// Times are in seconds, sizes in bytes. The label reason is "limited", "unauthorized",
// "invalid", "refused", "quota", "shutdown", "closed", "store", "canceled" or "other".
package prometheus

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/carillon-rt/carillon/broker"
)

// Metrics are those of one broker: a prometheus.Collector, and an Observer of it. It is safe
// for concurrent use.
type Metrics struct {
	broker  *broker.Broker
	options options
	vectors vectors
	all     []prom.Collector
	apps    sync.Map // of *appMetrics, by app
	mu      sync.Mutex
	named   int                        // guarded by mu: how many apps have figures of their own
	other   atomic.Pointer[appMetrics] // nil until an app has to share
	asked   atomic.Uint64              // for samples
}

// New returns the metrics of a broker, which it observes from now on: call it before the
// broker is used.
func New(b *broker.Broker, opts ...Option) (*Metrics, error) {
	if b == nil {
		return nil, errors.New("prometheus: broker is nil")
	}
	m := &Metrics{broker: b, options: options{maxApps: DefaultMaxApps, sample: DefaultSample}}
	for _, opt := range opts {
		if err := opt(&m.options); err != nil {
			return nil, err
		}
	}
	m.makeVectors()
	return m, b.AddObserver(m)
}

// of returns the figures of an app that something was observed of.
func (m *Metrics) of(app string) *appMetrics {
	a := m.find(app)
	if a == m.other.Load() {
		m.vectors.overflow.Inc()
	}
	return a
}

// find returns the figures of an app.
func (m *Metrics) find(app string) *appMetrics {
	if a, known := m.apps.Load(app); known {
		return a.(*appMetrics)
	}
	if other := m.other.Load(); other != nil {
		return other
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if a, known := m.apps.Load(app); known {
		return a.(*appMetrics)
	}
	if m.named == m.options.maxApps {
		if m.other.Load() == nil {
			m.other.Store(m.vectors.of("other"))
		}
		return m.other.Load()
	}
	a := m.vectors.of(label(app))
	m.named++
	m.apps.Store(app, a)
	return a
}

// label is the name of an app as a label, which has to be UTF-8. What belongs to none has a
// name of its own.
func label(app string) string {
	if app == "" {
		return "none"
	}
	return strings.ToValidUTF8(app, "\uFFFD")
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prom.Desc) {
	for _, c := range m.all {
		c.Describe(ch)
	}
	m.describeNow(ch)
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prom.Metric) {
	for _, c := range m.all {
		c.Collect(ch)
	}
	m.collectNow(ch)
}
