package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
)

// serveMetrics serves what stats returns, by the names of its parts, at /metrics
// of an address of its own, until stop is called.
func serveMetrics(addr string, log *slog.Logger, stats func() map[string]any) (stop func(), err error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("-metrics %s: %w", addr, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		parts := stats()
		for _, name := range slices.Sorted(maps.Keys(parts)) {
			writeMetrics(w, "carillon_"+name, reflect.ValueOf(parts[name]))
		}
	})
	srv := &http.Server{Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	log.Info("serving metrics", "url", fmt.Sprintf("http://%s/metrics", listener.Addr()))
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(listener)
	}()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if srv.Shutdown(ctx) != nil {
			_ = srv.Close()
		}
		<-served
	}, nil
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
