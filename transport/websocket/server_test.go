package websocket

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/transport"
)

// patience bounds what must not take long.
const patience = 20 * time.Second

// ending is what Closed was told.
type ending struct {
	code int
	err  error
}

// echo sends back what it receives.
type echo struct {
	conn   transport.Conn
	closed chan ending
}

func newEcho(conn transport.Conn) *echo { return &echo{conn: conn, closed: make(chan ending, 1)} }

func (e *echo) Receive(data []byte) {
	_ = e.conn.Send(transport.NewMessage(append([]byte(nil), data...)))
}

func (e *echo) Closed(code int, err error) { e.closed <- ending{code, err} }

// fixture is a server with all the receivers that it has made.
type fixture struct {
	t      testing.TB
	server *Server
	http   *httptest.Server
	made   chan *echo
}

func newFixture(t testing.TB, opts ...Option) *fixture {
	f := &fixture{t: t, server: newServer(t, opts...), made: make(chan *echo, 20000)}
	f.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = f.server.Serve(w, r, func(conn transport.Conn) transport.Receiver {
			e := newEcho(conn)
			f.made <- e
			return e
		})
	}))
	t.Cleanup(func() {
		f.http.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = f.server.Shutdown(ctx)
	})
	return f
}

func (f *fixture) dial(opts ...func(*websocket.DialOptions)) (*websocket.Conn, *echo) {
	f.t.Helper()
	var o websocket.DialOptions
	for _, opt := range opts {
		opt(&o)
	}
	o.HTTPClient = f.http.Client()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, strings.Replace(f.http.URL, "http", "ws", 1), &o)
	require.NoError(f.t, err)
	f.t.Cleanup(func() { _ = ws.CloseNow() })
	ws.SetReadLimit(-1)
	return ws, <-f.made
}

func TestEcho(t *testing.T) {
	f := newFixture(t)
	ws, e := f.dial()
	ctx := t.Context()
	for range 100 {
		require.NoError(t, ws.Write(ctx, websocket.MessageText, []byte("hello")))
		_, data, err := ws.Read(ctx)
		require.NoError(t, err)
		require.Equal(t, "hello", string(data))
	}
	require.NoError(t, ws.Close(4001, "bye"))
	require.Equal(t, ending{4001, nil}, <-e.closed)
	require.ErrorIs(t, e.conn.Send(transport.NewMessage(nil)), transport.ErrClosed)
}

func TestBroadcast(t *testing.T) {
	f := newFixture(t)
	const conns, messages = 50, 200
	var clients []*websocket.Conn
	var servers []*echo
	for range conns {
		ws, e := f.dial()
		clients, servers = append(clients, ws), append(servers, e)
	}
	for i := range messages {
		m := transport.NewMessage([]byte{byte('a' + i%26)})
		for _, e := range servers {
			require.NoError(t, e.conn.Send(m))
		}
	}
	for _, e := range servers {
		e.conn.Close(4002, "done")
	}
	for i, ws := range clients {
		for j := range messages {
			_, data, err := ws.Read(t.Context())
			require.NoError(t, err)
			require.Equal(t, string(rune('a'+j%26)), string(data))
		}
		_, _, err := ws.Read(t.Context())
		require.Equal(t, websocket.StatusCode(4002), websocket.CloseStatus(err))
		require.Equal(t, ending{4002, nil}, <-servers[i].closed)
	}
	stats := f.server.Stats()
	require.EqualValues(t, conns*messages, stats.MessagesOut)
	require.Less(t, stats.Writes, int64(conns*messages))
}
