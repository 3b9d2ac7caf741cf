package sse

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/internal/progress"
)

// TestThePeerIsWatched over whatever connection there is: the system ends one
// whose peer acknowledges nothing.
func TestThePeerIsWatched(t *testing.T) {
	for name, start := range map[string]func(*httptest.Server){
		"plain": (*httptest.Server).Start, "TLS": (*httptest.Server).StartTLS,
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, WithHeartbeat(20*time.Second), WithWriteTimeout(5*time.Second))
			set := make(chan int, 1)
			web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_ = s.Serve(w, r, func(conn transport.Conn) transport.Receiver {
					raw, err := accepted(r.Context()).SyscallConn()
					assert.NoError(t, err)
					_ = raw.Control(func(fd uintptr) {
						ms, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, userTimeout)
						assert.NoError(t, err)
						set <- ms
					})
					conn.Close(4200, "")
					return receiver{make(chan int, 1)}
				})
			}))
			web.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
				return ConnContext(ctx, c)
			}
			start(web)
			defer web.Close()
			resp, err := web.Client().Get(web.URL)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.Equal(t, 25_000, <-set)
		})
	}
}

// accepted is the TCP connection behind ctx.
func accepted(ctx context.Context) *net.TCPConn {
	nc := progress.Conn(ctx)
	if secured, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = secured.NetConn()
	}
	return nc.(*net.TCPConn)
}

// TestAConnectionOfAnotherKindIsLeftAlone, such as one of a unix socket.
func TestAConnectionOfAnotherKindIsLeftAlone(t *testing.T) {
	a, b := net.Pipe()
	defer func() { _, _ = a.Close(), b.Close() }()
	watchPeer(ConnContext(t.Context(), a), time.Second)
	watchPeer(t.Context(), time.Second)
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	setUserTimeout(uintptr(fds[0]), time.Second)
	require.NoError(t, syscall.Close(fds[0]))
	require.NoError(t, syscall.Close(fds[1]))
}
