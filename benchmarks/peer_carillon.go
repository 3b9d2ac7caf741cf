package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/transport/websocket"
)

// The app that Carillon's clients connect to.
const (
	carillonApp    = "1"
	carillonKey    = "app-key"
	carillonSecret = "app-secret"
)

// carillonEvent is the name of the events that are published.
const carillonEvent = "message"

// carillonServer is this project with its defaults.
type carillonServer struct {
	broker  *broker.Broker
	app     *broker.App
	handler http.Handler
}

func newCarillon(o peerOptions) (*carillonServer, error) {
	app := pusher.App{ID: carillonApp, Key: carillonKey, Secret: carillonSecret}
	if o.freely {
		app.Limits.ClientEventsPerSecond = -1
	}
	apps, err := pusher.NewApps(app)
	if err != nil {
		return nil, err
	}
	b, err := broker.New(broker.WithDrainWindow(0), broker.WithChannelRules(carillonRules(o.rules)...))
	if err != nil {
		return nil, err
	}
	// No peer pings while it is measured.
	opts := []pusher.Option{pusher.WithActivityTimeout(time.Hour)}
	if o.deflate {
		opts = append(opts, pusher.WithWebSocket(websocket.WithCompression(1)))
	}
	h, err := pusher.NewHandler(b, apps, opts...)
	if err != nil {
		return nil, err
	}
	return &carillonServer{broker: b, app: b.App(carillonApp), handler: h}, nil
}

// carillonRules are so many rules of which the last one matches any channel.
func carillonRules(n int) []broker.ChannelRule {
	rules := make([]broker.ChannelRule, n)
	for i := range rules {
		rules[i].Pattern = fmt.Sprintf("presence-[0-9]*-room-%d-*", i)
	}
	if n > 0 {
		rules[n-1].Pattern = "*"
	}
	return rules
}

// Handler implements peer.
func (s *carillonServer) Handler() http.Handler { return s.handler }

// Publish implements peer.
func (s *carillonServer) Publish(channel string, data []byte) error {
	_, err := s.app.Publish(context.Background(), channel, carillonEvent, data)
	return err
}

// Close implements peer.
func (s *carillonServer) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.broker.Shutdown(ctx)
}
