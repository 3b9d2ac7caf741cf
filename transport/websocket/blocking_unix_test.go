//go:build unix

package websocket

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/transport"
)

// block does to a connection what programs do that set an option of its socket:
// os.File.Fd makes it blocking. Should a call wait all the same, it does not do so
// for ever, so that the test can fail.
func block(t testing.TB, nc net.Conn) {
	if secure, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = secure.NetConn()
	}
	file, err := nc.(*net.TCPConn).File()
	if !assert.NoError(t, err) {
		return
	}
	defer func() { _ = file.Close() }()
	fd := int(file.Fd())
	forever := syscall.NsecToTimeval(int64(2 * patience))
	assert.NoError(t, syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &forever))
	assert.NoError(t, syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &forever))
	assert.NoError(t, syscall.SetNonblock(fd, false))
}

// TestBlockingSockets sees that a socket that the program made blocking, before
// the handshake or later, holds up neither the process nor other connections, and
// is cut off if its peer does not read.
func TestBlockingSockets(t *testing.T) {
	for _, c := range []struct {
		name   string
		secure bool
		late   bool // after the handshake
		opts   []Option
	}{
		{"TCP", false, false, nil},
		{"TCP later", false, true, nil},
		{"TLS", true, false, nil},
		{"portable", false, false, []Option{portable}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			s := newServer(t, append(c.opts, WithWriteTimeout(time.Second))...)
			made, entered := make(chan *echo, 2), make(chan struct{}, 2)
			h := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				entered <- struct{}{}
				_ = s.Serve(w, r, func(conn transport.Conn) transport.Receiver {
					e := newEcho(conn)
					made <- e
					return e
				})
			}))
			h.Config.ConnContext = func(ctx context.Context, nc net.Conn) context.Context {
				block(t, nc)
				return ctx
			}
			if c.secure {
				h.StartTLS()
			} else {
				h.Start()
			}
			defer h.Close()
			defer func() {
				over, end := context.WithCancel(context.Background())
				end()
				_ = s.Shutdown(over)
			}()
			dial := func() *peer {
				nc := dialServer(t, h)
				require.NoError(t, upgradeRequest().Write(nc))
				// net/http, too, waits for a blocking connection: to hand it over
				// it needs a byte that comes while the request is being handled.
				<-entered
				shake(t, nc, string(masked(finText, []byte("early"))))
				return &peer{nc, t}
			}
			stuckPeer, stuck := dial(), <-made
			peer, e := dial(), <-made
			peer.expect(finText, "early")
			if c.late {
				for _, e := range []*echo{stuck, e} {
					block(t, e.conn.(*conn).nc)
				}
			}
			go func() {
				for !errors.Is(stuck.conn.Send(big), transport.ErrClosed) {
					runtime.Gosched()
				}
			}()
			var end ending
			for gone := false; !gone; {
				runtime.GC()
				peer.write(masked(finText, []byte("on")))
				peer.expect(finText, "on")
				select {
				case end = <-stuck.closed:
					gone = true
				default:
				}
			}
			require.ErrorIs(t, end.err, ErrWriteTimeout)
			e.conn.Close(4000, "")
			peer.expectClose()
			require.NoError(t, stuckPeer.Close())
			require.NoError(t, peer.Close())
			require.NoError(t, ctx.Err(), "a call has waited for a blocking socket")
		})
	}
}
