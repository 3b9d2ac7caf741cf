package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

// dialTimeout is how long a handshake may take.
const dialTimeout = 5 * time.Second

// socket is a WebSocket that does as it is told.
type socket struct {
	net.Conn
	br *bufio.Reader
	id string
}

// dial makes the handshake and reads the first message. With deaf set the system
// keeps as little as it can of what nobody reads.
func (s *server) dial(ctx context.Context, origin string, deaf bool) (*socket, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	d := net.Dialer{}
	if deaf {
		d.Control = func(_, _ string, raw syscall.RawConn) (err error) {
			failed := raw.Control(func(fd uintptr) {
				err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
			})
			return errors.Join(err, failed)
		}
	}
	nc, err := d.DialContext(ctx, "tcp4", s.addr)
	if err != nil {
		return nil, err
	}
	_ = nc.(*net.TCPConn).SetLinger(0) // a reset leaves no port in TIME_WAIT
	_ = nc.SetDeadline(time.Now().Add(dialTimeout))
	c := &socket{Conn: nc, br: bufio.NewReaderSize(nc, 1024)}
	if err := c.open(s.addr, origin); err != nil {
		_ = nc.Close()
		return nil, err
	}
	return c, nc.SetDeadline(time.Time{})
}

func (c *socket) open(host, origin string) error {
	if origin != "" {
		origin = "Origin: " + origin + "\r\n"
	}
	_, err := fmt.Fprintf(c, "GET /app/%s?protocol=7&client=attack&version=1 HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\n"+
		"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n%s\r\n", appKey, host, origin)
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
	text, err := c.read()
	if err != nil {
		return err
	}
	var first struct{ Event, Data string }
	if err := json.Unmarshal(text, &first); err != nil {
		return fmt.Errorf("first message %s: %w", text, err)
	}
	var data struct {
		SocketID string `json:"socket_id"`
	}
	err = json.Unmarshal([]byte(first.Data), &data)
	c.id = data.SocketID
	return err
}

// read reads a message.
func (c *socket) read() ([]byte, error) {
	var header [2]byte
	if _, err := io.ReadFull(c.br, header[:]); err != nil {
		return nil, err
	}
	size := uint64(header[1] & 0x7f)
	if extra := map[uint64]int{126: 2, 127: 8}[size]; extra > 0 {
		var long [8]byte
		if _, err := io.ReadFull(c.br, long[8-extra:]); err != nil {
			return nil, err
		}
		size = binary.BigEndian.Uint64(long[:])
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(c.br, payload); err != nil {
		return nil, err
	}
	if header[0]&0x0f == 8 {
		return nil, fmt.Errorf("closed: %q", payload)
	}
	return payload, nil
}

// await reads until a message contains text.
func (c *socket) await(text string) error {
	_ = c.SetReadDeadline(time.Now().Add(dialTimeout))
	for {
		message, err := c.read()
		if err != nil {
			return fmt.Errorf("wait for %s: %w", text, err)
		}
		if bytes.Contains(message, []byte(text)) {
			return c.SetReadDeadline(time.Time{})
		}
	}
}

// frame is a text message as a client sends it. Its mask is zero.
func frame(text string) []byte {
	b := []byte{0x81}
	switch n := len(text); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), text...)
}

// subscribing is the frame that subscribes a socket, as a user where there is one.
func subscribing(c *socket, channel, user string) []byte {
	data := map[string]string{"channel": channel}
	if user != "" {
		data["channel_data"] = fmt.Sprintf(`{"user_id":%q}`, user)
		data["auth"] = appKey + ":" + sign(c.id+":"+channel+":"+data["channel_data"])
	}
	text, err := json.Marshal(map[string]any{"event": "pusher:subscribe", "data": data})
	if err != nil {
		panic(err) // maps of strings
	}
	return frame(string(text))
}
