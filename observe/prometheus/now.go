package prometheus

import (
	"net/http"

	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/carillon-rt/carillon/broker"
)

func desc(name, help string, labels ...string) *prom.Desc {
	return prom.NewDesc("carillon_"+name, help, labels, nil)
}

// What is read of the broker when it is asked for.
var (
	sessionsNow = desc("sessions", "Sessions there are now.", "app")
	channelsNow = desc("channels", "Channels that have clients now.", "app")
	ofStats     = []struct {
		desc  *prom.Desc
		kind  prom.ValueType
		value func(*broker.Stats) int64
	}{
		{desc("in_process_subscriptions", "In-process subscriptions there are now."), prom.GaugeValue, func(s *broker.Stats) int64 { return s.InProcessSubscriptions }},
		{desc("queued_bytes", "Bytes that wait in queues which are not nearly empty."), prom.GaugeValue, func(s *broker.Stats) int64 { return s.QueuedBytes }},
		{desc("queue_budget_cuts_total", "Queues cut off because all together held more than the budget."), prom.CounterValue, func(s *broker.Stats) int64 { return s.BudgetCuts }},
		{desc("in_process_slow_total", "In-process subscriptions that ended since they fell behind."), prom.CounterValue, func(s *broker.Stats) int64 { return s.SlowInProcess }},
		{desc("store_panics_total", "Calls of stores that panicked."), prom.CounterValue, func(s *broker.Stats) int64 { return s.StorePanics }},
		{desc("store_timeouts_total", "Calls of stores that took too long."), prom.CounterValue, func(s *broker.Stats) int64 { return s.StoreTimeouts }},
		{desc("hook_calls_dropped_total", "Calls of informing hooks that were never made."), prom.CounterValue, func(s *broker.Stats) int64 { return s.HooksDropped }},
		{desc("hook_panics_total", "Panics of hooks, ciphers and functions of rate limits."), prom.CounterValue, func(s *broker.Stats) int64 { return s.HookPanics }},
		{desc("observer_panics_total", "Panics of observers."), prom.CounterValue, func(s *broker.Stats) int64 { return s.ObserverPanics }},
	}
)

func (m *Metrics) describeNow(ch chan<- *prom.Desc) {
	ch <- sessionsNow
	ch <- channelsNow
	for i := range ofStats {
		ch <- ofStats[i].desc
	}
}

// collectNow reads what there is now. Apps without a session have no figures.
func (m *Metrics) collectNow(ch chan<- prom.Metric) {
	sessions, channels := make(map[string]int), make(map[string]int)
	for _, id := range m.broker.Apps() {
		app, label := m.broker.App(id), m.find(id).label
		sessions[label] += app.SessionCount()
		channels[label] += app.ChannelCount()
	}
	for label, n := range sessions {
		ch <- prom.MustNewConstMetric(sessionsNow, prom.GaugeValue, float64(n), label)
		ch <- prom.MustNewConstMetric(channelsNow, prom.GaugeValue, float64(channels[label]), label)
	}
	stats := m.broker.Stats()
	for i := range ofStats {
		s := &ofStats[i]
		ch <- prom.MustNewConstMetric(s.desc, s.kind, float64(s.value(&stats)))
	}
}

// Handler serves the metrics, and those of the Go runtime and of the process, for programs
// that have no registry of their own. It asks nobody who they are: serve it where only
// those reach it who may.
func (m *Metrics) Handler() http.Handler {
	registry := prom.NewRegistry()
	registry.MustRegister(m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}
