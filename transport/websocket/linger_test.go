package websocket

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/transport"
)

// TestHalfClose sees what a client sees whose connection the server ends: the close
// frame, and directly behind it the end of the stream. Its answer ends the
// connection, and where it has broken the protocol, so does its own end.
func TestHalfClose(t *testing.T) {
	for _, transported := range []struct {
		name   string
		secure bool
		opts   []Option
	}{{"TCP", false, nil}, {"TLS", true, nil}, {"portable", false, []Option{portable}}} {
		for _, c := range []struct {
			name  string
			input []byte // nil if the server closes
			code  int
		}{
			{"terminated", nil, 4009},
			{"restart", nil, 4200},
			{"protocol", masked(0x83, nil), 1002},
			{"invalid close frame", masked(finClose, []byte{3}), 1002},
			{"close reason not UTF-8", masked(finClose, []byte{3, 232, 0xff}), 1007},
			{"binary", masked(0x82, []byte("hello")), 1003},
			{"not UTF-8", masked(finText, []byte{0xff}), 1007},
			{"flood", bytes.Repeat(masked(finPing, nil), ControlFramesPerSecond+1), 1008},
			{"too large", masked(finText, make([]byte, 4*DefaultReadLimit)), 1009},
		} {
			t.Run(transported.name+", "+c.name, func(t *testing.T) {
				s := newServer(t, append(transported.opts, WithCloseTimeout(time.Hour))...)
				made := make(chan *echo, 1)
				h := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_ = s.Serve(w, r, func(conn transport.Conn) transport.Receiver {
						e := newEcho(conn)
						made <- e
						return e
					})
				}))
				if transported.secure {
					h.StartTLS()
				} else {
					h.Start()
				}
				defer h.Close()
				nc := dialServer(t, h)
				var request bytes.Buffer
				require.NoError(t, upgradeRequest().Write(&request))
				shake(t, nc, request.String())
				p, e := &peer{nc, t}, <-made
				if c.input == nil {
					e.conn.Close(c.code, "")
				} else {
					p.write(c.input)
				}
				require.Equal(t, c.code, (<-e.closed).code, "the receiver does not wait for the client")
				code, _ := p.expectClose()
				require.Equal(t, c.code, code)
				_, err := p.Read(make([]byte, 1))
				require.ErrorIs(t, err, io.EOF)
				if c.code == 1002 {
					require.NoError(t, p.Close())
				} else if c.input == nil || c.input[0] != finClose {
					require.EqualValues(t, 1, s.Stats().Open)
					p.write(masked(finClose, []byte{byte(code >> 8), byte(code)}))
				}
				shutdown(t, s)
				require.Zero(t, s.Stats().CloseTimeouts)
			})
		}
	}
}
