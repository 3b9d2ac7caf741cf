package websocket

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/transport"
)

// busy is the receiver of a connection that has much to handle. With the first
// message it sets another goroutine to work.
type busy struct {
	handled     atomic.Int64
	other, done chan int64
	most        int64
}

func (b *busy) Receive([]byte) {
	switch n := b.handled.Add(1); n {
	case 1:
		go func() { b.other <- b.handled.Load() }()
	case b.most:
		b.done <- n
	}
}

func (b *busy) Closed(int, error) {}

// A connection that has much to handle does not keep a processor for itself.
func TestOneConnectionLetsOthersHaveTheirTurns(t *testing.T) {
	const messages = 300 // read at once
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	b := &busy{other: make(chan int64, 1), done: make(chan int64, 1), most: messages}
	s := newServer(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.NoError(t, s.Serve(w, r, func(transport.Conn) transport.Receiver { return b }))
	}))
	defer server.Close()
	nc, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer shutdown(t, s)
	defer func() { _ = nc.Close() }()
	var request bytes.Buffer
	require.NoError(t, upgradeRequest().Write(&request))
	_, err = nc.Write(request.Bytes())
	require.NoError(t, err)
	_, err = nc.Read(make([]byte, 1)) // the answer to the handshake
	require.NoError(t, err)
	_, err = nc.Write(bytes.Repeat(masked(finText, []byte("hello")), messages))
	require.NoError(t, err)
	<-b.done
	assert.Less(t, <-b.other, int64(messages/10))
}
