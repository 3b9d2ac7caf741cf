package main

import (
	"net/http"
	"time"

	"github.com/olahol/melody"
)

// melodyServer is olahol/melody, which writes with gorilla/websocket.
type melodyServer struct {
	melody *melody.Melody
	conns  *subscribers[*melody.Session]
}

func newMelody() *melodyServer {
	m := melody.New()
	// Its default of 256 would lose messages of the burst.
	m.Config.MessageBufferSize = queueLength
	// No peer pings while it is measured.
	m.Config.PingPeriod, m.Config.PongWait = time.Hour, 2*time.Hour
	s := &melodyServer{melody: m, conns: newSubscribers[*melody.Session]()}
	m.HandleConnect(func(c *melody.Session) {
		s.conns.add(c.Request.URL.Query().Get("channel"), c)
		_ = c.Write([]byte(subscribed))
	})
	m.HandleDisconnect(func(c *melody.Session) {
		s.conns.remove(c.Request.URL.Query().Get("channel"), c)
	})
	return s
}

// Handler implements peer.
func (s *melodyServer) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = s.melody.HandleRequest(w, r)
	})
}

// Publish implements peer. It is what Melody.BroadcastMultiple does, with the
// list of sessions under a lock.
func (s *melodyServer) Publish(channel string, data []byte) error {
	var failed error
	s.conns.each(channel, func(c *melody.Session) {
		if err := c.Write(data); err != nil {
			failed = err
		}
	})
	return failed
}

// Close implements peer.
func (s *melodyServer) Close() { _ = s.melody.Close() }
