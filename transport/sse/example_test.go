package sse_test

import (
	"fmt"
	"log"
	"net/http"

	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/sse"
)

// clock is a protocol that says one thing and ends.
type clock struct{}

func (clock) Receive([]byte)           {}
func (clock) Closed(code int, _ error) { fmt.Println("closed with", code) }

func Example() {
	s, err := sse.NewServer(sse.WithMaxConnections(10_000))
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("GET /clock", func(w http.ResponseWriter, r *http.Request) {
		err := s.Serve(w, r, func(conn transport.Conn) transport.Receiver {
			_ = conn.Send(transport.NewMessage(sse.Block(sse.ID{Channel: "clock", Epoch: "2026", Offset: 1}, []byte(`"tick"`))))
			conn.Close(1000, "that is all")
			return clock{}
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
}

func ExampleBlock() {
	fmt.Printf("%s", sse.Block(sse.ID{Channel: "room", Epoch: "x", Offset: 7}, []byte(`{"text":"hello"}`)))
	// Output:
	// id: room=x:7
	// data: {"text":"hello"}
}
