package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/storage/sqlite"
	"github.com/carillon-rt/carillon/transport/websocket"
	"github.com/carillon-rt/carillon/transport/xhr"
)

// runServer is the command run.
func runServer(ctx context.Context, args []string, io stdio) error {
	c, err := readConfig(args, os.Getenv, io.out)
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if c.debug {
		level = slog.LevelDebug
	}
	return serve(ctx, c, slog.New(slog.NewTextHandler(io.err, &slog.HandlerOptions{Level: level})), func(string) {})
}

// shutdownTime is how long open connections have to end.
const shutdownTime = 20 * time.Second

// serve serves until ctx ends. It calls started with the base URL.
func serve(ctx context.Context, c config, log *slog.Logger, started func(url string)) (err error) {
	kept := []broker.Option{broker.WithLogger(log), broker.WithRateLimits(c.limits), broker.WithChannelRules(c.rules...)}
	if c.database != "" {
		store, opening := sqlite.Open(c.database)
		if opening != nil {
			return fmt.Errorf("-storage: %w", opening)
		}
		// Once the broker, which is shut down below, has written all that it has.
		defer func() { err = errors.Join(err, store.Close()) }()
		kept = append(kept, broker.WithHistory(store), broker.WithPresence(store))
	}
	b, err := broker.New(kept...)
	if err != nil {
		return err
	}
	apps, err := pusher.NewApps(c.app)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /up", func(w http.ResponseWriter, _ *http.Request) {
		if b.Draining() {
			http.Error(w, "shutting down", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	ws := []websocket.Option{websocket.WithReadLimit(c.readLimit)}
	if c.compressFrom > 0 {
		ws = append(ws, websocket.WithCompression(c.compressFrom))
	}
	options := []pusher.Option{
		pusher.WithActivityTimeout(c.activityTimeout), pusher.WithTrustedProxies(c.trustedProxies...),
		pusher.WithWebSocket(ws...), pusher.WithXHR(xhr.WithReadLimit(c.readLimit)),
	}
	if c.trustUnix {
		options = append(options, pusher.WithTrustedUnixSocket())
	}
	handler, err := pusher.NewHandler(b, apps, options...)
	if err != nil {
		return err
	}
	mux.Handle(c.prefix+"/", handler)

	listener, err := net.Listen("tcp", c.addr)
	if err != nil {
		return fmt.Errorf("-addr %s: %w", c.addr, err)
	}
	scheme := "http"
	if c.certificate != nil {
		scheme = "https"
	}
	url := fmt.Sprintf("%s://%s%s", scheme, listener.Addr(), c.prefix)
	if c.defaultSecret {
		log.Warn("PUSHER_APP_SECRET is not set: using app-secret, WHICH EVERYBODY KNOWS")
	}
	if c.metrics != "" {
		stop, err := serveMetrics(c.metrics, log, func() map[string]any {
			s := handler.Stats()
			return map[string]any{"broker": b.Stats(), "websocket": s.WebSocket, "xhr": s.XHR, "feeds": s.Feeds, "webhooks": s.Webhooks}
		})
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		defer stop()
	}
	log.Info("serving", "url", url, "app", c.app.ID, "key", c.app.Key, "origins", c.app.AllowedOrigins)
	started(url)

	srv := &http.Server{Handler: pusher.MergeSlashes(mux), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, ConnContext: pusher.ConnContext,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	if c.certificate != nil {
		srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*c.certificate}}
	}
	served := make(chan error, 1)
	go func() {
		if srv.TLSConfig != nil {
			served <- srv.ServeTLS(listener, "", "")
		} else {
			served <- srv.Serve(listener)
		}
	}()
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	log.Info("shutting down")
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if err := errors.Join(err, handler.Shutdown(ending, srv)); err != nil {
		return err
	}
	log.Info("ended", "stats", b.Stats(), "handler", handler.Stats())
	return nil
}
