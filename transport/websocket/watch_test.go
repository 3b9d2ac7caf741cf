package websocket

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/internal/progress"
)

// TestSlowButSteadyReader has a peer whose system takes a little at a time, but
// never enough to make the socket writable. It is cut off once that ends, not
// before.
func TestSlowButSteadyReader(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for _, stops := range []bool{false, true} {
			t.Run(map[bool]string{false: "plain", true: "TLS"}[secure]+map[bool]string{false: ", goes on", true: ", stops"}[stops], func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					const timeout = 10 * time.Second
					var unsent atomic.Int64
					unsent.Store(1 << 20)
					s := newServer(t, WithWriteTimeout(timeout), func(o *options) error {
						o.unsent = func(net.Conn) int { return int(unsent.Load()) }
						return nil
					})
					defer shutdown(t, s)
					p, e := pipeOver(t, s, secure)
					message := bytes.Repeat([]byte("x"), 100<<10)
					require.NoError(t, e.conn.Send(transport.NewMessage(message)))
					for range 50 {
						time.Sleep(timeout - timeout/progress.LooksPerLimit)
						unsent.Add(-1)
						require.Empty(t, e.closed)
					}
					last := time.Now()
					if !stops {
						p.expect(finText, string(message))
						p.write(masked(finClose, []byte{3, 232}))
						p.expectClose()
						require.NoError(t, (<-e.closed).err)
						return
					}
					require.ErrorIs(t, (<-e.closed).err, ErrWriteTimeout)
					require.InDelta(t, timeout, time.Since(last), float64(timeout/progress.LooksPerLimit))
					require.EqualValues(t, 1, s.Stats().WriteTimeouts)
				})
			})
		}
	}
}

// pipeOver is pipe, with TLS on it if it is to be secure.
func pipeOver(t testing.TB, s *Server, secure bool) (*peer, *echo) {
	client, server := net.Pipe()
	if secure {
		h := httptest.NewUnstartedServer(nil)
		h.StartTLS()
		config := h.TLS.Clone()
		h.Close()
		config.NextProtos = nil
		far := tls.Client(client, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // a pipe
		near := tls.Server(server, config)
		shaken := make(chan error, 1)
		go func() { shaken <- far.Handshake() }()
		require.NoError(t, near.Handshake())
		require.NoError(t, <-shaken)
		client, server = far, near
	}
	var e *echo
	err := s.Serve(&pipeWriter{httptest.NewRecorder(), server}, upgradeRequest(), func(conn transport.Conn) transport.Receiver {
		e = newEcho(conn)
		return e
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return &peer{client, t}, e
}
