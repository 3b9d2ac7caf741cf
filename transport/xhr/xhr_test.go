package xhr

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/carillon-rt/carillon/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is the server's end of a session.
type peer struct {
	conn     transport.Conn
	received chan string
	closed   chan int
}

func (p *peer) Receive(data []byte)      { p.received <- string(data) }
func (p *peer) Closed(code int, _ error) { p.closed <- code }

// site is a server of sessions at /{session}/{action}.
type site struct {
	t *testing.T
	*Server
	http *httptest.Server

	mu    sync.Mutex
	peers map[string]*peer // guarded by mu
}

func newSite(t *testing.T, opts ...Option) *site {
	t.Helper()
	s := &site{t: t, Server: newServer(t, opts...), peers: map[string]*peer{}}
	s.http = httptest.NewServer(s)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Shutdown(ctx)
		s.http.Close()
	})
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(r.URL.Path, "/")
	id, action := parts[1], parts[2]
	open := func(conn transport.Conn) transport.Receiver {
		p := &peer{conn: conn, received: make(chan string, 100), closed: make(chan int, 2)}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.peers[id] = p
		_ = conn.Send(transport.NewMessage([]byte("welcome")))
		return p
	}
	switch action {
	case "xhr_send":
		s.ServeSend(w, r, id)
	case "xhr":
		s.ServeReceive(w, r, id, Polling, open)
	default:
		s.ServeReceive(w, r, id, Streaming, open)
	}
}

func (s *site) peer(id string) *peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NotNil(s.t, s.peers[id])
	return s.peers[id]
}

func (s *site) request(method, path, body string) *http.Response {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.http.URL+path, strings.NewReader(body))
	require.NoError(s.t, err)
	resp, err := s.http.Client().Do(req)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// poll receives once.
func (s *site) poll(id string) string {
	s.t.Helper()
	resp := s.request("POST", "/"+id+"/xhr", "")
	require.Equal(s.t, 200, resp.StatusCode)
	body, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	return string(body)
}

// stream opens a response and reads its chunks.
func (s *site) stream(id string) (*http.Response, func() string) {
	s.t.Helper()
	resp := s.request("POST", "/"+id+"/xhr_streaming", "")
	require.Equal(s.t, 200, resp.StatusCode)
	lines := bufio.NewReaderSize(resp.Body, 1<<20)
	return resp, func() string {
		s.t.Helper()
		line, err := lines.ReadString('\n')
		require.NoError(s.t, err, line)
		return line
	}
}

func (s *site) send(id, body string, status int) {
	s.t.Helper()
	assert.Equal(s.t, status, s.request("POST", "/"+id+"/xhr_send", body).StatusCode)
}

func say(t *testing.T, p *peer, text string) {
	t.Helper()
	require.NoError(t, p.conn.Send(transport.NewMessage([]byte(text))))
}

func TestStreaming(t *testing.T) {
	s := newSite(t)
	resp, next := s.stream("one")
	assert.Equal(t, "*", resp.Header.Get("Access-Control-Allow-Origin"))
	assert.Equal(t, "o\n", next())
	assert.Equal(t, "a[\"welcome\"]\n", next())
	p := s.peer("one")
	say(t, p, `{"event":"<b>"}`)
	assert.Equal(t, "a[\"{\\\"event\\\":\\\"<b>\\\"}\"]\n", next())
	s.send("one", `["a","b"]`, 204)
	s.send("one", `[]`, 204)
	assert.Equal(t, "a", <-p.received)
	assert.Equal(t, "b", <-p.received)
	assert.Equal(t, "xhr_streaming", p.conn.Info().Transport)
	say(t, p, "last")
	p.conn.Close(4200, "come back")
	assert.Equal(t, "a[\"last\"]\n", next())
	assert.Equal(t, "c[4200,\"come back\"]\n", next())
	assert.Equal(t, 4200, <-p.closed)
	s.send("one", `["late"]`, 404)
	assert.Eventually(t, func() bool { return s.Stats().Sessions == 0 }, 20*time.Second, time.Millisecond)
}

func TestPolling(t *testing.T) {
	s := newSite(t)
	assert.Equal(t, "o\na[\"welcome\"]\n", s.poll("one"))
	p := s.peer("one")
	assert.Equal(t, "xhr_polling", p.conn.Info().Transport)
	say(t, p, "1")
	say(t, p, "2")
	assert.Equal(t, "a[\"1\"]\na[\"2\"]\n", s.poll("one"))
	go func() {
		<-p.received
		_ = p.conn.Send(transport.NewMessage([]byte("3")))
	}()
	polled := make(chan string)
	go func() { polled <- s.poll("one") }()
	s.send("one", `["now"]`, 204)
	assert.Equal(t, "a[\"3\"]\n", <-polled)
	p.conn.Close(4000, "")
	assert.Equal(t, "c[4000,\"\"]\n", s.poll("one"))
	assert.Equal(t, 4000, <-p.closed)
	assert.Contains(t, s.poll("one"), "o\n", "a session that is lost opens again")
}

// TestANewResponseTakesOver has a client give up one response for another, as it
// does when the first has grown long.
func TestANewResponseTakesOver(t *testing.T) {
	s := newSite(t)
	_, first := s.stream("one")
	assert.Equal(t, "o\n", first())
	assert.Equal(t, "a[\"welcome\"]\n", first())
	p := s.peer("one")
	text := strings.Repeat("ü😀", 1000) // 3 code units and 6 bytes each
	sent, got := 200, 0
	for i := range sent {
		say(t, p, fmt.Sprint(i, text))
	}
	units := 0
	for read := first; got < sent; got++ {
		var chunk []string
		line := read()
		require.NoError(t, json.Unmarshal([]byte(line[1:]), &chunk))
		require.Equal(t, []string{fmt.Sprint(got, text)}, chunk)
		if units += length([]byte(line)); units > restart {
			_, read = s.stream("one")
			units = 0
		}
	}
}

func TestSessionsAreBounded(t *testing.T) {
	s := newSite(t, WithMaxSessions(1))
	s.poll("one")
	resp := s.request("POST", "/two/xhr", "")
	assert.Equal(t, 503, resp.StatusCode)
	assert.EqualValues(t, 1, s.Stats().Refused)
	assert.Equal(t, 1, s.Stats().Sessions)
}

func TestQueuesAreBounded(t *testing.T) {
	s := newSite(t, WithQueueLimits(3, 1000))
	s.poll("one")
	p := s.peer("one")
	for range 3 {
		say(t, p, "x")
	}
	var full *transport.QueueError
	require.ErrorAs(t, p.conn.Send(transport.NewMessage([]byte("x"))), &full)
	assert.Equal(t, 3, full.MessageLimit)
	assert.Equal(t, "a[\"x\"]\na[\"x\"]\na[\"x\"]\n", s.poll("one"))
	require.ErrorIs(t, p.conn.Send(transport.NewMessage(make([]byte, 1001))), transport.ErrSlow)
}

func TestSessionsThatNobodyReceivesForEnd(t *testing.T) {
	s := newSite(t, WithGap(time.Second))
	s.poll("one")
	assert.Equal(t, transport.StatusAbnormal, <-s.peer("one").closed)
	s.poll("two")
	p := s.peer("two")
	p.conn.Close(4100, "too slow")
	assert.Equal(t, 4100, <-p.closed)
	assert.Eventually(t, func() bool { return s.Stats().Sessions == 0 }, 20*time.Second, time.Millisecond)
}

func TestHeartbeats(t *testing.T) {
	s := newSite(t, WithHeartbeat(time.Second))
	_, next := s.stream("one")
	next()
	next()
	assert.Equal(t, "h\n", next())
	s.poll("two")
	assert.Equal(t, "h\n", s.poll("two"))
}

func TestBadRequests(t *testing.T) {
	s := newSite(t, WithReadLimit(100))
	s.send("none", `["a"]`, 404)
	s.poll("one")
	assert.Equal(t, 405, s.request("GET", "/one/xhr", "").StatusCode)
	assert.Equal(t, 413, s.request("POST", "/one/xhr", strings.Repeat("x", 101)).StatusCode)
	preflight := s.request("OPTIONS", "/one/xhr_send", "")
	assert.Equal(t, 204, preflight.StatusCode)
	assert.Contains(t, preflight.Header.Get("Access-Control-Allow-Headers"), "Content-Type")
	assert.Empty(t, s.peer("one").received)
	assert.Empty(t, s.peer("one").closed)
}

// TestBodiesThatAreNotUnderstoodEndTheirSession since clients do not look at the
// answer, and would wait for ever for what they asked for.
func TestBodiesThatAreNotUnderstoodEndTheirSession(t *testing.T) {
	s := newSite(t, WithReadLimit(100))
	bodies := []string{"", "nonsense", `{"a":1}`, `[1]`, `["a"`, "[\"\xff\"]"}
	for i, body := range bodies {
		id := fmt.Sprint(i)
		s.poll(id)
		s.send(id, body, 400)
		assert.Contains(t, s.poll(id), "c[1007,", body)
		assert.Equal(t, 1007, <-s.peer(id).closed)
		assert.Empty(t, s.peer(id).received)
	}
	s.poll("large")
	s.send("large", `["`+strings.Repeat("x", 100)+`"]`, 413)
	assert.Equal(t, "c[1009,\"body is too large: the limit is 100 bytes\"]\n", s.poll("large"))
	assert.Equal(t, 1009, <-s.peer("large").closed)
	assert.EqualValues(t, len(bodies), s.Stats().Invalid)
	assert.EqualValues(t, 1, s.Stats().Oversized)
}

func TestShutdownCutsOffWhatIsLeft(t *testing.T) {
	s := newSite(t)
	_, next := s.stream("one")
	next()
	p := s.peer("one")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, s.Shutdown(ctx), context.Canceled)
	assert.Equal(t, transport.StatusAbnormal, <-p.closed)
	assert.Equal(t, 503, s.request("POST", "/two/xhr", "").StatusCode)
}

func TestLengthIsThatOfAScript(t *testing.T) {
	for text, want := range map[string]int{"": 0, "abc": 3, "ü": 1, "😀": 2, "\xff": 1} {
		assert.Equal(t, want, length([]byte(text)), text)
	}
}
