package sse

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/internal/streamtest"
	"github.com/stretchr/testify/assert"
)

func TestSlowButSteadyReader(t *testing.T) {
	streamtest.SlowButSteadyReader(t, func(timeout time.Duration, unsent func() int) streamtest.SlowServer {
		s := newServer(t, WithWriteTimeout(timeout))
		s.unsent = func(*http.Request) func() int { return unsent }
		return streamtest.SlowServer{
			Serve: func(w http.ResponseWriter, open transport.Open) {
				assert.NoError(t, s.Serve(w, httptest.NewRequest("GET", "/", nil), open))
			},
			WriteErrors: func() int64 { return s.Stats().WriteErrors },
			Shutdown:    s.Shutdown,
		}
	})
}
