package sse

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/internal/streamtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// receiver keeps how its connection ended.
type receiver struct{ closed chan int }

func (receiver) Receive([]byte)             {}
func (r receiver) Closed(code int, _ error) { r.closed <- code }

// feed is a server with one stream, and the server's end of it.
type feed struct {
	*Server
	conn   transport.Conn
	closed chan int
	http   *httptest.Server
	resp   *http.Response
	lines  *bufio.Reader
}

func newFeed(t *testing.T, opts ...Option) *feed {
	t.Helper()
	f := &feed{Server: newServer(t, opts...), closed: make(chan int, 1)}
	f.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := f.Serve(w, r, func(conn transport.Conn) transport.Receiver {
			if r.URL.Path == "/refused" {
				return nil
			}
			f.conn = conn
			return receiver{f.closed}
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		} else if r.URL.Path == "/refused" {
			http.Error(w, "no", http.StatusForbidden)
		}
	}))
	f.resp = f.get(t, "/")
	f.lines = bufio.NewReader(f.resp.Body)
	t.Cleanup(func() {
		_ = f.resp.Body.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		assert.NoError(t, f.Shutdown(ctx))
		f.http.Close()
	})
	return f
}

func (f *feed) get(t *testing.T, path string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", f.http.URL+path, nil)
	require.NoError(t, err)
	resp, err := f.http.Client().Do(req)
	require.NoError(t, err)
	return resp
}

// block reads one block.
func (f *feed) block(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for {
		line, err := f.lines.ReadString('\n')
		require.NoError(t, err, b.String())
		if line == "\n" {
			return b.String()
		}
		b.WriteString(line)
	}
}

func TestBlocksArriveInOrderAndJoinTheirIDs(t *testing.T) {
	f := newFeed(t)
	assert.Equal(t, "text/event-stream", f.resp.Header.Get("Content-Type"))
	send := func(block []byte) { require.NoError(t, f.conn.Send(transport.NewMessage(block))) }
	send(Comment("hello\r\nthere"))
	send(Block(ID{}, []byte(`{"n":1}`)))
	send(Block(ID{"a", "e", 1}, []byte(`{"n":2}`)))
	send(Block(ID{"b=&", "f", 7}, nil))
	send(Block(ID{"a", "e", 2}, []byte(`{"n":3}`)))
	for _, want := range []string{
		": hello  there\n", "data: {\"n\":1}\n", "id: a=e:1\ndata: {\"n\":2}\n",
		"id: a=e:1&b%3D%26=f:7\n", "id: a=e:2&b%3D%26=f:7\ndata: {\"n\":3}\n",
	} {
		assert.Equal(t, want, f.block(t))
	}
	assert.Equal(t, Name, f.conn.Info().Transport)
	assert.Equal(t, 1, f.Stats().Connections)
	assert.WithinDuration(t, time.Now(), f.conn.LastReceived(), time.Minute)
}

func TestCloseTellsWhyAndWhenToComeBack(t *testing.T) {
	f := newFeed(t)
	require.NoError(t, f.conn.Send(transport.NewMessage(Block(ID{}, []byte("last")))))
	f.conn.Close(4200, `restart "now"`)
	f.conn.Close(4000, "second")
	require.ErrorIs(t, f.conn.Send(transport.NewMessage(nil)), transport.ErrClosed)
	assert.Equal(t, "data: last\n", f.block(t))
	assert.Regexp(t, `\Aretry: \d+\nevent: close\ndata: \{"code":4200,"reason":"restart \\"now\\""\}\n\z`, f.block(t))
	assert.Equal(t, 4200, <-f.closed)
	assert.Eventually(t, func() bool { return f.Stats().Connections == 0 }, 20*time.Second, time.Millisecond)
}

func TestAClientThatGoesIsNoticed(t *testing.T) {
	f := newFeed(t)
	require.NoError(t, f.resp.Body.Close())
	assert.Equal(t, transport.StatusAbnormal, <-f.closed)
	require.ErrorIs(t, f.conn.Send(transport.NewMessage(nil)), transport.ErrClosed)
}

func TestRoomIsBounded(t *testing.T) {
	f := newFeed(t, WithMaxConnections(1))
	resp := f.get(t, "/")
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	assert.EqualValues(t, 1, f.Stats().Refused)
}

func TestOpenMayRefuse(t *testing.T) {
	f := newFeed(t)
	resp := f.get(t, "/refused")
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusForbidden, resp.StatusCode)
}

func TestShutdownCutsOffWhatIsLeft(t *testing.T) {
	f := newFeed(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, f.Shutdown(ctx), context.Canceled)
	assert.Equal(t, transport.StatusAbnormal, <-f.closed)
	resp := f.get(t, "/")
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
}

func TestSlowClientsAreBoundedAndCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, WithQueueLimits(2, 100), WithWriteTimeout(time.Second), WithHeartbeat(time.Minute))
		var conn transport.Conn
		closed := make(chan int, 1)
		go func() {
			r := httptest.NewRequest("GET", "/", nil)
			_ = s.Serve(streamtest.NewSlow(), r, func(c transport.Conn) transport.Receiver {
				conn = c
				return receiver{closed}
			})
		}()
		synctest.Wait()
		m := transport.NewMessage(Block(ID{}, []byte("x")))
		require.NoError(t, conn.Send(m))
		require.NoError(t, conn.Send(m))
		var full *transport.QueueError
		require.ErrorAs(t, conn.Send(m), &full)
		assert.Equal(t, 2, full.MessageLimit)
		require.ErrorIs(t, conn.Send(transport.NewMessage(make([]byte, 200))), transport.ErrSlow)
		assert.Equal(t, transport.StatusAbnormal, <-closed)
		require.NoError(t, s.Shutdown(t.Context()))
	})
}

func TestShutdownCutsOffAWriteThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, WithQueueLimits(2, 100), WithWriteTimeout(time.Hour))
		var conn transport.Conn
		closed := make(chan int, 1)
		w := streamtest.NewSlow()
		go func() {
			_ = s.Serve(w, httptest.NewRequest("GET", "/", nil), func(c transport.Conn) transport.Receiver {
				conn = c
				assert.NoError(t, c.Send(transport.NewMessage(Block(ID{}, []byte("being written")))))
				return receiver{closed}
			})
		}()
		synctest.Wait()
		for range 4 {
			_ = conn.Send(transport.NewMessage(Block(ID{}, []byte("x"))))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		start := time.Now()
		require.ErrorIs(t, s.Shutdown(ctx), context.Canceled)
		assert.Zero(t, time.Since(start))
		assert.Equal(t, transport.StatusAbnormal, <-closed)
		assert.Equal(t, Stats{Slow: 1, Dropped: 3, WriteErrors: 1}, s.Stats())
	})
}

// slowWriter takes 1 KiB a second.
type slowWriter struct {
	*httptest.ResponseRecorder
	deadline time.Time
	most     int
}

func (w *slowWriter) SetWriteDeadline(d time.Time) error {
	w.deadline = d
	return nil
}

func (w *slowWriter) Write(p []byte) (int, error) {
	w.most = max(w.most, len(p))
	time.Sleep(time.Duration(len(p)) * time.Second / 1024)
	if !w.deadline.IsZero() && time.Now().After(w.deadline) {
		return 0, errors.New("deadline exceeded")
	}
	return w.ResponseRecorder.Write(p)
}

// TestAClientThatTakesSomeOfMuchIsNotCutOff has more waiting for a client than
// it takes within the write time-out.
func TestAClientThatTakesSomeOfMuchIsNotCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, WithWriteTimeout(time.Minute))
		var conn transport.Conn
		w := &slowWriter{ResponseRecorder: httptest.NewRecorder()}
		closed := make(chan int, 1)
		go func() {
			_ = s.Serve(w, httptest.NewRequest("GET", "/", nil), func(c transport.Conn) transport.Receiver {
				conn = c
				return receiver{closed}
			})
		}()
		synctest.Wait()
		block := Block(ID{}, bytes.Repeat([]byte("x"), 1000))
		const n = 500
		for range n {
			require.NoError(t, conn.Send(transport.NewMessage(block)))
		}
		time.Sleep(n * time.Second)
		conn.Close(4200, "")
		assert.Equal(t, 4200, <-closed)
		assert.Equal(t, n, bytes.Count(w.Body.Bytes(), block))
		assert.LessOrEqual(t, w.most, writeBytes+len(block))
		assert.Zero(t, s.Stats().Dropped)
		require.NoError(t, s.Shutdown(t.Context()))
	})
}

func TestWritersThatKeepEverything(t *testing.T) {
	s := newServer(t)
	var err error
	h := http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err = s.Serve(w, r, func(transport.Conn) transport.Receiver { panic("open was called") })
	}), time.Minute, "")
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	require.ErrorIs(t, err, http.ErrNotSupported)
	require.NoError(t, s.Shutdown(t.Context()))
}

func TestDataOfSeveralLines(t *testing.T) {
	for data, want := range map[string]string{
		"":                        "\n",
		"one":                     "data: one\n\n",
		"one\ntwo\r\nthree\rfour": "data: one\ndata: two\ndata: three\ndata: four\n\n",
		"one\n\nevent: evil":      "data: one\ndata: \ndata: event: evil\n\n",
	} {
		assert.Equal(t, want, string(Block(ID{}, []byte(data))), "%q", data)
	}
}

func TestPositionsAreRemembered(t *testing.T) {
	f := newFeed(t)
	require.NoError(t, f.conn.Send(transport.NewMessage(Positions(ID{"a", "e", 1}, ID{"b=&", "f", 7}))))
	require.NoError(t, f.conn.Send(transport.NewMessage(Block(ID{"a", "e", 2}, []byte("x")))))
	assert.Equal(t, "id: a=e:1&b%3D%26=f:7\n", f.block(t))
	assert.Equal(t, "id: a=e:2&b%3D%26=f:7\ndata: x\n", f.block(t))
}

func TestSilenceIsBrokenByHeartbeats(t *testing.T) {
	f := newFeed(t, WithHeartbeat(time.Second))
	assert.Equal(t, ":\n", f.block(t))
	assert.Equal(t, ":\n", f.block(t))
}

func TestParseID(t *testing.T) {
	assert.Equal(t, []ID{{"a", "e", 1}, {"b=&", "", 0}}, ParseID("a=e:1&b%3D%26=:0"))
	for _, bad := range []string{"", "a", "a=", "a=e", "a=e:", "a=e:x", "=e:1", "a=e:-1", "%zz=e:1", "a=%zz:1"} {
		assert.Empty(t, ParseID(bad), bad)
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("a=e:1&b=f:2")
	f.Fuzz(func(t *testing.T, s string) {
		for _, id := range ParseID(s) {
			raw, _, ok := cutID(Block(id, nil))
			require.True(t, ok)
			require.Equal(t, []ID{id}, ParseID(string(raw)))
		}
	})
}

// FuzzBlock sees that data is neither lost nor taken for anything else, however
// its lines end.
func FuzzBlock(f *testing.F) {
	f.Add("a", "e", uint64(1), []byte("one\r\ntwo"))
	f.Fuzz(func(t *testing.T, channel, epoch string, offset uint64, data []byte) {
		var lines []string
		for line := range strings.SplitSeq(string(Block(ID{channel, epoch, offset}, data)), "\n") {
			require.NotContains(t, line, "\r")
			if text, ok := strings.CutPrefix(line, "data: "); ok {
				lines = append(lines, text)
			} else if line != "" {
				require.True(t, strings.HasPrefix(line, idField), line)
			}
		}
		want := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data))
		require.Equal(t, strings.TrimSuffix(want, "\n"), strings.Join(lines, "\n"))
	})
}
