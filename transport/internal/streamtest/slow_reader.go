package streamtest

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/internal/progress"
)

// SlowServer is a server that is tried with a slow client.
type SlowServer struct {
	// Serve answers a client with a stream, until that ends. Something of it is written
	// at once.
	Serve       func(http.ResponseWriter, transport.Open)
	WriteErrors func() int64
	Shutdown    func(context.Context) error
}

// SlowButSteadyReader has a client whose system takes a little at a time. It is given up
// once that ends, not before. newServer makes the server from its write time-out and
// from what says how many bytes the system still has for the client.
func SlowButSteadyReader(t *testing.T, newServer func(timeout time.Duration, unsent func() int) SlowServer) {
	for name, stops := range map[string]bool{"goes on": false, "stops": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const timeout = 10 * time.Second
				var unsent atomic.Int64
				unsent.Store(1 << 20)
				s := newServer(timeout, func() int { return int(unsent.Load()) })
				w := NewSlow()
				var conn transport.Conn
				served := make(chan struct{})
				go func() {
					defer close(served)
					s.Serve(w, func(c transport.Conn) transport.Receiver {
						conn = c
						assert.NoError(t, c.Send(transport.NewMessage([]byte("data: x\n\n"))))
						return deaf{}
					})
				}()
				synctest.Wait()
				for range 20 {
					time.Sleep(timeout - timeout/progress.LooksPerLimit)
					unsent.Add(-1)
					require.NoError(t, conn.Send(transport.NewMessage(nil)))
				}
				if stops {
					<-served
					assert.EqualValues(t, 1, s.WriteErrors())
					assert.ErrorIs(t, conn.Send(transport.NewMessage(nil)), transport.ErrClosed)
				} else {
					close(w.Proceed)
					conn.Close(4200, "")
					<-served
					assert.Zero(t, s.WriteErrors())
				}
				require.NoError(t, s.Shutdown(t.Context()))
			})
		})
	}
}

// deaf is a receiver that is told nothing.
type deaf struct{}

// Receive implements transport.Receiver.
func (deaf) Receive([]byte) {}

// Closed implements transport.Receiver.
func (deaf) Closed(int, error) {}
