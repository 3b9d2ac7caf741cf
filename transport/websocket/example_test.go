package websocket_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	coder "github.com/coder/websocket"

	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/websocket"
)

// shout sends back what it receives, louder.
type shout struct{ conn transport.Conn }

func (s shout) Receive(data []byte) {
	// A full queue means a peer that does not keep up: it is cut off.
	if err := s.conn.Send(transport.NewMessage([]byte(string(data) + "!"))); err != nil {
		s.conn.Close(4100, "too slow")
	}
}

func (s shout) Closed(code int, _ error) { fmt.Println("closed with", code) }

func Example() {
	ctx := context.Background()
	sockets, err := websocket.NewServer(websocket.WithReadLimit(1000))
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = sockets.Serve(w, r, func(conn transport.Conn) transport.Receiver { return shout{conn} })
	}))
	defer server.Close()

	client, _, err := coder.Dial(ctx, server.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := client.Write(ctx, coder.MessageText, []byte("hello")); err != nil {
		fmt.Println(err)
		return
	}
	_, data, err := client.Read(ctx)
	fmt.Println(string(data), err)
	_ = client.Close(1000, "")
	fmt.Println(sockets.Shutdown(ctx))
	// Output:
	// hello! <nil>
	// closed with 1000
	// <nil>
}

func ExampleServer_Stats() {
	s, err := websocket.NewServer()
	if err != nil {
		fmt.Println(err)
		return
	}
	stats := s.Stats()
	fmt.Println(stats.Open, stats.Slow, stats.WriteTimeouts)
	// Output: 0 0 0
}
