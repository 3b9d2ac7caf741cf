package pusher

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
)

// TestHandlerShutdown ends a program whose server has something open: what ends by
// itself is waited for, what does not is cut off when the context ends.
func TestHandlerShutdown(t *testing.T) {
	const (
		within = 8 * time.Second
		half   = "Content-Length: 100\r\n\r\nhalf of"
	)
	for name, test := range map[string]struct {
		request string
		// cutOff is what the error says; without, everything has ended by itself.
		cutOff []string
	}{
		"nothing":                            {},
		"an open feed":                       {"GET /sse/app/key?channels=news HTTP/1.1\r\nHost: h\r\n\r\n", nil},
		"an open poll":                       {"POST /app/key/1/abcdefgh/xhr_streaming?protocol=7 HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", nil},
		"a half-sent body":                   {"POST /app/key/1/abcdefgh/xhr_streaming?protocol=7 HTTP/1.1\r\nHost: h\r\n" + half, nil},
		"a half-sent body, of the program's": {"POST /own HTTP/1.1\r\nHost: h\r\n" + half, []string{"shutdown of the server"}},
		"a hook that hangs":                  {"GET /sse/app/key?channels=hangs HTTP/1.1\r\nHost: h\r\n\r\n", []string{"shutdown of the server", "shutdown of the broker"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				b, err := broker.New(broker.WithLogger(slog.New(slog.DiscardHandler)), broker.WithHooks(broker.Hooks{
					Subscribe: func(_ context.Context, r *broker.SubscribeRequest) error {
						if r.Channel == "hangs" {
							<-release
						}
						return nil
					},
				}))
				require.NoError(t, err)
				apps, err := NewApps(App{ID: "1", Key: "key", Secret: "secret"})
				require.NoError(t, err)
				h, err := NewHandler(b, apps)
				require.NoError(t, err)
				mux := http.NewServeMux()
				mux.Handle("/", h)
				mux.HandleFunc("/own", func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) })
				server := servePipes(t, mux)
				other := servePipes(t, h)
				if test.request != "" {
					client := server.send(test.request)
					go func() { _, _ = io.Copy(io.Discard, client) }()
				}
				synctest.Wait()

				ctx, cancel := context.WithTimeout(t.Context(), within)
				defer cancel()
				start := time.Now()
				again := make(chan error, 1)
				go func() { again <- h.Shutdown(ctx, server.http) }()
				err = h.Shutdown(ctx, server.http, other.http)
				if test.cutOff == nil {
					assert.NoError(t, err)
					assert.NoError(t, <-again)
					assert.Less(t, time.Since(start), within, "nothing is waited for that ends by itself")
				} else {
					require.ErrorIs(t, err, context.DeadlineExceeded)
					for _, who := range test.cutOff {
						assert.ErrorContains(t, err, who)
					}
					assert.ErrorIs(t, <-again, context.DeadlineExceeded)
					assert.LessOrEqual(t, time.Since(start), within+broker.ShutdownGrace)
				}
				for _, s := range []*pipeServer{server, other} {
					assert.ErrorIs(t, s.http.Serve(s.pipes), http.ErrServerClosed)
				}
				close(release)
			})
		})
	}
}

// Requests under way get their answers, and whoever comes later is not let in.
func TestHandlerShutdownLetsRequestsFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPITest(t)
		slow := servePipes(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Second)
			_, _ = io.WriteString(w, "done")
		}))
		client := slow.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		synctest.Wait()
		ended := make(chan error, 1)
		go func() { ended <- a.handler.Shutdown(t.Context(), slow.http) }()
		r, err := http.ReadResponse(bufio.NewReader(client), nil)
		require.NoError(t, err)
		text, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		assert.Equal(t, "done", string(text))
		assert.NoError(t, <-ended)
	})
}
