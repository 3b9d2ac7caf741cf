package sse

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/internal/progress"
	"github.com/carillon-rt/carillon/transport/internal/streamtest"
)

// TestSlowButSteadyReader has a client whose system takes a little at a time. It is
// given up once that ends, not before.
func TestSlowButSteadyReader(t *testing.T) {
	for name, stops := range map[string]bool{"goes on": false, "stops": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const timeout = 10 * time.Second
				var held atomic.Int64
				held.Store(1 << 20)
				s := newServer(t, WithWriteTimeout(timeout), func(s *Server) error {
					s.held = func(*http.Request) func() int { return func() int { return int(held.Load()) } }
					return nil
				})
				w := streamtest.NewSlow()
				var conn transport.Conn
				served := make(chan struct{})
				go func() {
					defer close(served)
					assert.NoError(t, s.Serve(w, httptest.NewRequest("GET", "/", nil), func(c transport.Conn) transport.Receiver {
						conn = c
						_ = c.Send(transport.NewMessage([]byte("data: x\n\n")))
						return receiver{make(chan int, 1)}
					}))
				}()
				synctest.Wait()
				for range 20 {
					time.Sleep(timeout - timeout/progress.LooksPerLimit)
					held.Add(-1)
					require.ErrorIs(t, conn.Send(transport.NewMessage(nil)), nil)
				}
				if stops {
					<-served
					assert.EqualValues(t, 1, s.Stats().WriteErrors)
					assert.ErrorIs(t, conn.Send(transport.NewMessage(nil)), transport.ErrClosed)
				} else {
					close(w.Proceed)
					conn.Close(4200, "")
					<-served
					assert.Zero(t, s.Stats().WriteErrors)
				}
				require.NoError(t, s.Shutdown(t.Context()))
			})
		})
	}
}
