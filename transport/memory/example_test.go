package memory_test

import (
	"fmt"

	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/memory"
)

// echo is the shortest protocol.
type echo struct{ conn transport.Conn }

func (e echo) Receive(data []byte) {
	_ = e.conn.Send(transport.NewMessage(append([]byte("you said: "), data...)))
}

func (e echo) Closed(code int, _ error) { fmt.Println("closed with", code) }

func Example() {
	c, err := memory.Connect(func(conn transport.Conn) transport.Receiver { return echo{conn} })
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := c.Send([]byte("hello")); err != nil {
		fmt.Println(err)
	}
	message, _ := c.TryReceive()
	fmt.Println(string(message))
	c.Close(1000, "")
	// Output:
	// you said: hello
	// closed with 1000
}
