// Package server is the server that carillon runs: the broker and its handler for the
// apps of a configuration, on sockets that outlive the process, with pages for health
// and an address for operators. What it is told is package config's.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/cmd/carillon/internal/config"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage/sqlite"
	"github.com/carillon-rt/carillon/transport/sse"
	"github.com/carillon-rt/carillon/transport/websocket"
	"github.com/carillon-rt/carillon/transport/xhr"
)

// server is one that runs, or is about to.
type server struct {
	// config is what it was started with, current what has taken effect since: only the
	// goroutine that reads the configuration again touches that.
	config, current *config.Config
	log             *slog.Logger
	level           *slog.LevelVar
	apps            apps
	broker          *broker.Broker
	handler         *pusher.Handler
	health          health
	intake          intake
	// store is what keeps history and members; nil for the memory of this process.
	store       *sqlite.Store
	certificate *certificate // nil without TLS

	http      *http.Server
	listeners []socket
	admin     *admin // nil without an address for it
	served    chan error
}

// open makes all of a server but its sockets.
func open(c *config.Config, log *slog.Logger, level *slog.LevelVar) (*server, error) {
	s := &server{config: c, current: c, log: log, level: level}
	if err := s.build(); err != nil {
		return nil, errors.Join(err, s.closeStore())
	}
	return s, nil
}

func (s *server) build() (err error) {
	c, log := s.config, s.log
	if err := s.apps.set(c.PusherApps); err != nil {
		return err
	}
	if c.TLS.Cert != "" {
		if s.certificate, err = loadCertificate(c.TLS.Cert, c.TLS.Key, log); err != nil {
			return fmt.Errorf("tls.cert and tls.key: %w", err)
		}
	}
	if err := s.openStore(); err != nil {
		return err
	}
	options, err := s.brokerOptions()
	if err != nil {
		return err
	}
	if s.broker, err = broker.New(options...); err != nil {
		return err
	}
	if s.handler, err = pusher.NewHandler(s.broker, &s.apps, s.handlerOptions()...); err != nil {
		return err
	}
	s.health = health{broker: s.broker, log: log}
	if s.store != nil {
		s.health.store = s.store
	}
	s.http = &http.Server{
		Handler:           s.intake.wrap(pusher.MergeSlashes(s.routes())),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ConnContext: s.intake.connContext, ConnState: s.intake.connState,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	if s.certificate != nil {
		s.http.TLSConfig = &tls.Config{GetCertificate: s.certificate.get, MinVersion: tls.VersionTLS12}
	}
	return nil
}

func (s *server) openStore() error {
	file, ok := strings.CutPrefix(s.config.Storage, "sqlite:")
	if !ok {
		return nil
	}
	q := &s.config.SQLite
	options := []sqlite.Option{sqlite.WithBusyTimeout(q.BusyTimeout), sqlite.WithReaders(q.Readers),
		sqlite.WithQueue(q.QueueEvents, q.QueueBytes), sqlite.WithForgetAfter(q.ForgetAfter), sqlite.WithLastSeenLimit(q.LastSeenLimit),
		sqlite.WithLogger(s.log)}
	if q.Search {
		options = append(options, sqlite.WithSearch())
	}
	store, err := sqlite.Open(file, options...)
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	s.store = store
	return nil
}

func (s *server) closeStore() error {
	if s.store == nil {
		return nil
	}
	return s.store.Close()
}

func (s *server) brokerOptions() ([]broker.Option, error) {
	c := s.config
	limits, err := ratelimit.New(nil, c.Rates...)
	if err != nil {
		return nil, err
	}
	names := &c.AmendmentNames
	options := []broker.Option{
		broker.WithLogger(s.log), broker.WithRateLimits(limits), broker.WithChannelRules(c.ChannelRules...),
		broker.WithStoreTimeout(c.StorageTimeout), broker.WithNode(c.Node),
		broker.WithAmendmentNames(broker.AmendmentNames{Edited: names.Edited, Retracted: names.Retracted, Appended: names.Appended}),
	}
	if c.Limits.QueueBudget > 0 {
		options = append(options, broker.WithQueueBudget(int64(c.Limits.QueueBudget)))
	}
	if c.IsSet(&c.DrainWindow) {
		options = append(options, broker.WithDrainWindow(c.DrainWindow))
	}
	if s.store != nil {
		options = append(options, broker.WithHistory(s.store), broker.WithPresence(s.store))
	}
	return options, nil
}

func (s *server) handlerOptions() []pusher.Option {
	c, l, read := s.config, &s.config.Limits, s.config.ReadBytes()
	ws := []websocket.Option{websocket.WithReadLimit(read), websocket.WithMaxConnections(l.Connections), websocket.WithQueueLimits(l.QueueMessages, l.QueueBytes)}
	if c.CompressFrom > 0 {
		ws = append(ws, websocket.WithCompression(c.CompressFrom))
	}
	options := []pusher.Option{
		pusher.WithActivityTimeout(c.ActivityTimeout), pusher.WithTrustedProxies(c.Proxies...), pusher.WithMaxPerAddress(l.ConnectionsPerAddress),
		pusher.WithWebSocket(ws...),
		pusher.WithXHR(xhr.WithReadLimit(read), xhr.WithMaxSessions(l.FallbackSessions), xhr.WithQueueLimits(l.QueueMessages, l.QueueBytes)),
		pusher.WithFeeds(sse.WithMaxConnections(l.Feeds), sse.WithQueueLimits(l.QueueMessages, l.QueueBytes)),
	}
	if c.TrustUnix {
		options = append(options, pusher.WithTrustedUnixSocket())
	}
	return options
}

// listen opens the sockets.
func (s *server) listen(from *sockets) (err error) {
	if s.listeners, err = from.clients(s.config.Listen, s.config.Mode); err != nil {
		return err
	}
	l, err := from.admin(s.config.Admin, s.config.Mode)
	if err == nil && l != nil {
		if s.admin, err = s.newAdmin(l); err != nil {
			err = errors.Join(err, l.Close())
		}
	}
	if err != nil {
		closeAll(s.listeners)
	}
	return err
}

// start serves at all sockets.
func (s *server) start() {
	s.served = make(chan error, len(s.listeners)+1)
	for _, l := range s.listeners {
		// What comes over a Unix socket comes from a proxy on this machine.
		secure := s.certificate != nil && l.Addr().Network() != "unix"
		go func() {
			if secure {
				s.served <- s.http.ServeTLS(l, "", "")
			} else {
				s.served <- s.http.Serve(l)
			}
		}()
		s.log.Info("serving", "url", s.url(l, secure), "pid", os.Getpid())
	}
	for i := range s.config.PusherApps {
		a := &s.config.PusherApps[i]
		s.log.Info("app", "app", a.ID, "key", a.Key, "origins", a.AllowedOrigins, "enabled", !a.Disabled)
	}
	if s.admin != nil {
		s.log.Info("serving operators", "url", strings.TrimSuffix(s.url(s.admin.listener, false), s.config.Prefix))
		go func() { s.served <- s.admin.http.Serve(s.admin.listener) }()
	}
}

// url is where clients of a socket go.
func (s *server) url(l net.Listener, secure bool) string {
	switch {
	case l.Addr().Network() == "unix":
		return "unix:" + l.Addr().String()
	case secure:
		return "https://" + l.Addr().String() + s.config.Prefix
	}
	return "http://" + l.Addr().String() + s.config.Prefix
}

// lastRequests is how long, at the end, requests of backends that were let in are waited
// for before the connections of clients are closed.
const lastRequests = time.Second

// end lets requests under way be answered, closes the connections of clients so that they
// come back at once, and gives up after the time that is configured.
func (s *server) end(ctx context.Context) error {
	s.intake.closing.Store(true)
	s.health.draining.Store(true)
	closeAll(s.listeners)
	s.intake.wait(lastRequests)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.ShutdownTimeout)
	defer cancel()
	servers := []*http.Server{s.http}
	if s.admin != nil {
		s.admin.close()
		servers = append(servers, s.admin.http)
	}
	err := s.handler.Shutdown(ctx, servers...)
	// Once the broker has written all that it has.
	return errors.Join(err, s.closeStore())
}

// logger is what a configuration wants to be logged to.
func logger(c *config.Config, to io.Writer, level *slog.LevelVar) *slog.Logger {
	setLevel(c, level)
	options := &slog.HandlerOptions{Level: level}
	if c.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(to, options))
	}
	return slog.New(slog.NewTextHandler(to, options))
}

func setLevel(c *config.Config, level *slog.LevelVar) {
	// The configuration was checked: it is a level.
	_ = level.UnmarshalText([]byte(c.Log.Level))
}
