package websocket

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/internal/alloctest"
	"github.com/carillon-rt/carillon/transport"
)

// big is a message that no socket takes many of.
var big = transport.NewMessage(bytes.Repeat([]byte("x"), 256<<10))

func TestSlowReaderIsCutWhileOthersGoOn(t *testing.T) {
	for _, c := range []struct {
		name string
		opts []Option
	}{{"raw", nil}, {"portable", []Option{portable}}} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, append(c.opts, WithWriteTimeout(2*time.Second))...)
			_, slow := f.raw("")
			fast, e := f.raw("")
			go func() {
				for !errors.Is(slow.conn.Send(big), transport.ErrClosed) {
					runtime.Gosched()
				}
			}()
			var end ending
			for gone := false; !gone; {
				select {
				case end = <-slow.closed:
					gone = true
				default:
					require.NoError(t, e.conn.Send(transport.NewMessage([]byte("on"))))
					fast.expect(finText, "on")
				}
			}
			require.Equal(t, transport.StatusAbnormal, end.code)
			require.ErrorIs(t, end.err, ErrWriteTimeout)
			stats := f.server.Stats()
			require.EqualValues(t, 1, stats.WriteTimeouts)
			require.EqualValues(t, 1, stats.Slow)
			require.Positive(t, stats.Dropped)
		})
	}
}

func TestBlockedSocketIsDrained(t *testing.T) {
	f := newFixture(t)
	p, e := f.raw("")
	sent := 0
	for f.server.Stats().Blocked == 0 {
		if e.conn.Send(big) == nil {
			sent++
		}
		runtime.Gosched()
	}
	for range sent {
		p.expect(finText, string(big.Payload()))
	}
	// And then it is the flushers' again.
	before := f.server.Stats().Blocked
	p.write(masked(finText, []byte("hello")))
	p.expect(finText, "hello")
	require.Equal(t, before, f.server.Stats().Blocked)
}

func TestShutdownWaits(t *testing.T) {
	f := newFixture(t)
	p, e := f.raw("")
	done := make(chan error, 1)
	go func() { done <- f.server.Shutdown(context.Background()) }()
	require.Eventually(t, func() bool {
		r, err := http.Get(f.http.URL)
		require.NoError(t, err)
		defer func() { _ = r.Body.Close() }()
		return r.StatusCode == http.StatusServiceUnavailable
	}, patience, time.Millisecond)
	http.DefaultClient.CloseIdleConnections()
	p.write(masked(finText, []byte("still here")))
	p.expect(finText, "still here")
	require.Empty(t, done)
	e.conn.Close(4200, "restart")
	code, reason := p.expectClose()
	require.Equal(t, 4200, code)
	require.Equal(t, "restart", reason)
	p.write(masked(finClose, binary.BigEndian.AppendUint16(nil, 4200)))
	require.NoError(t, <-done)
	require.NoError(t, f.server.Shutdown(context.Background()))
	require.Zero(t, f.server.Stats().Open)
}

func TestShutdownCuts(t *testing.T) {
	f := newFixture(t)
	_, idle := f.raw("")
	_, blocked := f.raw("")
	for blocked.conn.Send(big) == nil {
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(io.ErrClosedPipe)
	err := f.server.Shutdown(ctx)
	require.ErrorIs(t, err, ErrShutdown)
	require.ErrorIs(t, err, io.ErrClosedPipe)
	for _, e := range []*echo{idle, blocked} {
		end := <-e.closed
		require.Equal(t, transport.StatusAbnormal, end.code)
		require.ErrorIs(t, end.err, ErrShutdown)
	}
	require.ErrorIs(t, f.server.Serve(httptest.NewRecorder(), upgradeRequest(), nil), ErrShutdown)
}

// TestGoroutines counts those of the connections and of the flushers, one each,
// and of the few workers that are kept. There is no other of the server's.
func TestGoroutines(t *testing.T) {
	f := newFixture(t)
	const conns = 100
	for range conns {
		p, _ := f.raw("")
		p.write(masked(finText, []byte("hello")))
		p.expect(finText, "hello")
	}
	stacks := make([]byte, 4<<20)
	count := func() (readers, flushers, workers, all int) {
		text := string(stacks[:runtime.Stack(stacks, true)])
		for g := range strings.SplitSeq(text, "\n\n") {
			if strings.Contains(g, "websocket.(*conn).wait(") {
				readers++
			}
			if strings.Contains(g, "websocket.(*flusher).run(") {
				flushers++
			}
			if strings.Contains(g, "websocket.(*workers).run(") {
				workers++
			}
			if strings.Contains(g, "created by github.com/carillon-rt/carillon/transport/websocket.(*") {
				all++
			}
		}
		return readers, flushers, workers, all
	}
	// A connection changes its goroutine when it falls idle.
	require.Eventually(t, func() bool {
		readers, flushers, workers, all := count()
		return readers == conns && flushers == len(f.server.flushers) && workers <= int(f.server.workers.most) &&
			all == readers+flushers+workers
	}, patience, 10*time.Millisecond)
}

func TestPanicInOpen(t *testing.T) {
	s := newServer(t)
	h := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = s.Serve(w, r, func(transport.Conn) transport.Receiver { panic("open") })
	}))
	h.Config.ErrorLog = log.New(io.Discard, "", 0)
	h.Start()
	defer h.Close()
	nc, err := net.Dial("tcp", h.Listener.Addr().String())
	require.NoError(t, err)
	defer func() { _ = nc.Close() }()
	require.NoError(t, upgradeRequest().Write(nc))
	n, err := nc.Read(make([]byte, 1))
	require.Zero(t, n, "no answer to the handshake")
	require.Error(t, err)
	require.NoError(t, s.Shutdown(context.Background()))
}

func TestRefusedUpgrade(t *testing.T) {
	s := newServer(t)
	defer shutdown(t, s)
	never := func(transport.Conn) transport.Receiver { panic("open was called") }

	w := httptest.NewRecorder()
	require.ErrorIs(t, s.Serve(w, upgradeRequest(), never), http.ErrNotSupported)
	require.Equal(t, http.StatusNotImplemented, w.Code)

	w = httptest.NewRecorder()
	require.Error(t, s.Serve(&pipeWriter{w, nil}, httptest.NewRequest(http.MethodGet, "/", nil), never))
	require.Equal(t, http.StatusUpgradeRequired, w.Code)
	require.Zero(t, s.Stats())
}

// A client may send its first message together with the handshake.
func TestEarlyMessage(t *testing.T) {
	f := newFixture(t)
	var request strings.Builder
	require.NoError(t, upgradeRequest().Write(&request))
	p, e := f.early(request.String() + string(masked(finText, []byte("early"))))
	p.expect(finText, "early")
	e.conn.Close(4000, "")
	p.expectClose()
}

func TestCloseFrame(t *testing.T) {
	for _, c := range []struct {
		code         int
		reason, want string
	}{
		{4000, "why", "\x0f\xa0why"},
		{1005, "may not be sent", ""},
		{0, "", ""},
		{70000, "", ""},
		{1001, strings.Repeat("ö", 100), "\x03\xe9" + strings.Repeat("ö", 61)},
		{1001, "\xff", "\x03\xe9\uFFFD"},
	} {
		f, err := readFrame(bytes.NewReader(closeFrame(c.code, c.reason)))
		require.NoError(t, err)
		require.Equal(t, frame{finClose, []byte(c.want)}, f)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("hello"), 4000, "reason", uint16(0))
	f.Add([]byte{}, 1005, "\xff", uint16(126))
	f.Fuzz(func(t *testing.T, payload []byte, code int, reason string, more uint16) {
		payload = append(payload, make([]byte, more)...)
		r := bytes.NewReader(append(transport.NewMessage(payload).In(textFrames), closeFrame(code, reason)...))
		text, err := readFrame(r)
		require.NoError(t, err)
		require.Equal(t, byte(finText), text.first)
		require.True(t, bytes.Equal(payload, text.payload))
		goodbye, err := readFrame(r)
		require.NoError(t, err)
		require.Equal(t, byte(finClose), goodbye.first)
		require.LessOrEqual(t, len(goodbye.payload), maxControl)
		require.True(t, len(goodbye.payload) == 0 || utf8.Valid(goodbye.payload[2:]))
		require.Zero(t, r.Len())
	})
}

// TestSendAllocates holds what sending costs: nothing for each connection.
func TestSendAllocates(t *testing.T) {
	f := newFixture(t)
	p, e := f.raw("")
	buf := make([]byte, 64<<10)
	m := transport.NewMessage([]byte("hello"))
	n := len(m.In(textFrames))
	round := func() {
		assert.NoError(t, e.conn.Send(m))
		_, err := io.ReadFull(p, buf[:n])
		assert.NoError(t, err)
	}
	round()
	require.Zero(t, int(alloctest.PerRun(1000, round)))
}

// silent receives and says nothing.
type silent struct{ received chan struct{} }

func (s silent) Receive([]byte)    { s.received <- struct{}{} }
func (s silent) Closed(int, error) {}

// TestReceiveAllocates holds what receiving costs: nothing, or with the race
// detector, under which pools forget, a buffer.
func TestReceiveAllocates(t *testing.T) {
	s := newServer(t)
	defer shutdown(t, s)
	client, server := net.Pipe()
	defer func() { _ = client.Close() }()
	r := silent{make(chan struct{}, 1)}
	err := s.Serve(&pipeWriter{httptest.NewRecorder(), server}, upgradeRequest(), func(transport.Conn) transport.Receiver { return r })
	require.NoError(t, err)
	message := masked(finText, []byte("hello"))
	require.LessOrEqual(t, alloctest.PerRun(1000, func() {
		_, err := client.Write(message)
		assert.NoError(t, err)
		<-r.received
	}), 1.0)
}

// TestConnectionsAreBounded also while their clients do not answer the end.
func TestConnectionsAreBounded(t *testing.T) {
	f := newFixture(t, WithMaxConnections(2))
	_, e := f.raw("")
	f.raw("")
	full := func() int {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		w := httptest.NewRecorder()
		err := f.server.Serve(w, r, nil)
		if w.Code == http.StatusServiceUnavailable {
			require.ErrorIs(t, err, ErrFull)
			require.NotEmpty(t, w.Header().Get("Retry-After"))
		}
		return w.Code
	}
	require.Equal(t, http.StatusServiceUnavailable, full())
	e.conn.Close(4200, "")
	require.Equal(t, http.StatusServiceUnavailable, full(), "its client is yet to answer")
	require.EqualValues(t, 2, f.server.Stats().Refused)
	<-e.closed
	require.Eventually(t, func() bool { return full() != http.StatusServiceUnavailable }, patience, time.Millisecond)
	f.raw("")
}
