package progress

import (
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestHeld sees that what the system holds goes down as the peer reads, and
// only then.
func TestHeld(t *testing.T) {
	for _, c := range []struct{ network, address string }{
		{"tcp", "127.0.0.1:0"},
		{"unix", filepath.Join(t.TempDir(), "socket")},
	} {
		t.Run(c.network, func(t *testing.T) {
			l, err := net.Listen(c.network, c.address)
			require.NoError(t, err)
			defer func() { _ = l.Close() }()
			far, err := net.Dial(c.network, l.Addr().String())
			require.NoError(t, err)
			defer func() { _ = far.Close() }()
			near, err := l.Accept()
			require.NoError(t, err)
			defer func() { _ = near.Close() }()
			require.Zero(t, Unsent(near))

			// Far more than fits: the rest is given up once nothing moves.
			require.NoError(t, near.SetWriteDeadline(time.Now().Add(time.Second)))
			n, err := near.Write(make([]byte, 64<<20))
			require.Error(t, err)
			full := Unsent(near)
			require.Positive(t, full)
			require.Equal(t, full, Unsent(tls.Client(near, nil)), "the socket below TLS is asked")

			_, err = io.CopyN(io.Discard, far, int64(n))
			require.NoError(t, err)
			require.Eventually(t, func() bool { return Unsent(near) == 0 }, 10*time.Second, time.Millisecond)
		})
	}
	client, server := net.Pipe()
	require.Zero(t, Unsent(client), "a pipe holds nothing")
	require.NoError(t, client.Close())
	require.NoError(t, server.Close())
}
