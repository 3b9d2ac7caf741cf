package websocket

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// masked returns a client's frame. Its mask changes nothing.
func masked(first byte, payload []byte) []byte {
	frame := appendFrame(nil, first, payload)
	header := len(frame) - len(payload)
	frame[1] |= 0x80
	out := append(append([]byte(nil), frame[:header]...), 0, 0, 0, 0)
	return append(out, payload...)
}

// frame is one frame of the server's.
type frame struct {
	first   byte
	payload []byte
}

// readFrame reads one frame. It knows nothing of frames in parts, which a
// server of this package never sends.
func readFrame(r io.Reader) (frame, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	size := uint64(head[1])
	switch size {
	case 126:
		var b [2]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return frame{}, err
		}
		size = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return frame{}, err
		}
		size = binary.BigEndian.Uint64(b[:])
	}
	payload := make([]byte, size)
	_, err := io.ReadFull(r, payload)
	return frame{head[0], payload}, err
}

// peer is a client that speaks in bytes.
type peer struct {
	net.Conn
	t testing.TB
}

func (f *fixture) raw(extensions string) (*peer, *echo) {
	f.t.Helper()
	return f.spoken(dialRaw(f.t, f.http.Listener.Addr().String(), extensions))
}

func (f *fixture) early(request string) (*peer, *echo) {
	f.t.Helper()
	return f.spoken(dialEarly(f.t, f.http.Listener.Addr().String(), request))
}

func (f *fixture) spoken(nc net.Conn) (*peer, *echo) {
	require.NoError(f.t, nc.SetDeadline(time.Now().Add(patience)))
	return &peer{nc, f.t}, <-f.made
}

func (p *peer) write(b ...[]byte) {
	p.t.Helper()
	for _, b := range b {
		_, err := p.Write(b)
		require.NoError(p.t, err)
	}
}

// expect reads one frame.
func (p *peer) expect(first byte, payload string) {
	p.t.Helper()
	f, err := readFrame(p)
	require.NoError(p.t, err)
	require.Equal(p.t, first, f.first)
	require.Equal(p.t, payload, string(f.payload))
}

// expectClose reads up to a close frame and returns its code.
func (p *peer) expectClose() (code int, reason string) {
	p.t.Helper()
	for {
		f, err := readFrame(p)
		require.NoError(p.t, err)
		if f.first != finClose {
			continue
		}
		if len(f.payload) == 0 {
			return 0, ""
		}
		return int(binary.BigEndian.Uint16(f.payload)), string(f.payload[2:])
	}
}

// dialRaw makes the handshake by hand, with an extension if there is one, and
// returns the socket.
func dialRaw(t testing.TB, address, extensions string) net.Conn {
	t.Helper()
	r := upgradeRequest()
	if extensions != "" {
		r.Header.Set("Sec-WebSocket-Extensions", extensions)
	}
	var request strings.Builder
	require.NoError(t, r.Write(&request))
	return dialEarly(t, address, request.String())
}

// dialEarly sends what is given and reads the answer to a handshake.
func dialEarly(t testing.TB, address, request string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = nc.Close() })
	shake(t, nc, request)
	return nc
}

// shake sends what is given and reads the answer to a handshake.
func shake(t testing.TB, nc net.Conn, request string) {
	t.Helper()
	_, err := io.WriteString(nc, request)
	require.NoError(t, err)
	// Byte by byte: what follows the answer is not to be read here.
	var answer []byte
	for !bytes.HasSuffix(answer, []byte("\r\n\r\n")) {
		var b [1]byte
		_, err := io.ReadFull(nc, b[:])
		require.NoError(t, err)
		answer = append(answer, b[0])
	}
	require.Contains(t, string(answer), " 101 ")
}

// dialServer connects to a server that may want TLS.
func dialServer(t testing.TB, h *httptest.Server) net.Conn {
	t.Helper()
	var nc net.Conn
	var err error
	if h.TLS == nil {
		nc, err = net.Dial("tcp", h.Listener.Addr().String())
	} else {
		nc, err = tls.Dial("tcp", h.Listener.Addr().String(), h.Client().Transport.(*http.Transport).TLSClientConfig)
	}
	require.NoError(t, err)
	t.Cleanup(func() { _ = nc.Close() })
	require.NoError(t, nc.SetDeadline(time.Now().Add(patience)))
	return nc
}
