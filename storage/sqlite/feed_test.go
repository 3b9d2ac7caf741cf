package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
)

// feedServer is a program with a feed on a file.
type feedServer struct {
	store  *Store
	broker *broker.Broker
	http   *httptest.Server
}

func startFeedServer(t *testing.T, path string) *feedServer {
	t.Helper()
	s := &feedServer{store: openFile(t, path)}
	var err error
	s.broker, err = broker.New(broker.WithHistory(s.store), broker.WithChannelRules(
		broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 50}}))
	require.NoError(t, err)
	apps, err := pusher.NewApps(pusher.App{ID: "1", Key: "key", Secret: "secret"})
	require.NoError(t, err)
	handler, err := pusher.NewHandler(s.broker, apps)
	require.NoError(t, err)
	s.http = httptest.NewServer(handler)
	return s
}

func (s *feedServer) publish(t *testing.T, channel, data string) {
	t.Helper()
	_, err := s.broker.App("1").Publish(t.Context(), channel, "message", []byte(data))
	require.NoError(t, err)
}

func (s *feedServer) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, s.broker.Shutdown(context.Background()))
	s.http.Close()
	require.NoError(t, s.store.Close())
}

// feed is an EventSource that is asked for one thing after another.
type feed struct {
	lines *bufio.Scanner
	last  string // its Last-Event-ID
}

func (f *feed) connect(t *testing.T, s *feedServer) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.http.URL+"/sse/app/key?channels=a,b&named=1", nil)
	require.NoError(t, err)
	if f.last != "" {
		req.Header.Set("Last-Event-ID", f.last)
	}
	resp, err := s.http.Client().Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	require.Equal(t, http.StatusOK, resp.StatusCode)
	f.lines = bufio.NewScanner(resp.Body)
}

// next returns the data of the next event.
func (f *feed) next(t *testing.T) (data string) {
	t.Helper()
	for f.lines.Scan() {
		name, value, _ := strings.Cut(f.lines.Text(), ": ")
		switch {
		case name == "id":
			f.last = value
		case name == "data":
			data = value
		case name == "" && data != "":
			return data
		}
	}
	require.FailNow(t, "the feed has ended", "%v", f.lines.Err())
	return ""
}

// A feed goes on where it left off when its program comes back, on the file that it has
// kept.
func TestFeedsResumeOverRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "carillon.db")
	var f feed
	n := 0
	next := func() string {
		n++
		return fmt.Sprint(n)
	}
	for round := range 4 {
		s := startFeedServer(t, path)
		if round > 0 {
			s.publish(t, "a", next()) // after the restart, before the feed is back
		}
		f.connect(t, s)
		if round > 0 { // channel by channel
			for _, missed := range []int{n - 2, n, n - 1} {
				require.Equal(t, fmt.Sprint(missed), f.next(t))
			}
		}
		for _, channel := range []string{"a", "b"} {
			s.publish(t, channel, next())
			require.Equal(t, fmt.Sprint(n), f.next(t))
		}
		last := f.last
		s.publish(t, "a", next())
		s.publish(t, "b", next())
		f.last = last // what came of that was lost on the way
		s.stop(t)
	}
}
