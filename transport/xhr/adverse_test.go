package xhr

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/internal/streamtest"
)

// hooked is a receiver that does what a test says.
type hooked struct {
	conn    transport.Conn
	receive func(data string)
	closed  func(code int, err error)
}

func (h *hooked) Receive(data []byte) { h.receive(string(data)) }
func (h *hooked) Closed(code int, err error) {
	if h.closed != nil {
		h.closed(code, err)
	}
}

// opening returns an open that sets h's connection.
func opening(h *hooked) transport.Open {
	return func(conn transport.Conn) transport.Receiver {
		h.conn = conn
		return h
	}
}

// receive polls without a socket.
func receive(s *Server, id string, h *hooked) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeReceive(w, httptest.NewRequest("POST", "/", nil), id, Polling, opening(h))
	return w
}

func send(s *Server, id, body string) int {
	w := httptest.NewRecorder()
	s.ServeSend(w, httptest.NewRequest("POST", "/", bytes.NewReader([]byte(body))), id)
	return w.Code
}

// TestRequestsThatWaitAreBounded: a receiver that is not done makes them wait.
func TestRequestsThatWaitAreBounded(t *testing.T) {
	s := newServer(t)
	proceed := make(chan struct{})
	received := 0
	slow := &hooked{receive: func(string) { <-proceed; received++ }, closed: func(int, error) {}}
	receive(s, "slow", slow)
	answers := make(chan int, rememberSends)
	for range rememberSends {
		go func() { answers <- send(s, "slow", `["anything"]`) }()
	}
	c := slow.conn.(*session)
	require.Eventually(t, func() bool { return c.handing.Load() == rememberSends }, 10*time.Second, time.Millisecond)
	assert.Equal(t, http.StatusTooManyRequests, send(s, "slow", `["anything"]`))
	assert.EqualValues(t, 1, s.Stats().Crowded)
	close(proceed)
	for range rememberSends {
		assert.Equal(t, http.StatusNoContent, <-answers)
	}
	assert.Equal(t, rememberSends, received)
	assert.Equal(t, http.StatusNoContent, send(s, "slow", `["anything"]`))
	slow.conn.Close(4000, "")
	receive(s, "slow", slow)
	require.NoError(t, s.Shutdown(t.Context()))
}

// TestClosedDoesNotWaitForTheClient, which may never come back for the end.
func TestClosedDoesNotWaitForTheClient(t *testing.T) {
	for name, comesBack := range map[string]bool{"it comes back": true, "it does not": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t)
				told := 0
				var code int
				h := &hooked{closed: func(c int, _ error) { told, code = told+1, c }}
				receive(s, "1", h)
				h.conn.Close(4009, "out")
				synctest.Wait()
				assert.Equal(t, 1, told, "at once")
				assert.Equal(t, 4009, code)
				assert.Equal(t, 1, s.Stats().Sessions, "the client may come back")
				assert.Equal(t, http.StatusNoContent, send(s, "1", `["too late"]`), "it does not know yet")
				if comesBack {
					assert.Equal(t, "c[4009,\"out\"]\n", receive(s, "1", h).Body.String())
				} else {
					time.Sleep(closeGap + time.Second)
				}
				synctest.Wait()
				assert.Zero(t, s.Stats().Sessions)
				assert.Equal(t, 1, told)
				require.NoError(t, s.Shutdown(t.Context()))
			})
		})
	}
}

func TestABlockedReceiverHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, WithGap(10*time.Second))
		proceed := make(chan struct{})
		ended := make(chan string, 2)
		blocked := &hooked{receive: func(string) { <-proceed }, closed: func(int, error) { ended <- "blocked" }}
		idle := &hooked{closed: func(int, error) { ended <- "idle" }}
		receive(s, "blocked", blocked)
		sent := make(chan int, 1)
		go func() { sent <- send(s, "blocked", `["anything"]`) }()
		synctest.Wait()

		require.NoError(t, blocked.conn.Send(transport.NewMessage([]byte("still here"))))
		assert.Equal(t, "a[\"still here\"]\n", receive(s, "blocked", blocked).Body.String())

		receive(s, "idle", idle)
		assert.Equal(t, "idle", <-ended, "it expires, and so does the blocked one")
		synctest.Wait()
		assert.Equal(t, 404, receive(s, "blocked", blocked).Code)
		close(proceed)
		assert.Equal(t, 204, <-sent)
		assert.Equal(t, "blocked", <-ended)
		require.NoError(t, s.Shutdown(t.Context()))
	})
}

func TestShutdownDoesNotWaitForABlockedReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		proceed := make(chan struct{})
		h := &hooked{receive: func(string) { <-proceed }}
		receive(s, "one", h)
		go send(s, "one", `["anything"]`)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, s.Shutdown(ctx), context.Canceled)
		close(proceed)
		require.NoError(t, s.Shutdown(t.Context()))
	})
}

func TestAReceiverThatPanicsEndsItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		end := make(chan error, 1)
		h := &hooked{receive: func(string) { panic("oops") }, closed: func(code int, err error) {
			assert.Equal(t, transport.StatusInternal, code)
			end <- err
		}}
		receive(s, "one", h)
		assert.Equal(t, 204, send(s, "one", `["anything","more"]`))
		assert.Equal(t, "c[1011,\"internal error\"]\n", receive(s, "one", h).Body.String())
		var panicked *transport.PanicError
		require.ErrorAs(t, <-end, &panicked)
		assert.Equal(t, "oops", panicked.Value)
		require.NoError(t, s.Shutdown(t.Context()))
	})
}

func TestAnOpenThatPanicsLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		assert.Panics(t, func() {
			s.ServeReceive(httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil), "one", Polling,
				func(transport.Conn) transport.Receiver { panic("open") })
		})
		assert.Zero(t, s.Stats().Sessions)
		assert.Equal(t, "o\n", receive(s, "one", &hooked{}).Body.String())
		require.NoError(t, s.Shutdown(t.Context()))
	})
}

// TestASessionThatIsEndingIsNotThere sees that a client does not poll again and
// again while the receiver is told of the end.
func TestASessionThatIsEndingIsNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		proceed := make(chan struct{})
		h := &hooked{closed: func(int, error) { <-proceed }}
		receive(s, "one", h)
		time.Sleep(time.Minute)
		assert.Equal(t, 404, receive(s, "one", h).Code)
		assert.Equal(t, 1, s.Stats().Sessions)
		close(proceed)
		synctest.Wait()
		assert.Equal(t, "o\n", receive(s, "one", &hooked{}).Body.String())
		require.NoError(t, s.Shutdown(t.Context()))
	})
}

func TestWhatIsLostIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, WithQueueLimits(2, 1000))
		h := &hooked{}
		receive(s, "one", h)
		for range 4 {
			_ = h.conn.Send(transport.NewMessage([]byte("x")))
		}
		time.Sleep(time.Minute)
		assert.Equal(t, Stats{Expired: 1, Slow: 1, Dropped: 2}, s.Stats())

		receive(s, "two", h)
		require.NoError(t, h.conn.Send(transport.NewMessage([]byte("x"))))
		w := brokenWriter{httptest.NewRecorder()}
		s.ServeReceive(w, httptest.NewRequest("POST", "/", nil), "two", Polling, opening(h))
		assert.Equal(t, Stats{Expired: 1, Slow: 1, Dropped: 3, WriteErrors: 1}, s.Stats())
		require.NoError(t, s.Shutdown(t.Context()))
	})
}

type brokenWriter struct{ http.ResponseWriter }

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestTheEndWaitsForAClientThatGoesOn has a client take longer for all that is
// queued than one that does nothing would be given.
func TestTheEndWaitsForAClientThatGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		h := &hooked{}
		receive(s, "one", h)
		for range 4 {
			require.NoError(t, h.conn.Send(transport.NewMessage(bytes.Repeat([]byte("x"), restart))))
		}
		h.conn.Close(4200, "restart")
		for range 4 {
			time.Sleep(closeGap * 3 / 4)
			assert.Greater(t, receive(s, "one", h).Body.Len(), restart)
		}
		assert.Equal(t, "c[4200,\"restart\"]\n", receive(s, "one", h).Body.String())
		assert.Zero(t, s.Stats())
		require.NoError(t, s.Shutdown(t.Context()))
	})
}

func TestADuplicatePollSendsAwayTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		h := &hooked{}
		receive(s, "one", h)
		polls := make(chan string, 2)
		poll := func() { polls <- receive(s, "one", h).Body.String() }
		go poll()
		synctest.Wait()
		go poll()
		assert.Empty(t, <-polls)
		require.NoError(t, h.conn.Send(transport.NewMessage([]byte("once"))))
		assert.Equal(t, "a[\"once\"]\n", <-polls)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = s.Shutdown(ctx)
	})
}

func TestBodiesHaveTheirTime(t *testing.T) {
	s := newSite(t, WithReadTimeout(50*time.Millisecond))
	s.poll("one")
	for i, action := range []string{"xhr", "xhr_send", "xhr_streaming"} {
		nc, err := net.Dial("tcp", s.http.Listener.Addr().String())
		require.NoError(t, err)
		_, err = fmt.Fprintf(nc, "POST /one/%s HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n[", action)
		require.NoError(t, err)
		answer, err := io.ReadAll(nc)
		require.NoError(t, err)
		assert.Contains(t, string(answer), " 408 ")
		assert.EqualValues(t, i+1, s.Stats().ReadTimeouts)
		require.NoError(t, nc.Close())
	}
	nc, err := net.Dial("tcp", s.http.Listener.Addr().String())
	require.NoError(t, err)
	_, err = io.WriteString(nc, "POST /none/xhr_send HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n[")
	require.NoError(t, err)
	answer, err := io.ReadAll(nc)
	require.NoError(t, err, "the connection ends although nobody wanted the body")
	assert.Contains(t, string(answer), " 404 ")
	require.NoError(t, nc.Close())
}

// TestBodiesAreBoundedInNumber and keep nobody waiting for them.
func TestBodiesAreBoundedInNumber(t *testing.T) {
	s := newSite(t)
	s.poll("one")
	dial := func(action string) net.Conn {
		nc, err := net.Dial("tcp", s.http.Listener.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = nc.Close() })
		_, err = fmt.Fprintf(nc, "POST /one/%s HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n[", action)
		require.NoError(t, err)
		return nc
	}
	first := []net.Conn{dial("xhr_send"), dial("xhr"), dial("xhr_streaming")}
	require.Eventually(t, func() bool { return s.incoming.Len() == len(first) }, 20*time.Second, time.Millisecond)
	for range maxReading {
		dial("xhr_send")
	}
	for _, nc := range first {
		answer, err := io.ReadAll(nc)
		require.NoError(t, err)
		assert.Contains(t, string(answer), " 408 ")
	}
	assert.EqualValues(t, len(first), s.Stats().ReadTimeouts)
	require.NoError(t, s.http.Config.Shutdown(t.Context()), "no server waits for them")
}

func TestShutdownCutsOffAWriteThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		h := &hooked{}
		receive(s, "one", h)
		require.NoError(t, h.conn.Send(transport.NewMessage([]byte("x"))))
		w := streamtest.NewSlow()
		go s.ServeReceive(w, httptest.NewRequest("POST", "/", nil), "one", Polling, nil)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, s.Shutdown(ctx), context.Canceled)
		assert.EqualValues(t, 1, s.Stats().Dropped)
	})
}

func TestShutdownWhileClientsCome(t *testing.T) {
	for range 50 {
		s := newServer(t)
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				for j := range 20 {
					h := &hooked{}
					if receive(s, fmt.Sprint(i, j), h); h.conn != nil {
						h.conn.Close(4200, "restart")
						receive(s, fmt.Sprint(i, j), h)
					}
				}
			})
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Shutdown(ctx)
		all.Wait()
		require.Zero(t, s.Stats().Sessions)
	}
}

// TestWritersThatKeepEverything is about middleware such as http.TimeoutHandler.
func TestWritersThatKeepEverything(t *testing.T) {
	s := newServer(t)
	h := http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mode := Polling
		if r.URL.Path == "/streaming" {
			mode = Streaming
		}
		s.ServeReceive(w, r, r.URL.Path, mode, opening(&hooked{}))
	}), time.Minute, "")
	for path, want := range map[string]int{"/polling": 200, "/streaming": 501} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", path, nil))
		assert.Equal(t, want, w.Code)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.Shutdown(ctx)
}

func FuzzSend(f *testing.F) {
	for _, body := range []string{`["a","b"]`, `[]`, `null`, "[\"\xff\"]", `["\ud800"]`, `[["a"]]`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s := newServer(t, WithReadLimit(1000))
		got := 0
		h := &hooked{receive: func(string) { got++ }}
		receive(s, "one", h)
		code := send(s, "one", string(body))
		messages, err := parseBody(body)
		switch {
		case len(body) > 1000:
			require.Equal(t, 413, code)
		case err != nil:
			require.Equal(t, 400, code)
			require.ErrorIs(t, err, errInvalid)
		default:
			require.Equal(t, 204, code)
			require.Equal(t, len(messages), got)
			for _, m := range messages {
				require.LessOrEqual(t, strings.Count(m, "\ufffd"), strings.Count(strings.ToLower(string(body)), `\ufffd`)+strings.Count(string(body), "\ufffd"),
					"nothing comes in the place of what is no text")
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Shutdown(ctx)
	})
}
