package xhr_test

import (
	"log"
	"net/http"

	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/xhr"
)

// echo is a protocol that sends back what it gets.
type echo struct{ conn transport.Conn }

func (e echo) Receive(data []byte) {
	_ = e.conn.Send(transport.NewMessage(append([]byte(nil), data...)))
}
func (echo) Closed(int, error) {}

func Example() {
	s, err := xhr.NewServer(xhr.WithMaxSessions(10_000))
	if err != nil {
		log.Fatal(err)
	}
	open := func(conn transport.Conn) transport.Receiver { return echo{conn} }
	http.HandleFunc("/{session}/xhr_streaming", func(w http.ResponseWriter, r *http.Request) {
		s.ServeReceive(w, r, r.PathValue("session"), xhr.Streaming, open)
	})
	http.HandleFunc("/{session}/xhr", func(w http.ResponseWriter, r *http.Request) {
		s.ServeReceive(w, r, r.PathValue("session"), xhr.Polling, open)
	})
	http.HandleFunc("/{session}/xhr_send", func(w http.ResponseWriter, r *http.Request) {
		s.ServeSend(w, r, r.PathValue("session"))
	})
}
