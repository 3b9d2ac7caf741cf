package prometheus

import prom "github.com/prometheus/client_golang/prometheus"

// latencies are the buckets of histograms, in seconds: 50 µs to 10 s.
var latencies = []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// durations are those of how long sessions last, in seconds: a second to a day.
var durations = []float64{1, 10, 60, 300, 900, 3600, 4 * 3600, 24 * 3600}

// vectors are the metrics with labels.
type vectors struct {
	opened, closed, refused, slow            *prom.CounterVec
	lasted                                   *prom.HistogramVec
	subscribed, unsubscribed, unsubscribable *prom.CounterVec
	subscribing                              *prom.HistogramVec
	requestsRefused                          *prom.CounterVec
	received, receivedBytes                  *prom.CounterVec
	published, publishedBytes, delivered     *prom.CounterVec
	publishing, fanOut                       *prom.HistogramVec
	publishRefused, fanOutDropped, gaps      *prom.CounterVec
	joined, left, online, offline            *prom.CounterVec
	storeCalls                               *prom.HistogramVec
	storeFailed                              *prom.CounterVec
	apiRequests                              *prom.CounterVec
	apiTimes                                 *prom.HistogramVec
	webhooks, webhooksDropped                *prom.CounterVec
	webhookTimes                             *prom.HistogramVec
	overflow                                 prom.Counter
}

// makeVectors makes all metrics that count what is observed.
func (m *Metrics) makeVectors() {
	counter := func(name, help string, labels ...string) *prom.CounterVec {
		c := prom.NewCounterVec(prom.CounterOpts{Namespace: "carillon", Name: name, Help: help}, labels)
		m.all = append(m.all, c)
		return c
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prom.HistogramVec {
		h := prom.NewHistogramVec(prom.HistogramOpts{Namespace: "carillon", Name: name, Help: help, Buckets: buckets}, labels)
		m.all = append(m.all, h)
		return h
	}
	v := &m.vectors
	v.opened = counter("sessions_opened_total", "Clients that have connected.", "app", "transport")
	v.closed = counter("sessions_closed_total", "Sessions that have ended, by close code.", "app", "code")
	v.refused = counter("sessions_refused_total", "Clients that were refused.", "app", "reason")
	v.slow = counter("sessions_slow_total", "Clients cut off because more waited for them than may.", "app")
	v.lasted = histogram("session_duration_seconds", "How long sessions lasted.", durations, "app")
	v.subscribed = counter("subscriptions_opened_total", "Subscriptions of clients, by how they began.", "app", "start")
	v.unsubscribed = counter("subscriptions_closed_total", "Subscriptions of clients that have ended.", "app")
	v.unsubscribable = counter("subscriptions_refused_total", "Subscriptions of clients that have failed.", "app", "reason")
	v.subscribing = histogram("subscribe_duration_seconds", "From the request to the last of what a subscription begins with.", latencies, "app")
	v.requestsRefused = counter("requests_refused_total", "Requests refused, other than to subscribe or to publish.", "app", "action", "reason")
	v.received = counter("messages_received_total", "Messages of clients.", "app")
	v.receivedBytes = counter("messages_received_bytes_total", "Bytes of messages of clients.", "app")
	v.published = counter("events_published_total", "Events handed out on this node.", "app", "source")
	v.publishedBytes = counter("events_published_bytes_total", "Bytes of data of events handed out on this node.", "app")
	v.delivered = counter("events_delivered_total", "Events handed out, once for each subscriber.", "app")
	v.publishing = histogram("publish_duration_seconds", "From when an event was accepted until it was in every queue.", latencies, "app")
	v.publishRefused = counter("publishes_refused_total", "Events that were not published.", "app", "reason")
	v.fanOut = histogram("fan_out_duration_seconds", "From when an event was accepted until it was written to the last socket; sampled.", latencies, "app")
	v.fanOutDropped = counter("fan_out_dropped_total", "Sockets that ended before a sampled event was written to them.", "app")
	v.gaps = counter("channel_gaps_total", "How often subscribers of a channel missed stored events.", "app")
	v.joined = counter("members_joined_total", "Users who joined presence channels.", "app")
	v.left = counter("members_left_total", "Users who left presence channels.", "app")
	v.online = counter("users_online_total", "Users who went online.", "app")
	v.offline = counter("users_offline_total", "Users who went offline.", "app")
	v.storeCalls = histogram("store_call_duration_seconds", "How long calls of stores took.", latencies, "operation")
	v.storeFailed = counter("store_calls_failed_total", "Calls of stores that returned an error.", "operation")
	v.apiRequests = counter("api_requests_total", "Requests to the HTTP API.", "app", "method", "route", "status")
	v.apiTimes = histogram("api_request_duration_seconds", "How long requests to the HTTP API took.", latencies, "app", "route")
	v.webhooks = counter("webhook_requests_total", "Requests to receivers of webhooks, by result.", "app", "result")
	v.webhooksDropped = counter("webhook_events_dropped_total", "Events of webhooks that were given up.", "app")
	v.webhookTimes = histogram("webhook_request_duration_seconds", "How long receivers of webhooks took to answer.", latencies, "app")
	v.overflow = prom.NewCounter(prom.CounterOpts{Namespace: "carillon", Name: "app_overflow_total",
		Help: "Observations of apps that share the figures of \"other\"."})
	m.all = append(m.all, v.overflow)
}

// appMetrics are those metrics of an app that need no other label, found once.
type appMetrics struct {
	label                                         string
	slow, unsubscribed, received, receivedBytes   prom.Counter
	fromServer, fromClients, bytes, delivered     prom.Counter
	fanOutDropped, gaps, joined, left             prom.Counter
	online, offline, webhooksDropped              prom.Counter
	lasted, subscribing, publishing, fanOut, hook prom.Observer
}

func (v *vectors) of(app string) *appMetrics {
	return &appMetrics{
		label: app,
		slow:  v.slow.WithLabelValues(app), unsubscribed: v.unsubscribed.WithLabelValues(app),
		received: v.received.WithLabelValues(app), receivedBytes: v.receivedBytes.WithLabelValues(app),
		fromServer: v.published.WithLabelValues(app, "server"), fromClients: v.published.WithLabelValues(app, "client"),
		bytes: v.publishedBytes.WithLabelValues(app), delivered: v.delivered.WithLabelValues(app),
		fanOutDropped: v.fanOutDropped.WithLabelValues(app), gaps: v.gaps.WithLabelValues(app),
		joined: v.joined.WithLabelValues(app), left: v.left.WithLabelValues(app),
		online: v.online.WithLabelValues(app), offline: v.offline.WithLabelValues(app),
		webhooksDropped: v.webhooksDropped.WithLabelValues(app),
		lasted:          v.lasted.WithLabelValues(app), subscribing: v.subscribing.WithLabelValues(app),
		publishing: v.publishing.WithLabelValues(app), fanOut: v.fanOut.WithLabelValues(app), hook: v.webhookTimes.WithLabelValues(app),
	}
}
