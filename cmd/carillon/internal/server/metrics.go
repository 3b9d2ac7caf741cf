package server

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// metrics serves the counts of broker and handler in Prometheus' text format.
func (s *server) metrics() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		h := s.handler.Stats()
		parts := map[string]any{"broker": s.broker.Stats(), "websocket": h.WebSocket, "xhr": h.XHR, "feeds": h.Feeds, "webhooks": h.Webhooks}
		for _, name := range slices.Sorted(maps.Keys(parts)) {
			writeMetrics(w, "carillon_"+name, reflect.ValueOf(parts[name]))
		}
	})
}

// writeMetrics writes every number below v in Prometheus' text format.
func writeMetrics(w io.Writer, name string, v reflect.Value) {
	if v.Kind() != reflect.Struct {
		_, _ = fmt.Fprintf(w, "%s %v\n", name, v)
		return
	}
	for field, value := range v.Fields() {
		writeMetrics(w, name+"_"+snakeCase(field.Name), value)
	}
}

// snakeCase makes "bytes_in" of "BytesIn", and "xhr" of "XHR".
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
