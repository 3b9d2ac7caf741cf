package main

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/carillon-rt/carillon/internal/arrivals"
	"github.com/carillon-rt/carillon/pusher"
)

// Bounds of a client's handshake.
const (
	connectTimeout = 30 * time.Second
	// maxGreetings is how many messages a client reads for the one it waits for:
	// others may come first on a channel with members.
	maxGreetings = 1000
)

// stalledBuffer is the receive buffer in bytes of a client that does not read.
const stalledBuffer = 4096

// dialer connects clients to one server process.
type dialer struct {
	peer    string
	addr    string
	tls     *tls.Config
	deflate bool
}

// client is a connection whose subscription is in place.
type client struct {
	net.Conn
	// br holds what was read beyond the handshake.
	br *bufio.Reader
}

// dial connects and subscribes to a channel.
func (d *dialer) dial(channel, user string, stalled bool) (*client, error) {
	return d.connect(stalled, func(c *client) error { return c.open(d, channel, user) })
}

// handshake connects and subscribes to nothing.
func (d *dialer) handshake() (*client, error) {
	return d.connect(false, func(c *client) error { return c.upgrade(d, d.path("")) })
}

// connect connects and does what open does.
func (d *dialer) connect(stalled bool, open func(*client) error) (*client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	nd := net.Dialer{}
	if stalled {
		nd.Control = func(_, _ string, raw syscall.RawConn) error {
			var failed error
			err := raw.Control(func(fd uintptr) {
				failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, stalledBuffer)
			})
			if err != nil {
				return err
			}
			return failed
		}
	}
	nc, err := nd.DialContext(ctx, "tcp4", d.addr)
	if err != nil {
		return nil, err
	}
	// A reset leaves no port in TIME_WAIT.
	_ = nc.(*net.TCPConn).SetLinger(0)
	if d.tls != nil {
		nc = tls.Client(nc, d.tls)
	}
	c := &client{Conn: nc, br: bufio.NewReaderSize(nc, 512)}
	_ = nc.SetDeadline(time.Now().Add(connectTimeout))
	if err := open(c); err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("client of %s: %w", d.peer, err)
	}
	return c, nc.SetDeadline(time.Time{})
}

// open makes the handshake and the subscription.
func (c *client) open(d *dialer, channel, user string) error {
	if err := c.upgrade(d, d.path(channel)); err != nil {
		return err
	}
	switch d.peer {
	case carillonPeer:
		return c.subscribePusher(channel, user)
	case centrifugePeer:
		return c.subscribeCentrifuge(channel, user)
	}
	_, err := c.await(subscribed)
	return err
}

// path is where a peer takes connections.
func (d *dialer) path(channel string) string {
	if d.peer == carillonPeer {
		return "/app/" + carillonKey + "?protocol=7&client=bench&version=1"
	}
	return "/?channel=" + channel
}

func (c *client) upgrade(d *dialer, path string) error {
	offer := ""
	if d.deflate {
		offer = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
	}
	_, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n%s\r\n", path, d.addr, offer)
	if err != nil {
		return err
	}
	res, err := http.ReadResponse(c.br, nil)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("handshake: %s", res.Status)
	}
	if got := res.Header.Get("Sec-WebSocket-Extensions") != ""; got != d.deflate {
		return fmt.Errorf("handshake: compression is %t, want %t", got, d.deflate)
	}
	return nil
}

// subscribePusher speaks the Pusher Channels protocol. With a user, the channel
// is one with members, and the subscription is signed.
func (c *client) subscribePusher(channel, user string) error {
	message, err := c.await("pusher:connection_established")
	if err != nil {
		return err
	}
	data := map[string]string{"channel": channel}
	if user != "" {
		var established struct{ Data string }
		var socket struct {
			ID string `json:"socket_id"`
		}
		if err := json.Unmarshal(message, &established); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(established.Data), &socket); err != nil {
			return err
		}
		data["channel_data"] = fmt.Sprintf(`{"user_id":%q}`, user)
		var err error
		if data["auth"], err = pusher.SignChannel(&pusher.App{Key: carillonKey, Secret: carillonSecret},
			socket.ID, channel, data["channel_data"]); err != nil {
			return err
		}
	}
	text, err := json.Marshal(map[string]any{"event": "pusher:subscribe", "data": data})
	if err != nil {
		return err
	}
	if err := c.send(text); err != nil {
		return err
	}
	_, err = c.await("pusher_internal:subscription_succeeded")
	return err
}

// subscribeCentrifuge speaks centrifuge's JSON protocol. With a user it asks for
// the channel's members too, which Pusher's answer to a subscription has.
func (c *client) subscribeCentrifuge(channel, user string) error {
	text := fmt.Sprintf(`{"id":1,"connect":{}}`+"\n"+`{"id":2,"subscribe":{"channel":%q}}`, channel)
	if err := c.send([]byte(text)); err != nil {
		return err
	}
	if _, err := c.await(`"id":2`); err != nil || user == "" {
		return err
	}
	if err := c.send(fmt.Appendf(nil, `{"id":3,"presence":{"channel":%q}}`, channel)); err != nil {
		return err
	}
	_, err := c.await(`"id":3`)
	return err
}

// send writes a text message. Its mask is zero: nobody is between here and the
// server whom it could protect.
func (c *client) send(payload []byte) error {
	_, err := c.Write(masked(payload))
	return err
}

// masked is a client's frame.
func masked(payload []byte) []byte {
	frame := arrivals.TextFrame(payload)
	head := len(frame) - len(payload)
	frame[1] |= 0x80
	return append(append(frame[:head:head], 0, 0, 0, 0), payload...)
}

// await reads messages until one contains text.
func (c *client) await(text string) ([]byte, error) {
	for range maxGreetings {
		message, err := c.readMessage()
		if err != nil {
			return nil, fmt.Errorf("wait for %s: %w", text, err)
		}
		if bytes.Contains(message, []byte(text)) {
			return message, nil
		}
		if bytes.Contains(message, []byte(`rror"`)) {
			return nil, fmt.Errorf("wait for %s: got %.200s", text, message)
		}
	}
	return nil, fmt.Errorf("wait for %s: not among %d messages", text, maxGreetings)
}

// readMessage reads a whole frame.
func (c *client) readMessage() ([]byte, error) {
	var header [2]byte
	if _, err := io.ReadFull(c.br, header[:]); err != nil {
		return nil, err
	}
	size := uint64(header[1] & 0x7f)
	if size == 127 || header[0]&0x0f == arrivals.OpcodeClose {
		return nil, fmt.Errorf("unexpected frame %x", header)
	}
	if size == 126 {
		var long [2]byte
		if _, err := io.ReadFull(c.br, long[:]); err != nil {
			return nil, err
		}
		size = uint64(binary.BigEndian.Uint16(long[:]))
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(c.br, payload); err != nil {
		return nil, err
	}
	if header[0]&arrivals.Deflated == 0 {
		return payload, nil
	}
	return io.ReadAll(flate.NewReader(bytes.NewReader(append(payload, arrivals.DeflateTail...))))
}
