package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/client"
	"github.com/carillon-rt/carillon/internal/arrivals"
)

const (
	// connectTimeout bounds a client's way to its subscription.
	connectTimeout = 30 * time.Second
	// writeTimeout bounds what a client sends, a few bytes.
	writeTimeout = 10 * time.Second
	// maxGreetings is how many messages a client reads for the one it waits for, and
	// maxGreeting is how long one may be, in bytes.
	maxGreetings, maxGreeting = 100, 64 << 10
)

// errNotHere says that a server is not on this machine.
var errNotHere = errors.New("the server is not on this machine: a load is for machines of yours, which -yes-i-own-it says")

// connection is a client that is subscribed to one channel. It does no more than it has to,
// so that a machine has room for many.
type connection struct {
	net.Conn
	// early is what was read beyond the subscription's answer.
	early []byte
	// activity is how long the server lets it be silent.
	activity time.Duration
}

// connect connects and subscribes.
func connect(ctx context.Context, app *client.App, channel string) (c *connection, err error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	raw, err := app.Dial(ctx, "tcp", hostPort(&app.Socket))
	if err != nil {
		return nil, err
	}
	// No port of this machine has to wait after it.
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	if app.Socket.Scheme == "https" {
		raw = tls.Client(raw, &tls.Config{ServerName: app.Socket.Hostname(), InsecureSkipVerify: app.SkipVerify}) //nolint:gosec // as asked for
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	c = &connection{Conn: raw}
	if err := c.open(app, channel); err != nil {
		_ = raw.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	return c, nil
}

func hostPort(u *url.URL) string { return net.JoinHostPort(u.Hostname(), client.PortOf(u)) }

func (c *connection) open(app *client.App, channel string) error {
	r := bufio.NewReaderSize(c, 1024)
	if _, err := fmt.Fprintf(c, "GET %s/app/%s?protocol=7&client=carillon-bench&version=1 HTTP/1.1\r\nHost: %s\r\n"+
		"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
		app.Socket.EscapedPath(), url.PathEscape(app.Key), app.Socket.Host); err != nil {
		return err
	}
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 200)) // says why at best
		return &client.HandshakeError{Status: res.StatusCode, Body: client.Printable(strings.TrimSpace(string(body)))}
	}
	greeting, err := await(r, "pusher:connection_established")
	if err != nil {
		return err
	}
	var hello struct {
		ActivityTimeout float64 `json:"activity_timeout"`
	}
	if err := json.Unmarshal([]byte(greeting), &hello); err != nil || hello.ActivityTimeout < 1 || hello.ActivityTimeout > 86400 {
		return fmt.Errorf("greeting: no activity_timeout in %s", client.Printable(greeting))
	}
	c.activity = time.Duration(hello.ActivityTimeout * float64(time.Second))
	message, err := json.Marshal(map[string]any{"event": "pusher:subscribe", "data": map[string]string{"channel": channel}})
	if err != nil {
		return err
	}
	if _, err := c.Write(masked(message, 1)); err != nil {
		return err
	}
	if _, err := await(r, "pusher_internal:subscription_succeeded"); err != nil {
		return err
	}
	early, _ := r.Peek(r.Buffered()) // what is buffered is there
	c.early = bytes.Clone(early)
	return nil
}

// await reads messages until one has the event, and returns the text of its data.
func await(r *bufio.Reader, event string) (string, error) {
	for range maxGreetings {
		message, err := readMessage(r)
		if err != nil {
			return "", fmt.Errorf("wait for %s: %w", event, err)
		}
		var f struct {
			Event string
			Data  json.RawMessage
		}
		if json.Unmarshal(message, &f) != nil {
			continue
		}
		switch f.Event {
		case event:
			var text string
			_ = json.Unmarshal(f.Data, &text) // what is no string stays empty
			return text, nil
		case "pusher:error", "pusher:subscription_error":
			return "", fmt.Errorf("wait for %s: the server says %s", event, client.Printable(string(f.Data[:min(len(f.Data), 200)])))
		}
	}
	return "", fmt.Errorf("wait for %s: not among %d messages", event, maxGreetings)
}

// readMessage reads a whole frame.
func readMessage(r *bufio.Reader) ([]byte, error) {
	var header [10]byte
	if _, err := io.ReadFull(r, header[:2]); err != nil {
		return nil, err
	}
	size := uint64(header[1] & 0x7f)
	switch size {
	case 126:
		if _, err := io.ReadFull(r, header[2:4]); err != nil {
			return nil, err
		}
		size = uint64(binary.BigEndian.Uint16(header[2:4]))
	case 127:
		if _, err := io.ReadFull(r, header[2:10]); err != nil {
			return nil, err
		}
		size = binary.BigEndian.Uint64(header[2:10])
	}
	if size > maxGreeting {
		return nil, fmt.Errorf("a message of %d bytes", size)
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(r, payload); err != nil {
		return nil, err
	}
	if header[0]&0x0f == arrivals.OpcodeClose {
		closed := &client.ClosedError{Code: 1005}
		if len(payload) >= 2 {
			closed.Code, closed.Reason = int(binary.BigEndian.Uint16(payload)), client.Printable(string(payload[2:]))
		}
		return nil, closed
	}
	return payload, nil
}

// masked is a client's frame. Its mask is zero: it protects proxies on the way, of which
// there are none that take part.
func masked(payload []byte, opcode byte) []byte {
	frame := arrivals.TextFrame(payload)
	head := len(frame) - len(payload)
	frame[0] = 0x80 | opcode
	frame[1] |= 0x80
	return append(append(frame[:head:head], 0, 0, 0, 0), payload...)
}

// say writes a frame.
func (c *connection) say(frame []byte) error {
	_ = c.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := c.Write(frame)
	return err
}
