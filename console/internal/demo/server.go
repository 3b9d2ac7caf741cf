package main

import (
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/console"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
	"github.com/carillon-rt/carillon/storage/storagetest"
)

// server is the broker with its console, and the receivers of its webhooks.
type server struct {
	http.Handler
	config
	broker  *broker.Broker
	handler *pusher.Handler
	console *console.Console
	app     *pusher.App
	down    atomic.Bool // the store fails
	random  *rand.Rand  // for the goroutine of traffic
	base    string
}

var errDown = errors.New("connection refused: the database does not answer")

func newServer(c config, log *slog.Logger, base string) (*server, error) {
	s := &server{config: c, base: base, random: rand.New(rand.NewPCG(c.seed, 0))}
	options := []console.Option{console.WithLogger(log), console.WithApps(
		console.App{ID: "1", Name: "Shop", Key: "app-key", Secret: "app-secret-of-the-demo", URL: base},
		console.App{ID: "2", Name: "<b>Other</b> app"})}
	if c.forbid {
		options = append(options, console.WithAuthorization(func(*http.Request) error { return errors.New("nobody may") }))
	} else {
		options = append(options, console.WithToken(c.token))
	}
	if c.readOnly {
		options = append(options, console.WithReadOnly())
	}
	if c.redact {
		options = append(options, console.WithRedact())
	}
	var err error
	if s.console, err = console.New(options...); err != nil {
		return nil, err
	}
	limits, err := ratelimit.New(nil, ratelimit.Rule{Name: "hot events", Action: ratelimit.Publish, Limit: ratelimit.Limit{Rate: 0.2, Burst: 1},
		Match: func(r ratelimit.Request) bool { return strings.HasPrefix(r.Channel, "limited-") }})
	if err != nil {
		return nil, err
	}
	var store storage.History = memory.New()
	if c.storeDown {
		store = storagetest.NewFaults(store, func(storagetest.Call) storagetest.Fault {
			if s.down.Load() {
				return storagetest.Fault{Err: errDown}
			}
			return storagetest.Fault{}
		})
	}
	s.broker, err = broker.New(broker.WithObserver(s.console), broker.WithLogger(log), broker.WithHistory(store), broker.WithRateLimits(limits),
		broker.WithChannelRules(
			broker.ChannelRule{Pattern: "room-*", History: broker.Retention{Events: 500, Age: time.Hour}, Rewind: 5},
			broker.ChannelRule{Pattern: "presence-room-*", History: broker.Retention{Events: 100}, LeaveGrace: 3 * time.Second},
			broker.ChannelRule{Pattern: "small-*", MaxSubscribers: 1, Publishers: broker.OnlyServer},
		))
	if err != nil {
		return nil, err
	}
	s.app = &pusher.App{ID: "1", Key: "app-key", Secret: "app-secret-of-the-demo", Limits: pusher.DefaultLimits,
		EncryptionMasterKey: []byte("0123456789abcdef0123456789abcdef")}
	s.app.Limits.ChannelsPerConnection, s.app.Limits.SubscribesPerSecond = 0, 0
	if !c.noWebhooks {
		s.app.Webhooks = []pusher.Webhook{
			{URL: base + "/receiver/ok?secret=hunter2", Batch: true},
			{URL: base + "/receiver/fails", Events: []string{pusher.WebhookMemberAdded, pusher.WebhookMemberRemoved}},
			{URL: base + "/receiver/sometimes", Events: []string{pusher.WebhookClientEvent}, Batch: true},
		}
	}
	apps, err := pusher.NewApps(*s.app, pusher.App{ID: "2", Key: "other-key", Secret: "other-secret-of-the-demo"})
	if err != nil {
		return nil, err
	}
	if s.handler, err = pusher.NewHandler(s.broker, apps); err != nil {
		return nil, err
	}
	if err := s.console.Attach(s.broker, s.handler); err != nil {
		return nil, err
	}
	s.down.Store(c.storeDown)
	mux := http.NewServeMux()
	mux.Handle("/", s.handler)
	mux.Handle("/console/", http.StripPrefix("/console", s.console))
	mux.HandleFunc("/receiver/", receive())
	s.Handler = mux
	return s, nil
}

// receive takes webhooks, or not, as the end of the path says.
func receive() http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch {
		case strings.HasSuffix(r.URL.Path, "/fails"):
			http.Error(w, "out of order", http.StatusInternalServerError)
		case strings.HasSuffix(r.URL.Path, "/sometimes") && n.Add(1)%2 == 1:
			http.Error(w, "busy", http.StatusServiceUnavailable)
		default:
			w.WriteHeader(http.StatusOK)
		}
	}
}
