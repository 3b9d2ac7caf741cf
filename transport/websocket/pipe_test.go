package websocket

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/transport"
)

// pipeWriter is a http.ResponseWriter over a pipe. It writes no response.
type pipeWriter struct {
	http.ResponseWriter
	nc net.Conn
}

func (w *pipeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.nc, bufio.NewReadWriter(bufio.NewReader(w.nc), bufio.NewWriter(w.nc)), nil
}

func upgradeRequest() *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	return r
}

// pipe connects a peer without a socket, as bubbles of synctest need it. Such a
// pipe holds nothing: what the peer does not read blocks the writer.
func pipe(t testing.TB, s *Server) (*peer, *echo) {
	client, server := net.Pipe()
	var e *echo
	err := s.Serve(&pipeWriter{httptest.NewRecorder(), server}, upgradeRequest(), func(conn transport.Conn) transport.Receiver {
		e = newEcho(conn)
		return e
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return &peer{client, t}, e
}

func shutdown(t testing.TB, s *Server) {
	require.NoError(t, s.Shutdown(context.Background()))
}

func TestWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, WithWriteTimeout(7*time.Second))
		defer shutdown(t, s)
		p, e := pipe(t, s)
		start := time.Now()
		require.NoError(t, e.conn.Send(transport.NewMessage([]byte("one"))))
		require.NoError(t, e.conn.Send(transport.NewMessage([]byte("two"))))

		// A peer that takes a little of it each time is not cut off.
		for range 4 {
			time.Sleep(6 * time.Second)
			_, err := p.Read(make([]byte, 1))
			require.NoError(t, err)
		}
		end := <-e.closed
		require.Equal(t, transport.StatusAbnormal, end.code)
		require.ErrorIs(t, end.err, ErrWriteTimeout)
		require.InDelta(t, (24+7)*time.Second, time.Since(start), float64(7*time.Second))
		require.EqualValues(t, 1, s.Stats().WriteTimeouts)
		require.EqualValues(t, 2, s.Stats().Dropped)
	})
}

// TestCloseTimeout sees that a receiver hears at once that its connection was
// closed, while the peer has the close time-out to take what is left and to end it.
func TestCloseTimeout(t *testing.T) {
	for _, c := range []struct {
		name  string
		close func(p *peer, e *echo)
		code  int
	}{
		{"by server, frame not taken", func(_ *peer, e *echo) { e.conn.Close(4000, "") }, 4000},
		{"by server, not answered", func(p *peer, e *echo) {
			e.conn.Close(4000, "")
			code, _ := p.expectClose()
			require.Equal(p.t, 4000, code)
		}, 4000},
		{"by peer, answer not taken", func(p *peer, _ *echo) { p.write(masked(finClose, []byte{3, 232})) }, 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, WithCloseTimeout(3*time.Second), WithWriteTimeout(time.Minute))
				defer shutdown(t, s)
				p, e := pipe(t, s)
				start := time.Now()
				c.close(p, e)
				require.Equal(t, ending{c.code, nil}, <-e.closed)
				require.Equal(t, start, time.Now())
				time.Sleep(3*time.Second - 1)
				require.EqualValues(t, 1, s.Stats().Open)
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				require.Zero(t, s.Stats().Open)
				require.EqualValues(t, 1, s.Stats().CloseTimeouts)
			})
		})
	}
}

func TestControlFrameNotCompleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		defer shutdown(t, s)
		p, e := pipe(t, s)
		p.write(masked(finPing, []byte("hello"))[:8])
		end := <-e.closed
		require.Equal(t, transport.StatusAbnormal, end.code)
		require.ErrorIs(t, end.err, ErrProtocol)
		require.EqualValues(t, 1, s.Stats().ProtocolErrors)
	})
}

func TestPingsWithinALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		defer shutdown(t, s)
		p, e := pipe(t, s)
		for range 3 {
			for range ControlFramesPerSecond {
				p.write(masked(finPing, []byte("x")))
				p.expect(finPong, "x")
			}
			time.Sleep(time.Second)
		}
		require.Equal(t, time.Second, time.Since(e.conn.LastReceived()))
		p.write(masked(finClose, []byte{3, 232}))
		p.expect(finClose, "\x03\xe8")
		<-e.closed
	})
}

// A peer that sends pings and reads none of the pongs fills up no memory, and finds
// the answer to its latest ping.
func TestUnreadPongs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, WithWriteTimeout(time.Hour))
		defer shutdown(t, s)
		p, e := pipe(t, s)
		for i := range 1000 {
			p.write(masked(finPing, []byte(strconv.Itoa(i))))
			time.Sleep(time.Second / ControlFramesPerSecond)
		}
		c := e.conn.(*conn)
		c.mu.Lock()
		require.EqualValues(t, 1, c.queue.count)
		c.mu.Unlock()
		p.expect(finPong, "0")
		p.expect(finPong, "999")
		e.conn.Close(4000, "")
		p.expectClose()
		require.NoError(t, p.Close())
	})
}

// TestPingsInOneWrite has a peer that sends as many pings as it may at once, and
// reads what comes back.
func TestPingsInOneWrite(t *testing.T) {
	for _, opts := range [][]Option{nil, {portable}} {
		f := newFixture(t, opts...)
		p, e := f.raw("")
		var pings []byte
		for i := range ControlFramesPerSecond {
			pings = append(pings, masked(finPing, []byte(strconv.Itoa(i)))...)
		}
		p.write(pings)
		last := -1
		for last < ControlFramesPerSecond-1 {
			got, err := readFrame(p)
			require.NoError(t, err)
			require.Equal(t, byte(finPong), got.first)
			n, err := strconv.Atoi(string(got.payload))
			require.NoError(t, err)
			require.Greater(t, n, last)
			last = n
		}
		require.Empty(t, e.closed)
	}
}

// FuzzInput sees that no input makes a connection panic, hang, hand over what is
// not text, or end more or less than once.
func FuzzInput(f *testing.F) {
	f.Add(masked(finText, []byte("hello")), true)
	f.Add(masked(finPing, []byte("hello")), false)
	f.Add(masked(finClose, []byte{3, 232}), false)
	f.Add(append(masked(0x01, []byte("Gr\xc3")), masked(0x80, []byte("\xb6"))...), false)
	f.Add(masked(finText|compressed, []byte{0xca, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00}), true)
	f.Fuzz(func(t *testing.T, input []byte, compress bool) {
		opts := []Option{WithReadLimit(1000)}
		r := upgradeRequest()
		if compress {
			opts = append(opts, WithCompression(1))
			r.Header.Set("Sec-WebSocket-Extensions", "permessage-deflate")
		}
		s := newServer(t, opts...)
		client, server := net.Pipe()
		c := &checked{t: t, closed: make(chan ending, 2)}
		err := s.Serve(&pipeWriter{httptest.NewRecorder(), server}, r, func(conn transport.Conn) transport.Receiver {
			c.conn = conn
			return c
		})
		require.NoError(t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				if _, err := readFrame(client); err != nil {
					_ = client.Close()
					return
				}
			}
		}()
		_, _ = client.Write(input)
		_ = client.Close()
		<-c.closed
		<-done
		shutdown(t, s)
		require.Empty(t, c.closed)
	})
}

// checked is an echo that checks what it receives.
type checked struct {
	t      *testing.T
	conn   transport.Conn
	closed chan ending
}

func (c *checked) Receive(data []byte) {
	assert.True(c.t, utf8.Valid(data))
	assert.LessOrEqual(c.t, len(data), 1000)
	_ = c.conn.Send(transport.NewMessage(append([]byte(nil), data...)))
}

func (c *checked) Closed(code int, err error) { c.closed <- ending{code, err} }
