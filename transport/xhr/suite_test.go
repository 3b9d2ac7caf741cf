package xhr

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"path"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/internal/streamtest"
	"github.com/carillon-rt/carillon/transport/transporttest"
)

func TestTransport(t *testing.T) {
	for _, mode := range []Mode{Streaming, Polling, sockJSStreaming} {
		t.Run(mode.String(), func(t *testing.T) {
			transporttest.Run(t, func(t testing.TB, c transporttest.Config) transporttest.Harness {
				return newHarness(t, mode, c)
			})
		})
	}
}

// harness is a server for package transporttest.
type harness struct {
	*streamtest.Harness
	server *Server
	mode   Mode
	left   sync.WaitGroup // clients whose gap is being cut short
}

func newHarness(t testing.TB, mode Mode, c transporttest.Config) *harness {
	s := newServer(t, WithQueueLimits(c.QueueMessages, c.QueueBytes), WithBudget(c.Budget), WithWriteTimeout(c.Timeout))
	serve := func(w http.ResponseWriter, r *http.Request, id, action string, open transport.Open) {
		if action == "xhr_send" {
			s.ServeSend(w, r, id)
		} else {
			s.ServeReceive(w, r, id, mode, open)
		}
	}
	return &harness{Harness: streamtest.New(serve, s.Shutdown), server: s, mode: mode}
}

// Close ends the server and all clients.
func (h *harness) Close() {
	h.Harness.Close()
	h.left.Wait()
}

// expire ends the gap of the session with this ID as soon as no request receives
// for it, so that nobody has to wait for its timer.
func (h *harness) expire(id string) {
	for range time.Tick(time.Millisecond) {
		h.server.mu.Lock()
		c := h.server.sessions[id]
		h.server.mu.Unlock()
		if c == nil {
			return
		}
		c.mu.Lock()
		away := c.reader == nil
		c.mu.Unlock()
		if away {
			c.due()
			return
		}
	}
}

func (h *harness) Connect(t testing.TB, open transport.Open) transporttest.Client {
	c := &suiteClient{harness: h}
	c.url, c.ctx, c.cancel = h.Client(open)
	require.NoError(t, c.open(c.ctx))
	return c
}

// suiteClient receives as pusher-js does.
type suiteClient struct {
	harness *harness
	url     string
	ctx     context.Context
	cancel  context.CancelFunc
	sending sync.Mutex

	body    *http.Response
	lines   *bufio.Reader
	read    int
	pending []string

	mu     sync.Mutex
	code   int    // guarded by mu
	reason string // guarded by mu
}

// open asks for another response.
func (c *suiteClient) open(ctx context.Context) error {
	action := "/xhr"
	if c.harness.mode == Streaming {
		action = "/xhr_streaming"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+action, nil)
	if err != nil {
		return err
	}
	resp, err := c.harness.HTTP.Client().Do(req)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return errors.New(resp.Status)
	}
	c.body, c.lines, c.read = resp, bufio.NewReader(resp.Body), 0
	return nil
}

func (c *suiteClient) Send(data []byte) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	body, err := json.Marshal([]string{string(data)})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(c.ctx, http.MethodPost, c.url+"/xhr_send", bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := c.harness.HTTP.Client().Do(req)
	if err != nil {
		return err
	}
	return errors.Join(resp.Body.Close())
}

var errEnded = errors.New("session has ended")

func (c *suiteClient) Receive(ctx context.Context) ([]byte, error) {
	stop := context.AfterFunc(ctx, c.cancel)
	defer stop()
	for len(c.pending) == 0 {
		if err := c.chunk(); err != nil {
			return nil, err
		}
	}
	data := c.pending[0]
	c.pending = c.pending[1:]
	return []byte(data), nil
}

// chunk reads one chunk, from another response where the last one is over or
// has grown long.
func (c *suiteClient) chunk() error {
	if code, _ := c.CloseStatus(); code != 0 {
		return errEnded
	}
	if c.body == nil || c.read > restart {
		if c.body != nil {
			_ = c.body.Body.Close()
		}
		if err := c.open(c.ctx); err != nil {
			return err
		}
	}
	line, err := c.lines.ReadString('\n')
	if err != nil {
		_ = c.body.Body.Close()
		c.body = nil
		return c.ctx.Err() // a response that has ended is followed by another
	}
	c.read += length([]byte(line))
	switch line[0] {
	case 'a':
		return json.Unmarshal([]byte(line[1:]), &c.pending)
	case 'c':
		var end [2]any
		if err := json.Unmarshal([]byte(line[1:]), &end); err != nil {
			return err
		}
		c.mu.Lock()
		c.code, c.reason = int(end[0].(float64)), end[1].(string)
		c.mu.Unlock()
		return errEnded
	}
	return nil
}

func (c *suiteClient) Close(int, string) {
	c.cancel()
	c.harness.left.Go(func() { c.harness.expire(path.Base(c.url)) })
}

func (c *suiteClient) CloseStatus() (code int, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.code, c.reason
}
