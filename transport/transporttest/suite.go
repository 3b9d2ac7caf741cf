package transporttest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/transport"
)

// suite is what one check works with.
type suite struct {
	*testing.T
	config  Config
	harness Harness
	// wordless and oneWay are what the harness says of its clients.
	wordless, oneWay bool
	peers            []*peer
	closing          sync.Once
}

// peer is a connection, seen from both ends.
type peer struct {
	t      *testing.T
	client Client
	conn   transport.Conn
	*receiver
}

// receiver keeps what it is told, and fails the test when it is told it wrongly.
type receiver struct {
	t        *testing.T
	conn     transport.Conn
	received chan string
	closed   chan ending
	busy     atomic.Bool
	over     atomic.Bool
	// receive, if set, is called with each message before it is kept.
	receive func(conn transport.Conn, data []byte)
	// end, if set, is called last when the connection is gone.
	end func()
	// gone, if set, is called as soon as the connection is gone.
	gone func()
}

type ending struct {
	code int
	err  error
}

// Receive implements transport.Receiver.
func (r *receiver) Receive(data []byte) {
	assert.True(r.t, r.busy.CompareAndSwap(false, true), "Receive was called during another call")
	assert.False(r.t, r.over.Load(), "Receive was called after Closed")
	if r.receive != nil {
		r.receive(r.conn, data)
	}
	r.received <- string(data)
	r.busy.Store(false)
}

// Gone implements transport.Watcher.
func (r *receiver) Gone() {
	assert.False(r.t, r.over.Load(), "Gone was called after Closed")
	if r.gone != nil {
		r.gone()
	}
}

// Closed implements transport.Receiver.
func (r *receiver) Closed(code int, err error) {
	assert.True(r.t, r.busy.CompareAndSwap(false, true), "Closed was called during another call")
	assert.False(r.t, r.over.Swap(true), "Closed was called twice")
	r.busy.Store(false)
	r.closed <- ending{code, err}
	if r.end != nil {
		r.end()
	}
}

// connect connects a client. opening, if set, is called within Open.
func (s *suite) connect(opening func(conn transport.Conn, r *receiver)) *peer {
	s.Helper()
	opened := make(chan *receiver, 2)
	client := s.harness.Connect(s.T, func(conn transport.Conn) transport.Receiver {
		r := &receiver{
			t: s.T, conn: conn,
			received: make(chan string, 1<<16), closed: make(chan ending, 8),
		}
		if opening != nil {
			opening(conn, r)
		}
		opened <- r
		return r
	})
	require.NotNil(s, client)
	require.Len(s, opened, 1, "Open is called once for each connection, before Connect returns")
	r := <-opened
	p := &peer{t: s.T, client: client, conn: r.conn, receiver: r}
	s.peers = append(s.peers, p)
	return p
}

// close ends the harness and checks that every receiver was told so once.
func (s *suite) close() {
	s.closing.Do(func() {
		s.harness.Close()
		for _, p := range s.peers {
			assert.True(s, p.over.Load(), "Closed was not called although the harness is closed")
			assert.ErrorIs(s, p.conn.Send(message("late")), transport.ErrClosed)
			p.conn.Close(4999, "late")
			assert.LessOrEqual(s, len(p.closed), 1)
		}
	})
}

func message(s string) *transport.Message { return transport.NewMessage([]byte(s)) }

// send sends from the server.
func (p *peer) send(s string) {
	p.t.Helper()
	require.NoError(p.t, p.conn.Send(message(s)))
}

// codeFor is what Closed gets when a client ends with this code.
func (s *suite) codeFor(code int) int {
	if s.wordless {
		return transport.StatusAbnormal
	}
	return code
}

// say sends from the client.
func (p *peer) say(s string) {
	p.t.Helper()
	require.NoError(p.t, p.client.Send([]byte(s)))
}

// next returns the next message that the client receives.
func (p *peer) next() string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	data, err := p.client.Receive(ctx)
	require.NoError(p.t, err)
	return string(data)
}

// heard returns the next message that the server's receiver got.
func (p *peer) heard() string {
	p.t.Helper()
	select {
	case s := <-p.received:
		return s
	case <-time.After(patience):
		require.FailNow(p.t, "the server received nothing")
		return ""
	}
}

// rest receives until the connection has ended.
func (p *peer) rest() []string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var all []string
	for {
		data, err := p.client.Receive(ctx)
		if err != nil {
			require.NoError(p.t, ctx.Err(), "the connection did not end")
			return all
		}
		all = append(all, string(data))
	}
}

// ended waits for Closed.
func (p *peer) ended() ending {
	p.t.Helper()
	select {
	case e := <-p.closed:
		return e
	case <-time.After(patience):
		require.FailNow(p.t, "Closed was not called")
		return ending{}
	}
}

// endedWith waits for Closed and checks its code.
func (p *peer) endedWith(code int) ending {
	p.t.Helper()
	e := p.ended()
	require.Equal(p.t, code, e.code, "code of Closed, with error %v", e.err)
	return e
}

// promptly fails the test if a method that never blocks does.
func (p *peer) promptly(method string, call func()) {
	p.t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		call()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		require.FailNow(p.t, method+" waits for a peer that does not read")
	}
}

// fillBytes is about the size of the messages that fill sends.
const fillBytes = 64 << 10

// fill sends messages until the queue is full. It returns how many were taken,
// and the error.
func (p *peer) fill() (taken int, full *transport.QueueError) {
	p.t.Helper()
	text := noise(fillBytes)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); taken++ {
		var err error
		p.promptly("Send", func() { err = p.conn.Send(numbered(taken, text)) })
		if errors.As(err, &full) {
			require.ErrorIs(p.t, err, transport.ErrSlow)
			return taken, full
		}
		require.NoError(p.t, err)
	}
	require.FailNow(p.t, "the queue of a peer that does not read was never full")
	return 0, nil
}
