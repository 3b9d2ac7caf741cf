package websocket

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/transporttest"
)

func portable(o *options) error { o.portable = true; return nil }

func TestTransport(t *testing.T) {
	for _, c := range []struct {
		name   string
		secure bool
		opts   []Option
	}{
		{"TCP", false, nil},
		{"TLS", true, nil},
		{"Compressed", false, []Option{WithCompression(256)}},
		{"Portable", false, []Option{portable}},
	} {
		t.Run(c.name, func(t *testing.T) {
			transporttest.Run(t, func(t testing.TB, config transporttest.Config) transporttest.Harness {
				return newHarness(t, c.secure, append([]Option{
					WithQueueLimits(config.QueueMessages, config.QueueBytes), WithBudget(config.Budget),
					WithWriteTimeout(config.Timeout), WithCloseTimeout(config.Timeout),
				}, c.opts...)...)
			})
		})
	}
}

// harness is a server for package transporttest.
type harness struct {
	server *Server
	http   *httptest.Server
	opens  chan transport.Open

	mu      sync.Mutex
	clients []*suiteClient
}

func newHarness(t testing.TB, secure bool, opts ...Option) *harness {
	h := &harness{server: newServer(t, opts...), opens: make(chan transport.Open)}
	h.http = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		open := <-h.opens
		_ = h.server.Serve(w, r, func(conn transport.Conn) transport.Receiver {
			defer func() { h.opens <- nil }()
			return open(conn)
		})
	}))
	if secure {
		h.http.StartTLS()
	} else {
		h.http.Start()
	}
	return h
}

func (h *harness) Connect(t testing.TB, open transport.Open) transporttest.Client {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	opened := make(chan struct{})
	go func() {
		defer close(opened)
		h.opens <- open
		<-h.opens
	}()
	o := &websocket.DialOptions{HTTPClient: h.http.Client()}
	if h.server.options.compress {
		o.CompressionMode, o.CompressionThreshold = websocket.CompressionNoContextTakeover, 256
	}
	ws, _, err := websocket.Dial(ctx, strings.Replace(h.http.URL, "http", "ws", 1), o)
	require.NoError(t, err)
	ws.SetReadLimit(-1)
	<-opened
	c := &suiteClient{ws: ws}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clients = append(h.clients, c)
	return c
}

func (h *harness) Close() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = h.server.Shutdown(ctx)
	h.mu.Lock()
	for _, c := range h.clients {
		_ = c.ws.CloseNow()
	}
	h.mu.Unlock()
	h.http.Close()
	h.http.Client().CloseIdleConnections()
	// Shutdown waits for those it has cut off no longer than ShutdownGrace.
	ctx, cancel = context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = h.server.Shutdown(ctx)
}

type suiteClient struct {
	ws *websocket.Conn

	mu  sync.Mutex
	err error // guarded by mu
}

func (c *suiteClient) Send(data []byte) error {
	return c.ws.Write(context.Background(), websocket.MessageText, data)
}

func (c *suiteClient) Receive(ctx context.Context) ([]byte, error) {
	_, data, err := c.ws.Read(ctx)
	if err != nil {
		c.mu.Lock()
		c.err = err
		c.mu.Unlock()
	}
	return data, err
}

func (c *suiteClient) Close(code int, reason string) {
	if code == transport.StatusAbnormal {
		_ = c.ws.CloseNow()
		return
	}
	_ = c.ws.Close(websocket.StatusCode(code), reason)
}

func (c *suiteClient) CloseStatus() (code int, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var status websocket.CloseError
	if errors.As(c.err, &status) {
		return int(status.Code), status.Reason
	}
	return 0, ""
}
