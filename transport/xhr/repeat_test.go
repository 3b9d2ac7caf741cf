package xhr

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/transport"
)

// fromPort is a request as a client sends it over the connection with that port.
func fromPort(port int, query, body string) *http.Request {
	r := httptest.NewRequest("POST", "/?"+query, strings.NewReader(body))
	r.RemoteAddr = fmt.Sprintf("192.0.2.1:%d", port)
	return r
}

// pollAs polls for session "one" with this query, over a connection of its own.
func pollAs(s *Server, h *hooked, port int, query string) (status int, body string) {
	w := httptest.NewRecorder()
	s.ServeReceive(w, fromPort(port, query, ""), "one", Polling, opening(h))
	return w.Code, w.Body.String()
}

// TestAPollThatComesAgainGetsTheSameBytes since a browser sends a request again
// when a connection that it used before dies before the answer: what it got the
// first time nobody has seen.
func TestAPollThatComesAgainGetsTheSameBytes(t *testing.T) {
	long := "t=" + strings.Repeat("1", maxMark+1)
	for name, test := range map[string]struct {
		first, second string
		port          int // of the second; the first has 1
		again         bool
	}{
		"the same":                  {"protocol=7&t=1700000000000&n=7", "protocol=7&t=1700000000000&n=7", 2, true},
		"the same through a proxy":  {"t=1&n=7", "t=1&n=7", 1, true},
		"a time only":               {"t=1", "t=1", 2, true},
		"a time on one connection":  {"t=1", "t=1", 1, false},
		"another number":            {"t=1&n=7", "t=1&n=8", 2, false},
		"another time":              {"t=1&n=7", "t=2&n=7", 2, false},
		"a number only":             {"n=7", "n=7", 2, false},
		"nothing":                   {"", "", 2, false},
		"more than any client says": {long, long, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t)
				h := &hooked{}
				_, got := pollAs(s, h, 1, "t=0&n=1")
				require.Equal(t, "o\n", got)
				require.NoError(t, h.conn.Send(transport.NewMessage([]byte("1"))))
				require.NoError(t, h.conn.Send(transport.NewMessage([]byte("2"))))
				_, first := pollAs(s, h, 1, test.first)
				require.Equal(t, "a[\"1\"]\na[\"2\"]\n", first)
				require.NoError(t, h.conn.Send(transport.NewMessage([]byte("3"))))
				_, got = pollAs(s, h, test.port, test.second)
				if test.again {
					assert.Equal(t, first, got)
					_, got = pollAs(s, h, test.port+1, test.second)
					assert.Equal(t, first, got, "once more")
					_, got = pollAs(s, h, 1, "t=3&n=1")
					assert.EqualValues(t, 2, s.Stats().Repeated)
				}
				assert.Equal(t, "a[\"3\"]\n", got)
				assert.Zero(t, s.Stats().Dropped)
				expire(t, s)
			})
		})
	}
}

func TestThePollThatOpensASessionComesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		h := &hooked{}
		for port := range 2 {
			_, got := pollAs(s, h, port, "t=1&n=1")
			assert.Equal(t, "o\n", got)
		}
		assert.Equal(t, Stats{Sessions: 1, Repeated: 1}, s.Stats())
		expire(t, s)
	})
}

// expire ends the sessions that are left.
func expire(t *testing.T, s *Server) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = s.Shutdown(ctx)
	synctest.Wait()
	assert.Zero(t, s.Stats().Sessions)
}

// TestAPollThatComesAgainBeforeItsAnswer sees that both the poll that was given
// up and the one in its place wait for the same.
func TestAPollThatComesAgainBeforeItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		h := &hooked{}
		pollAs(s, h, 1, "t=1&n=1")
		polls := make(chan string, 2)
		for port := range 2 {
			go func() {
				_, body := pollAs(s, h, port, "t=2&n=2")
				polls <- body
			}()
			synctest.Wait()
		}
		assert.Empty(t, <-polls)
		require.NoError(t, h.conn.Send(transport.NewMessage([]byte("once"))))
		assert.Equal(t, "a[\"once\"]\n", <-polls)
		expire(t, s)
	})
}

// TestAPollWhoseAnswerCouldNotBeWritten may come again; where it does not, the
// session ends at once, as nothing can be made good.
func TestAPollWhoseAnswerCouldNotBeWritten(t *testing.T) {
	for name, test := range map[string]struct {
		next   string
		status int
		want   Stats
	}{
		"it comes again":          {"t=1&n=2", 200, Stats{Repeated: 1, Sessions: 1}},
		"another comes":           {"t=1&n=3", 404, Stats{Dropped: 1, WriteErrors: 1}},
		"none comes":              {"", 0, Stats{Dropped: 1, WriteErrors: 1}},
		"it closes meanwhile too": {"close", 200, Stats{Repeated: 1, Sessions: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t)
				h := &hooked{}
				pollAs(s, h, 1, "t=1&n=1")
				require.NoError(t, h.conn.Send(transport.NewMessage([]byte("x"))))
				s.ServeReceive(brokenWriter{httptest.NewRecorder()}, fromPort(1, "t=1&n=2", ""), "one", Polling, nil)
				switch test.next {
				case "":
					time.Sleep(time.Minute)
				case "close":
					h.conn.Close(4200, "restart")
					test.next = "t=1&n=2"
					fallthrough
				default:
					status, body := pollAs(s, h, 2, test.next)
					assert.Equal(t, test.status, status)
					if status == 200 {
						assert.Equal(t, "a[\"x\"]\n", body)
					}
				}
				synctest.Wait()
				assert.Equal(t, test.want, s.Stats())
				expire(t, s)
			})
		})
	}
}

// TestTheEndOfASessionComesAgainToo as long as its answer could not be written.
func TestTheEndOfASessionComesAgainToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		h := &hooked{}
		pollAs(s, h, 1, "t=1&n=1")
		require.NoError(t, h.conn.Send(transport.NewMessage([]byte("x"))))
		h.conn.Close(4009, "gone")
		s.ServeReceive(brokenWriter{httptest.NewRecorder()}, fromPort(1, "t=1&n=2", ""), "one", Polling, nil)
		_, body := pollAs(s, h, 2, "t=1&n=2")
		assert.Equal(t, "a[\"x\"]\nc[4009,\"gone\"]\n", body)
		synctest.Wait()
		assert.Equal(t, Stats{Repeated: 1}, s.Stats())
		require.NoError(t, s.Shutdown(t.Context()))
	})
}

// streamAs opens a stream for session "one", and returns what has come when all
// is quiet. The client is gone when gone is called.
func streamAs(t *testing.T, s *Server, h *hooked, mode Mode, query string) (come func() string, gone func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := httptest.NewRecorder()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.receive(w, fromPort(1, query, "").WithContext(ctx), "one", mode, opening(h))
	}()
	return func() string {
			synctest.Wait()
			return strings.TrimPrefix(w.Body.String(), string(prelude))
		}, func() {
			cancel()
			<-done
		}
}

// TestAStreamThatComesAgainStartsAgain with all that the first of the two was
// sent, and goes on as that did.
func TestAStreamThatComesAgainStartsAgain(t *testing.T) {
	for _, mode := range []Mode{Streaming, sockJSStreaming} {
		t.Run(mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t)
				h := &hooked{}
				come, gone := streamAs(t, s, h, mode, "t=1&n=1")
				assert.Equal(t, "o\n", come())
				for _, text := range []string{"1", "2"} {
					require.NoError(t, h.conn.Send(transport.NewMessage([]byte(text))))
					synctest.Wait()
				}
				gone()
				require.NoError(t, h.conn.Send(transport.NewMessage([]byte("3"))))
				come, gone = streamAs(t, s, h, mode, "t=1&n=1")
				assert.Equal(t, "o\na[\"1\"]\na[\"2\"]\na[\"3\"]\n", come())
				gone()
				come, gone = streamAs(t, s, h, mode, "t=1&n=2")
				require.NoError(t, h.conn.Send(transport.NewMessage([]byte("4"))))
				assert.Equal(t, "a[\"4\"]\n", come())
				gone()
				assert.Equal(t, Stats{Sessions: 1, Repeated: 1}, s.Stats())
				expire(t, s)
			})
		})
	}
}

// TestWhatAStreamKeepsForItsStartIsBounded in bytes and in time; a client that
// comes again later still has to be told, by the end of its session, that
// something is lost.
func TestWhatAStreamKeepsForItsStartIsBounded(t *testing.T) {
	for name, proceed := range map[string]func(t *testing.T, h *hooked){
		"bytes": func(t *testing.T, h *hooked) {
			for range 2 {
				require.NoError(t, h.conn.Send(transport.NewMessage(make([]byte, keepSpare))))
			}
		},
		"time": func(t *testing.T, h *hooked) {
			require.NoError(t, h.conn.Send(transport.NewMessage([]byte("x"))))
			time.Sleep(DefaultHeartbeat + time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t)
				end := make(chan error, 1)
				h := &hooked{closed: func(_ int, err error) { end <- err }}
				_, gone := streamAs(t, s, h, Streaming, "t=1&n=1")
				synctest.Wait()
				proceed(t, h)
				synctest.Wait()
				gone()
				status, _ := pollAs(s, h, 2, "t=1&n=1")
				assert.Equal(t, 404, status)
				require.ErrorIs(t, <-end, errForgotten)
				require.NoError(t, s.Shutdown(t.Context()))
			})
		})
	}
}

// TestWhatIsSentTwiceArrivesOnce also where the first is still being handled, and
// others came in between.
func TestWhatIsSentTwiceArrivesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		got := ""
		proceed := make(chan struct{}, 100)
		h := &hooked{receive: func(data string) { <-proceed; got += data }}
		receive(s, "one", h)
		codes := make(chan int, 100)
		send := func(query, body string) {
			w := httptest.NewRecorder()
			s.ServeSend(w, fromPort(1, query, body), "one")
			codes <- w.Code
		}
		go send("t=1&n=1", `["a"]`)
		synctest.Wait()
		go send("t=1&n=1", `["a"]`)
		for range 10 {
			proceed <- struct{}{}
		}
		synctest.Wait()
		send("t=1&n=2", `["b"]`)
		send("t=1", `["c"]`)
		send("t=1", `["d"]`)
		send("t=1&n=1", `["a"]`)
		send("t=1", `["c"]`)
		send("", `["e"]`)
		send("", `["e"]`)
		assert.Equal(t, "abcdee", got)
		for range 9 {
			assert.Equal(t, 204, <-codes)
		}
		assert.EqualValues(t, 3, s.Stats().Repeated)
		expire(t, s)
	})
}

// TestABodyThatBrokeOffMayComeAgain since nothing of it has arrived.
func TestABodyThatBrokeOffMayComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		got := ""
		h := &hooked{receive: func(data string) { got += data }}
		receive(s, "one", h)
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/?t=1&n=1", io.MultiReader(strings.NewReader(`["a"`), brokenReader{}))
		s.ServeSend(w, r, "one")
		require.Equal(t, 400, w.Code)
		w = httptest.NewRecorder()
		s.ServeSend(w, fromPort(2, "t=1&n=1", `["a"]`), "one")
		require.Equal(t, 204, w.Code)
		assert.Equal(t, "a", got)
		expire(t, s)
	})
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestWhatIsRememberedOfSendsIsBounded(t *testing.T) {
	s := newServer(t)
	sends := 0
	h := &hooked{receive: func(string) { sends++ }}
	receive(s, "one", h)
	for n := range 4 * rememberSends {
		for range 2 {
			w := httptest.NewRecorder()
			s.ServeSend(w, fromPort(1, fmt.Sprintf("t=1&n=%d", n), `["a"]`), "one")
			require.Equal(t, 204, w.Code)
		}
	}
	assert.Equal(t, 4*rememberSends, sends)
	assert.Len(t, s.sessions["one"].sends.hashes, rememberSends)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = s.Shutdown(ctx)
}
