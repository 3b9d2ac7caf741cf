package main

import (
	"net/http"

	"github.com/lxzan/gws"
)

// gwsServer is lxzan/gws with its Broadcaster, which frames a message once.
type gwsServer struct {
	gws.BuiltinEventHandler
	upgrader *gws.Upgrader
	conns    *subscribers[*gws.Conn]
}

func newGWS() *gwsServer {
	s := &gwsServer{conns: newSubscribers[*gws.Conn]()}
	s.upgrader = gws.NewUpgrader(s, &gws.ServerOption{})
	return s
}

// gwsChannel is the key under which a connection's session holds its channel.
const gwsChannel = "channel"

// Handler implements peer.
func (s *gwsServer) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := s.upgrader.Upgrade(w, r)
		if err != nil {
			return
		}
		c.Session().Store(gwsChannel, r.URL.Query().Get("channel"))
		go c.ReadLoop()
	})
}

// OnOpen implements gws.Event.
func (s *gwsServer) OnOpen(c *gws.Conn) {
	s.conns.add(channelOf(c), c)
	_ = c.WriteString(subscribed)
}

// OnClose implements gws.Event.
func (s *gwsServer) OnClose(c *gws.Conn, _ error) { s.conns.remove(channelOf(c), c) }

func channelOf(c *gws.Conn) string {
	v, _ := c.Session().Load(gwsChannel)
	channel, _ := v.(string)
	return channel
}

// Publish implements peer.
func (s *gwsServer) Publish(channel string, data []byte) error {
	b := gws.NewBroadcaster(gws.OpcodeText, data)
	defer func() { _ = b.Close() }()
	var failed error
	s.conns.each(channel, func(c *gws.Conn) {
		if err := b.Broadcast(c); err != nil {
			failed = err
		}
	})
	return failed
}

// Close implements peer.
func (s *gwsServer) Close() {
	for _, c := range s.conns.all() {
		_ = c.NetConn().Close()
	}
}
