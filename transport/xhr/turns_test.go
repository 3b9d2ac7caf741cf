package xhr

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/transport"
)

// busy is the receiver of a session that has much to handle. With the first
// message it sets another goroutine to work.
type busy struct {
	handled atomic.Int64
	other   chan int64
}

func (b *busy) Receive([]byte) {
	if b.handled.Add(1) == 1 {
		go func() { b.other <- b.handled.Load() }()
	}
}

func (b *busy) Closed(int, error) {}

// A session that has much to handle does not keep a processor for itself.
func TestOneSessionLetsOthersHaveTheirTurns(t *testing.T) {
	const messages = 300
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	b := &busy{other: make(chan int64, 1)}
	s := newServer(t)
	var conn transport.Conn
	s.ServeReceive(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil), "1", Polling,
		func(c transport.Conn) transport.Receiver { conn = c; return b })
	body := "[" + strings.TrimSuffix(strings.Repeat(`"hello",`, messages), ",") + "]"
	w := httptest.NewRecorder()
	s.ServeSend(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)), "1")
	require.Equal(t, http.StatusNoContent, w.Code)
	assert.EqualValues(t, messages, b.handled.Load())
	assert.Less(t, <-b.other, int64(messages/10))
	conn.Close(4000, "")
	s.ServeReceive(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil), "1", Polling, nil)
	require.NoError(t, s.Shutdown(t.Context()))
}
