package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/centrifugal/centrifuge"
)

// Limits of centrifuge that are raised so that nothing is lost: its defaults
// are 1 MiB and one second.
const (
	centrifugeQueueBytes   = 16 << 20
	centrifugeWriteTimeout = 10 * time.Second
)

// presencePrefix is how a channel with members is named, on all peers that know
// members.
const presencePrefix = "presence-"

// centrifugeServer is the library that Centrifugo is made of, over JSON.
type centrifugeServer struct {
	node    *centrifuge.Node
	handler http.Handler
}

func newCentrifuge(o peerOptions) (*centrifugeServer, error) {
	node, err := centrifuge.New(centrifuge.Config{
		LogLevel:           centrifuge.LogLevelNone,
		ClientQueueMaxSize: centrifugeQueueBytes,
	})
	if err != nil {
		return nil, err
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{}}, nil
	})
	node.OnConnect(func(c *centrifuge.Client) {
		c.OnSubscribe(func(e centrifuge.SubscribeEvent, answer centrifuge.SubscribeCallback) {
			members := strings.HasPrefix(e.Channel, presencePrefix)
			answer(centrifuge.SubscribeReply{Options: centrifuge.SubscribeOptions{
				EmitPresence: members, EmitJoinLeave: members, PushJoinLeave: members,
			}}, nil)
		})
		c.OnPresence(func(_ centrifuge.PresenceEvent, answer centrifuge.PresenceCallback) {
			answer(centrifuge.PresenceReply{}, nil)
		})
	})
	if err := node.Run(); err != nil {
		return nil, fmt.Errorf("run node: %w", err)
	}
	config := centrifuge.WebsocketConfig{
		CheckOrigin:  func(*http.Request) bool { return true },
		WriteTimeout: centrifugeWriteTimeout,
		Compression:  o.deflate,
		// No peer pings while it is measured.
		PingPongConfig: centrifuge.PingPongConfig{PingInterval: -1, PongTimeout: -1},
	}
	if o.deflate {
		// Else it deflates a message again for each subscriber.
		config.CompressionLevel = 1
		config.CompressionPreparedMessageCacheSize = 1 << 20
	}
	return &centrifugeServer{node: node, handler: centrifuge.NewWebsocketHandler(node, config)}, nil
}

// Handler implements peer.
func (s *centrifugeServer) Handler() http.Handler { return s.handler }

// Publish implements peer.
func (s *centrifugeServer) Publish(channel string, data []byte) error {
	_, err := s.node.Publish(channel, data)
	return err
}

// Close implements peer.
func (s *centrifugeServer) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.node.Shutdown(ctx)
}
