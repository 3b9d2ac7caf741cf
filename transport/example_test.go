package transport_test

import (
	"context"
	"fmt"

	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/memory"
)

// greeter is a protocol: the receiver of one connection, which sends through its Conn.
type greeter struct{ conn transport.Conn }

func (g greeter) Receive(name []byte) {
	// data is only valid during the call; a message is handed over for good.
	m := transport.NewMessage(fmt.Appendf(nil, "hello, %s", name))
	if err := g.conn.Send(m); err != nil {
		g.conn.Close(4100, "you do not keep up") // what is queued is sent first
	}
}

func (g greeter) Closed(code int, _ error) { fmt.Println(g.conn.Info().Transport, "closed with", code) }

// A protocol is an Open, which any transport calls for each new connection.
func ExampleOpen() {
	open := func(conn transport.Conn) transport.Receiver { return greeter{conn} }
	client, err := memory.Connect(open)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := client.Send([]byte("ann")); err != nil {
		fmt.Println(err)
	}
	answer, err := client.Receive(context.Background())
	fmt.Println(string(answer), err)
	client.Close(1000, "")
	// Output:
	// hello, ann <nil>
	// memory closed with 1000
}

// A queue that has no room refuses a message, and says which bound was reached.
func ExampleQueueError() {
	conns := make(chan transport.Conn, 1)
	_, err := memory.Connect(func(conn transport.Conn) transport.Receiver {
		conns <- conn
		return greeter{conn}
	}, memory.WithQueueLimits(1, 1000))
	if err != nil {
		fmt.Println(err)
		return
	}
	conn, m := <-conns, transport.NewMessage([]byte("news"))
	fmt.Println(conn.Send(m))
	fmt.Println(conn.Send(m))
	// Output:
	// <nil>
	// connection's queue is full: 1 messages of at most 1, 4 bytes of at most 1000
}
