package websocket

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"time"

	"github.com/coder/websocket"

	"github.com/carillon-rt/carillon/internal/responsewriter"
)

// headerBuffer is the size of the buffer from which frame headers are parsed:
// the longest has 14 bytes. What lies behind it is in the socket's own buffer.
const headerBuffer = 16

// upgrade makes the handshake. On an error the request has been answered. If
// not, the caller has become the only one who may write to the connection, until it
// calls greet.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request) (c *conn, answer []byte, err error) {
	if !responsewriter.CanHijack(w) {
		// The mistake is the program's: whoever looks at the answer is its author.
		err := fmt.Errorf("upgrade: %T keeps the connection back, it is no http.Hijacker: "+
			"take the middleware that made it off this path: %w", w, http.ErrNotSupported)
		http.Error(w, err.Error(), http.StatusNotImplemented)
		return nil, nil, err
	}
	c = &conn{server: s, secure: r.TLS != nil, format: textFrames, writing: true}
	c.scan.limit = s.options.readLimit
	if s.options.compress && offersDeflate(r.Header) {
		c.scan.deflates, c.format = true, s.format
	}
	c.account.Open(s.options.budget, c)
	accept := websocket.AcceptOptions{
		InsecureSkipVerify: true,
		OnPingReceived:     c.pinged,
		OnPongReceived:     func(context.Context, []byte) { c.countControl() },
	}
	h := &hijacker{ResponseWriter: w, conn: c}
	ws, err := websocket.Accept(h, r, &accept)
	if err != nil {
		if c.nc != nil {
			_ = c.nc.Close()
		}
		return nil, nil, fmt.Errorf("upgrade: %w", err)
	}
	ws.SetReadLimit(-1) // see scan
	c.ws = ws
	// Accept has put what it found buffered before the socket: nothing, here.
	c.br.Reset((*socket)(c))
	c.received.Store(time.Now().UnixNano())
	if s.join(c) {
		c.cut(ErrShutdown)
	}
	return c, h.answer(), nil
}

// hijacker is the http.ResponseWriter that Accept sees. It keeps the connection
// and all of net/http's buffers away from it.
type hijacker struct {
	http.ResponseWriter
	conn *conn
	// switched says that the answer is 101 and was not yet written.
	switched bool
}

// WriteHeader implements http.ResponseWriter. It keeps the answer to a good
// handshake back, to go out together with the first message. A writer that
// wraps net/http's may want to see the status, and gets it.
func (h *hijacker) WriteHeader(status int) {
	if status == http.StatusSwitchingProtocols {
		if h.conn.scan.deflates {
			h.Header().Set("Sec-WebSocket-Extensions", deflateExtension)
		}
		if isNetHTTP(h.ResponseWriter) {
			h.switched = true
			return
		}
	}
	h.ResponseWriter.WriteHeader(status)
}

// isNetHTTP says whether w is net/http's own, for HTTP/1.1.
func isNetHTTP(w http.ResponseWriter) bool {
	t := reflect.TypeOf(w)
	return t.Kind() == reflect.Pointer && t.Elem().PkgPath() == "net/http" && t.Elem().Name() == "response"
}

// answer is the answer to the handshake, if it was kept back.
func (h *hijacker) answer() []byte {
	if !h.switched {
		return nil
	}
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = h.Header().Write(&b) // a buffer takes everything
	b.WriteString("\r\n")
	return b.Bytes()
}

// greet writes the answer to the handshake, unless that has gone out, and in the
// same call what open has sent. Until then only the caller may write to c; afterwards
// whoever has something to send.
func (c *conn) greet(answer []byte) {
	if len(answer) == 0 {
		c.flusher.add(c)
		return
	}
	buf := c.server.batches.Get().(*[]byte)
	defer c.server.batches.Put(buf)
	all := append((*buf)[:0], answer...)
	messages := c.gather(all[len(all):], false)
	all = append(all, messages...)
	n, err := 0, error(errWouldBlock)
	if c.raw != nil {
		n, err = c.writeNow(all)
	}
	if n < len(answer) && err == errWouldBlock {
		// Serve is to return with an answered request.
		_ = c.nc.SetWriteDeadline(time.Now().Add(c.server.options.writeTimeout))
		var more int
		more, err = c.nc.Write(all[n:])
		n += more
		_ = c.nc.SetWriteDeadline(time.Time{})
	}
	c.written(max(n-len(answer), 0), len(messages), err, &c.server.counters.out)
}

// writeNow writes what the socket takes without waiting.
func (c *conn) writeNow(data []byte) (n int, err error) {
	failed := c.raw.Control(func(fd uintptr) { n, err = writeFD(fd, data) })
	if failed != nil {
		err = failed
	}
	return n, err
}

// Hijack implements http.Hijacker.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, brw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	c := h.conn
	c.take(nc)
	if n := brw.Reader.Buffered(); n > 0 {
		// The client did not wait for the answer to its handshake.
		early, err := brw.Reader.Peek(n)
		if err != nil {
			return nil, nil, err
		}
		c.in = append([]byte(nil), early...)
		c.in = c.in[:c.came(c.in, nil)]
	}
	s := (*socket)(c)
	c.br = bufio.NewReaderSize(s, headerBuffer)
	return s, bufio.NewReadWriter(c.br, bufio.NewWriterSize(s, headerBuffer)), nil
}

// WriteHeaderNow is what gin needs for a status to go out; Accept calls it.
func (h *hijacker) WriteHeaderNow() {
	if w, ok := h.ResponseWriter.(interface{ WriteHeaderNow() }); ok {
		w.WriteHeaderNow()
	}
}

// socket is a conn as coder/websocket sees it: it reads from it, but everything
// that is written goes through the connection's own queues, since only these
// know where a frame ends.
type socket conn

var errFlooded = errors.New("no more is read")

// Read implements net.Conn.
func (s *socket) Read(p []byte) (int, error) {
	c := (*conn)(s)
	if c.flooded {
		return 0, errFlooded
	}
	if len(c.in) == 0 && c.refusal == nil {
		if len(p) >= directRead {
			c.releaseBuffer()
			n, err := c.nc.Read(p)
			if n > 0 {
				err = nil
			}
			return c.came(p[:n], err), err
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	if len(c.in) == 0 {
		return 0, c.refusal
	}
	n := copy(p, c.in)
	c.in = c.in[n:]
	return n, nil
}

// Write implements net.Conn. All that comes here are close frames, which the
// connection makes itself: see conn.stop.
func (s *socket) Write(p []byte) (int, error) {
	s.answered.Store(true)
	return len(p), nil
}

// Close implements net.Conn. It is called when a close frame was answered, which
// does not end the connection yet, or when the peer stopped in the middle of a
// control frame.
func (s *socket) Close() error {
	if !s.answered.Load() {
		s.server.counters.protocolErrors.Add(1)
		(*conn)(s).cut(fmt.Errorf("%w: control frame was not completed in time", ErrProtocol))
	}
	return nil
}

// LocalAddr implements net.Conn.
func (s *socket) LocalAddr() net.Addr { return s.nc.LocalAddr() }

// RemoteAddr implements net.Conn.
func (s *socket) RemoteAddr() net.Addr { return s.nc.RemoteAddr() }

// SetDeadline implements net.Conn. Deadlines are the connection's own business.
func (s *socket) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (s *socket) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (s *socket) SetWriteDeadline(time.Time) error { return nil }
