package memory_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/memory"
	"github.com/carillon-rt/carillon/transport/transporttest"
)

func TestSignsOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var silent, alive transport.Conn
		_, err := memory.Connect(func(c transport.Conn) transport.Receiver { silent = c; return nil })
		require.NoError(t, err)
		_, err = memory.Connect(func(c transport.Conn) transport.Receiver { alive = c; return nil }, memory.WithSignsOfLife())
		require.NoError(t, err)
		start := time.Now()
		time.Sleep(time.Hour)
		assert.Equal(t, start, silent.LastReceived())
		assert.Equal(t, time.Now(), alive.LastReceived())
	})
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTransport(t *testing.T) {
	transporttest.Run(t, func(_ testing.TB, c transporttest.Config) transporttest.Harness {
		return &harness{config: c}
	})
}

// harness connects clients of the suite.
type harness struct {
	config  transporttest.Config
	mu      sync.Mutex
	clients []*memory.Client
}

// Budgetless implements transporttest.Budgetless.
func (*harness) Budgetless() {}

func (h *harness) Connect(t testing.TB, open transport.Open) transporttest.Client {
	c, err := memory.Connect(open, memory.WithQueueLimits(h.config.QueueMessages, h.config.QueueBytes))
	require.NoError(t, err)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clients = append(h.clients, c)
	return c
}

func (h *harness) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.clients {
		c.Close(transport.StatusAbnormal, "")
	}
}

// log is a receiver that keeps what it is told.
type log struct {
	conn     transport.Conn
	received []string
	code     int
	receive  func(data []byte)
}

func (l *log) Receive(data []byte) {
	l.received = append(l.received, string(data))
	if l.receive != nil {
		l.receive(data)
	}
}

func (l *log) Closed(code int, _ error) { l.code = code }

func connect(t testing.TB, l *log, opts ...memory.Option) *memory.Client {
	t.Helper()
	c, err := memory.Connect(func(conn transport.Conn) transport.Receiver {
		l.conn = conn
		return l
	}, opts...)
	require.NoError(t, err)
	return c
}

func TestEverythingHasHappenedWhenCallsReturn(t *testing.T) {
	l := &log{}
	c := connect(t, l)
	require.NoError(t, c.Send([]byte("one")))
	assert.Equal(t, []string{"one"}, l.received)
	_, ok := c.TryReceive()
	assert.False(t, ok)
	require.NoError(t, l.conn.Send(transport.NewMessage([]byte("two"))))
	data, ok := c.TryReceive()
	assert.True(t, ok)
	assert.Equal(t, "two", string(data))
	l.conn.Close(4000, "over")
	assert.Equal(t, 4000, l.code)
	code, reason := c.CloseStatus()
	assert.Equal(t, 4000, code)
	assert.Equal(t, "over", reason)
	require.ErrorIs(t, c.Send([]byte("late")), transport.ErrClosed)
}

func TestAReceiverMaySendToItself(t *testing.T) {
	l := &log{}
	c := connect(t, l)
	l.receive = func(data []byte) {
		if len(data) < 3 {
			assert.NoError(t, c.Send(append(data, 'x')))
		}
	}
	require.NoError(t, c.Send(nil))
	assert.Equal(t, []string{"", "x", "xx", "xxx"}, l.received)
}

func TestTheSendersBufferIsItsOwn(t *testing.T) {
	l := &log{}
	var kept []byte
	l.receive = func(data []byte) { kept = data }
	c := connect(t, l)
	data := []byte("one")
	require.NoError(t, c.Send(data))
	data[0] = 'x'
	assert.Equal(t, "one", string(kept))
}

// watch counts what has become of messages.
type watch struct{ written, dropped int }

func (w *watch) Written() { w.written++ }
func (w *watch) Dropped() { w.dropped++ }

func TestAWatchIsToldOfWhatAClientLeavesUnread(t *testing.T) {
	for _, byServer := range []bool{false, true} {
		l := &log{}
		c := connect(t, l)
		w := new(watch)
		for range 2 {
			require.NoError(t, l.conn.Send(transport.NewMessage([]byte("x")).Watched(w)))
		}
		if byServer {
			l.conn.Close(1000, "")
		}
		_, ok := c.TryReceive()
		require.True(t, ok, "what is queued stays readable")
		assert.Zero(t, w.dropped)
		c.Close(1000, "")
		c.Close(1000, "")
		assert.Equal(t, watch{written: 1, dropped: 1}, *w)
		_, ok = c.TryReceive()
		assert.False(t, ok)
	}
}

func TestReceiveEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, &log{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Receive(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestOptions(t *testing.T) {
	l := &log{}
	connect(t, l, memory.WithInfo(transport.Info{RemoteAddr: "192.0.2.1:80", Secure: true}), memory.WithQueueLimits(1, 0))
	assert.Equal(t, transport.Info{Transport: "memory", RemoteAddr: "192.0.2.1:80", Secure: true}, l.conn.Info())
	m := transport.NewMessage([]byte("x"))
	require.NoError(t, l.conn.Send(m))
	var full *transport.QueueError
	require.ErrorAs(t, l.conn.Send(m), &full)
	assert.Equal(t, &transport.QueueError{Messages: 1, MessageLimit: 1, Bytes: 1, ByteLimit: transport.DefaultQueueBytes}, full)
}
