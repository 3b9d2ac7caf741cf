package websocket

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/transport"
)

// holding is a receiver that is busy until it is told to go on.
type holding struct {
	*echo
	entered chan struct{}
	proceed chan struct{}
}

func (h holding) Receive(data []byte) {
	h.entered <- struct{}{}
	<-h.proceed
	h.echo.Receive(data)
}

func TestBlockedReceiversHoldUpNobody(t *testing.T) {
	f := newFixture(t)
	entered, proceed := make(chan struct{}), make(chan struct{})
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = f.server.Serve(w, r, func(conn transport.Conn) transport.Receiver {
			return holding{newEcho(conn), entered, proceed}
		})
	}))
	defer busy.Close()
	var blocked []*peer
	for range 2*int(f.server.workers.most) + 1 {
		nc := dialRaw(t, busy.Listener.Addr().String(), "")
		require.NoError(t, nc.SetDeadline(time.Now().Add(patience)))
		p := &peer{nc, t}
		p.write(masked(finText, []byte("held")))
		<-entered
		blocked = append(blocked, p)
	}
	p, _ := f.raw("")
	for range 100 {
		p.write(masked(finText, []byte("on")))
		p.expect(finText, "on")
	}
	close(proceed)
	for _, p := range blocked {
		p.expect(finText, "held")
	}
}

// TestShutdownWhileClientsCome sees that none is forgotten.
func TestShutdownWhileClientsCome(t *testing.T) {
	for i := range 20 {
		s := newServer(t)
		var made, closed sync.WaitGroup
		h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = s.Serve(w, r, func(conn transport.Conn) transport.Receiver {
				closed.Add(1)
				return counted{&closed}
			})
		}))
		for range 8 {
			made.Go(func() {
				nc, err := net.Dial("tcp", h.Listener.Addr().String())
				if !assert.NoError(t, err) {
					return
				}
				defer func() { _ = nc.Close() }()
				assert.NoError(t, upgradeRequest().Write(nc))
				_ = nc.SetReadDeadline(time.Now().Add(patience))
				_, _ = nc.Read(make([]byte, 1))
			})
		}
		for range i * 10 {
			_ = s.Stats()
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := s.Shutdown(ctx); err != nil {
			require.ErrorIs(t, err, ErrShutdown)
		}
		made.Wait()
		h.Close()
		closed.Wait()
		require.Zero(t, s.Stats().Open)
	}
}

// counted counts its end.
type counted struct{ closed *sync.WaitGroup }

func (counted) Receive([]byte)      {}
func (c counted) Closed(int, error) { c.closed.Done() }

// wrapped is what middleware makes of a writer: it hides all but net/http's way
// to what is behind it.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestWritersOfMiddleware(t *testing.T) {
	s := newServer(t)
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = s.Serve(w, r, func(conn transport.Conn) transport.Receiver { return newEcho(conn) })
	})
	mux := http.NewServeMux()
	mux.Handle("/timeout", http.TimeoutHandler(serve, time.Minute, ""))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { serve(wrapped{w}, r) })
	h := httptest.NewServer(mux)
	defer h.Close()
	defer shutdown(t, s)

	nc := dialRaw(t, h.Listener.Addr().String(), "")
	require.NoError(t, nc.SetDeadline(time.Now().Add(patience)))
	p := &peer{nc, t}
	p.write(masked(finText, []byte("hello")))
	p.expect(finText, "hello")
	require.NoError(t, p.Close())

	r := upgradeRequest()
	w := httptest.NewRecorder()
	r.URL.Path = "/timeout"
	mux.ServeHTTP(w, r)
	require.Equal(t, http.StatusNotImplemented, w.Code)
}

func TestHTTP2IsRefused(t *testing.T) {
	s := newServer(t)
	defer shutdown(t, s)
	h := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, 2, r.ProtoMajor)
		assert.ErrorIs(t, s.Serve(w, r, nil), http.ErrNotSupported)
	}))
	h.EnableHTTP2 = true
	h.StartTLS()
	defer h.Close()
	resp, err := h.Client().Get(h.URL)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusNotImplemented, resp.StatusCode)
}
