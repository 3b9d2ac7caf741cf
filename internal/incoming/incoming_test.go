package incoming

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site reads bodies, and says when it has begun and how each has ended.
type site struct {
	http  *httptest.Server
	begun chan string
	ended chan error
}

func newSite(t *testing.T, limit int) *site {
	s := &site{begun: make(chan string, 10), ended: make(chan error, 10)}
	set := &Set{}
	s.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		read := set.Begin(w, r, limit)
		s.begun <- r.URL.Path
		_, err := io.ReadAll(r.Body)
		why := read.End()
		if why != nil {
			assert.Error(t, err)
		}
		s.ended <- why
	}))
	t.Cleanup(s.http.Close)
	return s
}

// slow sends all of a body but its end.
func (s *site) slow(t *testing.T, path string) {
	nc, err := net.Dial("tcp", s.http.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = nc.Close() })
	_, err = io.WriteString(nc, "POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab")
	require.NoError(t, err)
	require.Equal(t, path, <-s.begun)
}

func TestTheSlowestGivesWay(t *testing.T) {
	s := newSite(t, 2)
	s.slow(t, "/1")
	s.slow(t, "/2")
	require.Empty(t, s.ended)
	s.slow(t, "/3")
	require.ErrorIs(t, <-s.ended, ErrSlowest)
	require.Empty(t, s.ended)
	s.http.CloseClientConnections()
}

func TestAServerThatEndsWaitsForNoBody(t *testing.T) {
	s := newSite(t, 0)
	s.slow(t, "/1")
	s.slow(t, "/2")
	require.NoError(t, s.http.Config.Shutdown(context.Background()))
	for range 2 {
		require.ErrorIs(t, <-s.ended, ErrServerEnds)
	}
}
