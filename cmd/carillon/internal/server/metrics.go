package server

import (
	"reflect"
	"strings"
	"unicode"

	prom "github.com/prometheus/client_golang/prometheus"
)

// handlerStats are the counts of the handler's transports and webhooks, which nothing else
// has: carillon_websocket_bytes_out_total is WebSocket.BytesOut of pusher.Stats.
type handlerStats struct{ server *server }

// Describe implements prometheus.Collector. What there is is told by Collect.
func (handlerStats) Describe(chan<- *prom.Desc) {}

// Collect implements prometheus.Collector.
func (h handlerStats) Collect(ch chan<- prom.Metric) {
	stats := h.server.handler.Stats()
	for _, part := range []struct {
		name  string
		stats any
	}{{"WebSocket", stats.WebSocket}, {"XHR", stats.XHR}, {"Feeds", stats.Feeds}, {"Webhooks", stats.Webhooks}} {
		for field, value := range reflect.ValueOf(part.stats).Fields() {
			if !value.CanInt() {
				continue
			}
			name, kind := "carillon_"+strings.ToLower(part.name)+"_"+snakeCase(field.Name), prom.GaugeValue
			if !now[field.Name] {
				name, kind = name+"_total", prom.CounterValue
			}
			desc := prom.NewDesc(name, part.name+"."+field.Name+" of pusher.Stats.", nil, nil)
			ch <- prom.MustNewConstMetric(desc, kind, float64(value.Int()))
		}
	}
}

// now are the fields of pusher.Stats that say how much there is; all others only grow.
var now = map[string]bool{"Open": true, "Sessions": true, "Connections": true, "Pending": true}

// snakeCase makes "bytes_in" of "BytesIn".
func snakeCase(s string) string {
	var b strings.Builder
	lower := false
	for _, r := range s {
		if unicode.IsUpper(r) && lower {
			b.WriteByte('_')
		}
		lower = unicode.IsLower(r)
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
