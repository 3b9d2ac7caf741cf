package main

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"

	"github.com/carillon-rt/carillon/internal/arrivals"
)

// acceptGUID is what a server appends to the client's key (RFC 6455, section
// 1.3).
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// floor is the least that a server can do: one write(2) of one shared frame for
// each subscriber, one after another, and nobody who reads.
type floor struct {
	conns *subscribers[net.Conn]
}

func newFloor() *floor { return &floor{conns: newSubscribers[net.Conn]()} }

// Handler implements peer.
func (f *floor) Handler() http.Handler { return http.HandlerFunc(f.upgrade) }

func (f *floor) upgrade(w http.ResponseWriter, r *http.Request) {
	nc, err := takeOver(w, r)
	if err != nil {
		return
	}
	f.conns.add(r.URL.Query().Get("channel"), nc)
	// A Write is never interleaved with another one's.
	if _, err := nc.Write(arrivals.TextFrame([]byte(subscribed))); err != nil {
		_ = nc.Close()
	}
}

// takeOver completes a handshake.
func takeOver(w http.ResponseWriter, r *http.Request) (net.Conn, error) {
	nc, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotImplemented)
		return nil, err
	}
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + acceptGUID))
	_, err = fmt.Fprintf(nc, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"+
		"Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:]))
	if err != nil {
		_ = nc.Close()
	}
	return nc, err
}

// Publish implements peer.
func (f *floor) Publish(channel string, data []byte) error {
	frame := arrivals.TextFrame(data)
	var failed error
	f.conns.each(channel, func(nc net.Conn) {
		if _, err := nc.Write(frame); err != nil {
			failed = err
		}
	})
	return failed
}

// Close implements peer.
func (f *floor) Close() {
	for _, nc := range f.conns.all() {
		_ = nc.Close()
	}
}
