package xhr

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/internal/streamtest"
)

func TestSlowButSteadyReader(t *testing.T) {
	streamtest.SlowButSteadyReader(t, func(timeout time.Duration, unsent func() int) streamtest.SlowServer {
		s := newServer(t, WithWriteTimeout(timeout))
		s.unsent = func(*http.Request) func() int { return unsent }
		return streamtest.SlowServer{
			Serve: func(w http.ResponseWriter, open transport.Open) {
				s.ServeReceive(w, httptest.NewRequest("POST", "/", nil), "1", Streaming, open)
			},
			WriteErrors: func() int64 { return s.Stats().WriteErrors },
			Shutdown:    s.Shutdown,
		}
	})
}
