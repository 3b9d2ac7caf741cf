package sse

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/internal/streamtest"
	"github.com/carillon-rt/carillon/transport/transporttest"
)

func TestTransport(t *testing.T) {
	transporttest.Run(t, func(t testing.TB, c transporttest.Config) transporttest.Harness { return newHarness(t, c) })
}

// harness is a server for package transporttest.
type harness struct{ *streamtest.Harness }

func newHarness(t testing.TB, c transporttest.Config) harness {
	s := newServer(t, WithQueueLimits(c.QueueMessages, c.QueueBytes), WithBudget(c.Budget), WithWriteTimeout(c.Timeout))
	serve := func(w http.ResponseWriter, r *http.Request, _, _ string, open transport.Open) {
		_ = s.Serve(w, r, func(conn transport.Conn) transport.Receiver { return open(blocks{conn}) })
	}
	return harness{streamtest.New(serve, s.Shutdown)}
}

// blocks makes blocks of the suite's messages, as a protocol does.
type blocks struct{ transport.Conn }

func (b blocks) Send(m *transport.Message) error {
	block := transport.NewMessage(Block(ID{}, m.Payload()))
	if w := m.Watch(); w != nil {
		block = block.Watched(w)
	}
	return b.Conn.Send(block)
}

// OneWay implements transporttest.OneWay.
func (harness) OneWay() {}

func (h harness) Connect(t testing.TB, open transport.Open) transporttest.Client {
	url, ctx, cancel := h.Client(open)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := h.HTTP.Client().Do(req)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	return &suiteClient{cancel: cancel, lines: bufio.NewReader(resp.Body)}
}

type suiteClient struct {
	cancel context.CancelFunc
	lines  *bufio.Reader

	mu     sync.Mutex
	code   int    // guarded by mu
	reason string // guarded by mu
}

var errOneWay = errors.New("clients have no way to send")

func (*suiteClient) Send([]byte) error { return errOneWay }

func (c *suiteClient) Receive(ctx context.Context) ([]byte, error) {
	stop := context.AfterFunc(ctx, c.cancel)
	defer stop()
	closing := false
	for {
		line, err := c.lines.ReadString('\n')
		if err != nil {
			return nil, err
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch {
		case name == "event":
			closing = value == "close"
		case name == "data" && !closing:
			return []byte(value), nil
		case name == "data":
			var end struct {
				Code   int
				Reason string
			}
			if err := json.Unmarshal([]byte(value), &end); err != nil {
				return nil, err
			}
			c.mu.Lock()
			c.code, c.reason = end.Code, end.Reason
			c.mu.Unlock()
		}
	}
}

func (c *suiteClient) Close(int, string) { c.cancel() }

func (c *suiteClient) CloseStatus() (code int, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.code, c.reason
}
