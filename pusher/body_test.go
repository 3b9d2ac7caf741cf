package pusher

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
)

// pipes is a listener without sockets, as bubbles of synctest need it.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { p.once.Do(func() { close(p.done) }); return nil }

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Net: "unix", Name: "pipe"} }

// pipeServer serves h until the test ends.
type pipeServer struct {
	t     *testing.T
	pipes *pipes
	http  *http.Server
}

func servePipes(t *testing.T, h http.Handler) *pipeServer {
	return servePipesWith(t, &http.Server{Handler: h})
}

func servePipesWith(t *testing.T, server *http.Server) *pipeServer {
	s := &pipeServer{t: t, pipes: &pipes{conns: make(chan net.Conn), done: make(chan struct{})}, http: server}
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.pipes) }()
	t.Cleanup(func() {
		assert.NoError(t, s.http.Close())
		<-served
	})
	return s
}

// send writes what a client says, as the server takes it, on a connection of its
// own.
func (s *pipeServer) send(text string) net.Conn {
	s.t.Helper()
	client, server := net.Pipe()
	s.t.Cleanup(func() { _ = client.Close() })
	s.pipes.conns <- server
	go func() { _, _ = io.WriteString(client, text) }()
	return client
}

// answer reads an answer, and how long it took to come and the connection to end.
func (s *pipeServer) answer(c net.Conn) (status int, body string, after time.Duration) {
	s.t.Helper()
	start := time.Now()
	in := bufio.NewReader(c)
	r, err := http.ReadResponse(in, nil)
	require.NoError(s.t, err)
	text, err := io.ReadAll(r.Body)
	require.NoError(s.t, err)
	after = time.Since(start)
	_, err = in.ReadByte()
	require.ErrorIs(s.t, err, io.EOF)
	return r.StatusCode, string(text), after
}

// head is a request without its body.
func head(r *http.Request, header string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n", r.Method, r.URL.RequestURI(), header)
}

func TestNobodyIsWaitedForWhoMayNotSend(t *testing.T) {
	const half = "Content-Length: 1048576"
	plain := func(path, header string) func(*App) string {
		return func(*App) string { return "POST " + path + " HTTP/1.1\r\nHost: h\r\n" + header + "\r\n\r\n" }
	}
	signed := func(path, body, header string) func(*App) string {
		return func(app *App) string { return head(signedRequest(app, "POST", path, body, nil), header) }
	}
	const events = "/apps/1/events"
	for name, test := range map[string]struct {
		request func(*App) string
		status  int
		text    string
	}{
		"unsigned":           {plain(events, half), 401, "auth_key is missing"},
		"expects to be told": {plain(events, "Expect: 100-continue\r\n"+half), 401, "auth_key is missing"},
		"wrong secret": {func(*App) string {
			return head(signedRequest(&App{Key: "key", Secret: "other"}, "POST", events, "x", nil), half)
		}, 401, "auth_signature does not match"},
		"stale": {func(app *App) string {
			return head(signedAt(app, "POST", events, events, "x", nil, time.Now().Add(-time.Hour)), half)
		}, 401, "the limit is 600 s"},
		"no MD5":             {signed(events, "", half), 401, "body_md5 is missing"},
		"no MD5, in chunks":  {signed(events, "", "Transfer-Encoding: chunked\r\n\r\n1\r\nx"), 401, "body_md5 is missing"},
		"unknown app":        {plain("/apps/2/events", half), 404, "does not exist"},
		"unknown route":      {signed("/apps/1/users/ann", "x", half), 404, "not found"},
		"method":             {signed("/apps/1/channels", "x", half), 405, "use GET"},
		"declared too large": {signed(events, "x", "Content-Length: 1048577"), 413, "limit is 1048576"},
		"chunks too large":   {signed(events, "x", "Transfer-Encoding: chunked\r\n\r\n100001\r\n"+strings.Repeat("x", 1<<20+1)), 413, "limit is 1048576"},
		"no such path":       {plain("/nothing", half), 404, "not found"},
		"no WebSocket":       {plain("/app/key", half), 426, "WebSocket"},
		"a small body":       {plain("/nothing", "Content-Length: 10"), 404, "not found"}, // which net/http waits for
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPITest(t)
				s := servePipes(t, a.handler)
				start := time.Now()
				status, text, after := s.answer(s.send(test.request(a.app)))
				assert.Equal(t, test.status, status, text)
				assert.Contains(t, text, test.text)
				assert.Zero(t, after, "the answer comes at once")
				assert.LessOrEqual(t, time.Since(start), refusedBodyTimeout, "and the connection ends soon")
			})
		})
	}
}

// endpoints are what reads bodies: the HTTP API, and who has no signature.
func endpoints(a *apiTest) map[string]struct {
	h    http.Handler
	half string
} {
	const form = "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 50\r\n\r\nsocket_id=1.2"
	return map[string]struct {
		h    http.Handler
		half string
	}{
		"API":      {a.handler, head(signedRequest(a.app, "POST", "/apps/1/events", "x", nil), "Content-Length: 1048576") + "x"},
		"channels": {NewAuthHandler(a.app, func(*http.Request, AuthRequest) (*broker.Member, error) { return nil, nil }), form},
		"users":    {NewUserAuthHandler(a.app, func(*http.Request) (*broker.User, error) { return &broker.User{ID: "ann"}, nil }), form},
	}
}

func TestABodyHasItsTime(t *testing.T) {
	for _, name := range []string{"API", "channels", "users"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPITest(t)
				e := endpoints(a)[name]
				s := servePipes(t, e.h)
				status, text, after := s.answer(s.send(e.half))
				assert.Equal(t, 408, status, text)
				assert.Contains(t, text, "body did not come within 10s")
				assert.Equal(t, BodyTimeout, after)
				if name == "API" {
					assert.EqualValues(t, 1, a.handler.Stats().LateBodies)
				}
			})
		})
	}
}

func TestABodyThatDoesNotComeHoldsUpNoShutdown(t *testing.T) {
	for _, name := range []string{"API", "channels", "users"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPITest(t)
				e := endpoints(a)[name]
				s := servePipes(t, e.h)
				c := s.send(e.half)
				synctest.Wait()
				start := time.Now()
				ended := make(chan error, 1)
				go func() { ended <- s.http.Shutdown(context.WithoutCancel(t.Context())) }()
				status, text, after := s.answer(c)
				assert.Equal(t, 503, status)
				assert.Contains(t, text, "shutting down")
				assert.Zero(t, after)
				require.NoError(t, <-ended)
				assert.Less(t, time.Since(start), time.Second)
			})
		})
	}
}

// TestSlowBodiesGiveWay lets in who sends at once, however many do not.
func TestSlowBodiesGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewAuthHandler(authApp, func(*http.Request, AuthRequest) (*broker.Member, error) { return nil, nil })
		s := servePipes(t, h)
		const half = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nsocket_id=1.2"
		oldest := s.send(half)
		synctest.Wait()
		for range maxAuthReading - 1 {
			s.send(half)
		}
		synctest.Wait()
		const form = "socket_id=1.2&channel_name=private-a"
		honest := s.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(form), form))
		status, text, _ := s.answer(honest)
		assert.Equal(t, 200, status, text)
		status, text, after := s.answer(oldest)
		assert.Equal(t, 408, status)
		assert.Contains(t, text, "over 1000 are coming in")
		assert.Zero(t, after)
	})
}

// TestStreamsOutliveTheServersReadTimeout lets programs bound what their own
// handlers read.
func TestStreamsOutliveTheServersReadTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPITest(t)
		s := servePipesWith(t, &http.Server{Handler: a.handler, ReadTimeout: 10 * time.Second})
		feed := bufio.NewReader(s.send("GET /sse/app/key?channels=room HTTP/1.1\r\nHost: h\r\n\r\n"))
		stream := bufio.NewReader(s.send("POST /app/key/0/abcdefgh/xhr_streaming?protocol=7 HTTP/1.1\r\nHost: h\r\n\r\n"))
		until := func(in *bufio.Reader, text string) {
			t.Helper()
			for {
				line, err := in.ReadString('\n')
				require.NoError(t, err)
				if strings.Contains(line, text) {
					return
				}
			}
		}
		until(feed, "subscribed to room")
		until(stream, "connection_established")
		go func() { _, _ = io.Copy(io.Discard, stream) }() // such as heartbeats
		time.Sleep(15 * time.Second)
		assert.EqualValues(t, 2, a.broker.Stats().Sessions)
		_, err := a.broker.App("1").Publish(t.Context(), "room", "message", []byte("hello"))
		require.NoError(t, err)
		until(feed, "hello")
		go func() { _, _ = io.Copy(io.Discard, feed) }()
		require.NoError(t, a.broker.Shutdown(t.Context()))
	})
}

// TestABodyLeavesNoDeadline lets a handler take its time once the body is there.
func TestABodyLeavesNoDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewAuthHandler(authApp, func(r *http.Request, _ AuthRequest) (*broker.Member, error) {
			time.Sleep(2 * BodyTimeout)
			return nil, r.Context().Err()
		})
		const form = "socket_id=1.2&channel_name=private-a"
		s := servePipes(t, h)
		c := s.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(form), form))
		status, text, _ := s.answer(c)
		assert.Equal(t, 200, status, text)
	})
}
