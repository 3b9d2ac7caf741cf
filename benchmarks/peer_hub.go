package main

import (
	"context"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// hubWriteTimeout is that of the chat example that comes with coder/websocket.
const hubWriteTimeout = 5 * time.Second

// hub is what one writes by hand on coder/websocket: a queue and a goroutine
// that writes for each connection, as its chat example does it.
type hub struct {
	conns *subscribers[*hubConn]
}

type hubConn struct {
	queue  chan *[]byte
	cancel context.CancelFunc
}

func newHub() *hub { return &hub{conns: newSubscribers[*hubConn]()} }

// Handler implements peer.
func (h *hub) Handler() http.Handler { return http.HandlerFunc(h.serve) }

func (h *hub) serve(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = ws.CloseNow() }()
	ctx, cancel := context.WithCancel(ws.CloseRead(context.Background()))
	defer cancel()
	c := &hubConn{queue: make(chan *[]byte, queueLength), cancel: cancel}
	hello := []byte(subscribed)
	c.queue <- &hello

	channel := r.URL.Query().Get("channel")
	h.conns.add(channel, c)
	defer h.conns.remove(channel, c)
	for {
		select {
		case m := <-c.queue:
			if err := hubWrite(ctx, ws, *m); err != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func hubWrite(ctx context.Context, ws *websocket.Conn, m []byte) error {
	ctx, cancel := context.WithTimeout(ctx, hubWriteTimeout)
	defer cancel()
	return ws.Write(ctx, websocket.MessageText, m)
}

// Publish implements peer. A connection whose queue is full is cut off.
func (h *hub) Publish(channel string, data []byte) error {
	h.conns.each(channel, func(c *hubConn) {
		select {
		case c.queue <- &data:
		default:
			c.cancel()
		}
	})
	return nil
}

// Close implements peer.
func (h *hub) Close() {
	for _, c := range h.conns.all() {
		c.cancel()
	}
}
