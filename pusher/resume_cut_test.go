package pusher_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
)

// cutter is a proxy that cuts connections after some bytes to the client, half of them with
// a reset.
type cutter struct {
	listener net.Listener
	server   string
	conns    sync.WaitGroup

	mu   sync.Mutex
	rand *rand.Rand // guarded by mu
	cuts int        // guarded by mu
}

func newCutter(t *testing.T, server string, seed uint64) *cutter {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &cutter{listener: listener, server: server, rand: rand.New(rand.NewPCG(seed, 0))}
	c.conns.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			c.conns.Go(func() { c.pass(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		c.conns.Wait()
	})
	return c
}

// pass passes on what client and server send, until as many bytes have come as it takes.
func (c *cutter) pass(client net.Conn) {
	server, err := net.Dial("tcp", c.server)
	if err != nil {
		_ = client.Close()
		return
	}
	c.mu.Lock()
	most, reset := 300+c.rand.Int64N(4000), c.rand.IntN(2) == 0
	c.mu.Unlock()
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	if _, err := io.CopyN(client, server, most); err == nil {
		c.mu.Lock()
		c.cuts++
		c.mu.Unlock()
		if reset {
			_ = client.(*net.TCPConn).SetLinger(0)
		}
	}
	_ = client.Close()
	_ = server.Close()
}

// line is a connection of a page, over whatever transport.
type line interface {
	send(message string) error
	next() (message string, err error)
	close()
}

type socketLine struct {
	ctx  context.Context
	conn *websocket.Conn
}

func (l *socketLine) send(message string) error {
	return l.conn.Write(l.ctx, websocket.MessageText, []byte(message))
}

func (l *socketLine) next() (string, error) {
	_, message, err := l.conn.Read(l.ctx)
	if err == nil && !json.Valid(message) {
		err = io.ErrUnexpectedEOF // the package takes a connection that ends within a message for its end
	}
	return string(message), err
}

func (l *socketLine) close() { _ = l.conn.CloseNow() }

// xhrLine polls, or has one response after the other stream.
type xhrLine struct {
	ctx     context.Context
	base    string
	receive string // "xhr" or "xhr_streaming"
	client  *http.Client
	polls   int
	body    io.ReadCloser
	text    *bufio.Reader
	waiting []string
}

func (l *xhrLine) post(path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(l.ctx, "POST", l.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := l.client.Do(req)
	if err == nil && resp.StatusCode >= 300 {
		_ = resp.Body.Close()
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	return resp, err
}

func (l *xhrLine) send(message string) error {
	body, err := json.Marshal([]string{message})
	if err != nil {
		return err
	}
	resp, err := l.post("/xhr_send?t=1", body)
	if err == nil {
		_ = resp.Body.Close()
	}
	return err
}

func (l *xhrLine) next() (string, error) {
	for len(l.waiting) == 0 {
		if l.text == nil {
			l.polls++
			resp, err := l.post(fmt.Sprintf("/%s?protocol=7&client=js&version=8.6.0&t=1&n=%d", l.receive, l.polls), nil)
			if err != nil {
				return "", err
			}
			l.body, l.text = resp.Body, bufio.NewReader(resp.Body)
		}
		chunk, err := l.text.ReadString('\n')
		switch {
		case err == io.EOF && chunk == "":
			_ = l.body.Close()
			l.text = nil
			continue
		case err != nil:
			return "", err
		}
		switch chunk[0] {
		case 'a':
			err = json.Unmarshal([]byte(chunk[1:]), &l.waiting)
		case 'm':
			var message string
			err = json.Unmarshal([]byte(chunk[1:]), &message)
			l.waiting = []string{message}
		case 'c':
			err = fmt.Errorf("closed: %s", chunk)
		}
		if err != nil {
			return "", err
		}
	}
	message := l.waiting[0]
	l.waiting = l.waiting[1:]
	return message, nil
}

func (l *xhrLine) close() {
	if l.body != nil {
		_ = l.body.Close()
	}
	l.client.CloseIdleConnections()
}

// page is a page that keeps positions and connects again whenever its connection breaks.
type page struct {
	t       *testing.T
	dial    func() (line, error)
	line    line
	last    string
	socket  string
	sockets []string
	got     []string
}

// connect connects and subscribes where the page has left off. It may be cut off meanwhile.
func (p *page) connect() error {
	l, err := p.dial()
	if err != nil {
		return err
	}
	p.line = l
	for {
		message, err := p.line.next()
		if err != nil {
			return err
		}
		var f struct {
			Event, Data, Pos string
			Resume           *struct{ Status string }
		}
		require.NoError(p.t, json.Unmarshal([]byte(message), &f), message)
		switch f.Event {
		case "pusher:connection_established":
			var data struct {
				SocketID string `json:"socket_id"`
			}
			require.NoError(p.t, json.Unmarshal([]byte(f.Data), &data))
			if p.socket != "" {
				p.sockets = append([]string{p.socket}, p.sockets...)
			}
			p.socket = data.SocketID
			resume, err := json.Marshal(map[string]any{"v": 1, "after": p.last, "sockets": p.sockets[:min(len(p.sockets), 5)]})
			require.NoError(p.t, err)
			if err := p.line.send(`{"event":"pusher:subscribe","data":{"channel":"room","resume":` + string(resume) + `}}`); err != nil {
				return err
			}
		case "pusher_internal:subscription_succeeded":
			require.NotNil(p.t, f.Resume, message)
			require.NotEqual(p.t, "gap", f.Resume.Status, "after %s", p.last)
			require.True(p.t, p.last == "" || f.Resume.Status == "resumed")
			p.last = f.Pos
			return nil
		}
	}
}

// until reads until the page knows of a position, and connects again as often as it takes.
func (p *page) until(position string) {
	for tries := 0; p.last != position; {
		require.Less(p.t, tries, 200)
		if p.line == nil {
			if err := p.connect(); err != nil {
				p.hangUp()
			}
			tries++
			continue
		}
		message, err := p.line.next()
		if err != nil {
			p.hangUp()
			continue
		}
		f := frameOf(p.t, message)
		if f.Pos == "" {
			continue
		}
		require.True(p.t, follows(p.t, f, p.last), "%s does not follow %s", message, p.last)
		p.last = f.Pos
		if f.Event == "message" {
			p.got = append(p.got, f.Data.(string))
		}
	}
}

func (p *page) hangUp() {
	if p.line != nil {
		p.line.close()
		p.line = nil
	}
}

// Whatever cuts its connections, and whoever posts with which of its socket IDs, a page gets
// each event that is for it once and in order.
func TestAPageThatIsCutOffMissesNothing(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for _, transport := range []string{"websocket", "xhr_streaming", "xhr"} {
		t.Run(transport, func(t *testing.T) {
			b, err := broker.New(broker.WithDrainWindow(0), broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 10_000}}))
			require.NoError(t, err)
			apps, err := pusher.NewApps(pusher.App{ID: "1", Key: "key", Secret: "secret", Limits: pusher.Limits{MessagesPerSecond: -1}})
			require.NoError(t, err)
			server := httptest.NewServer(newHandler(t, b, apps))
			defer server.Close()
			defer func() {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				assert.NoError(t, b.Shutdown(ctx))
			}()
			proxy := newCutter(t, server.Listener.Addr().String(), seed)
			dials := 0
			p := &page{t: t, dial: func() (line, error) {
				dials++
				if transport == "websocket" {
					conn, _, err := websocket.Dial(t.Context(), "http://"+proxy.listener.Addr().String()+"/app/key?protocol=7", nil)
					if err != nil {
						return nil, err
					}
					return &socketLine{t.Context(), conn}, nil
				}
				return &xhrLine{ctx: t.Context(), receive: transport, client: &http.Client{Transport: &http.Transport{}},
					base: fmt.Sprintf("http://%s/pusher/app/key/1/%08d", proxy.listener.Addr(), dials)}, nil
			}}
			p.until(func() string {
				latest, err := b.App("1").Latest(t.Context(), "room")
				require.NoError(t, err)
				return latest.String()
			}())
			var want []string
			n := 0
			for cuts := 0; cuts < 20; {
				var last broker.Published
				for i := range 8 {
					n++
					data := fmt.Sprint(n, strings.Repeat(".", n%50))
					var opts []broker.PublishOption
					switch {
					case i == 3:
						opts = append(opts, broker.Exclude(p.socket))
					case i == 5 && len(p.sockets) > 0:
						opts = append(opts, broker.Exclude(p.sockets[0]))
					default:
						want = append(want, data)
					}
					last, err = b.App("1").Publish(t.Context(), "room", "message", []byte(data), opts...)
					require.NoError(t, err)
				}
				p.until(last.Position.String())
				proxy.mu.Lock()
				cuts = proxy.cuts
				proxy.mu.Unlock()
				require.Less(t, n, 9000, "the proxy cuts too little")
			}
			assert.Equal(t, want, p.got)
			p.hangUp()
		})
	}
}
