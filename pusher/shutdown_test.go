package pusher_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
)

// piped is an http.ResponseWriter over a pipe, as bubbles of synctest need it.
type piped struct {
	http.ResponseWriter
	nc net.Conn
}

func (w *piped) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.nc, bufio.NewReadWriter(bufio.NewReader(w.nc), bufio.NewWriter(w.nc)), nil
}

const hangs = `{"event":"pusher:subscribe","data":{"channel":"hangs"}}`

// hangOver connects by every transport, and subscribes to a channel whose hook hangs.
func hangOver(t *testing.T, h *pusher.Handler) (gone *sync.WaitGroup) {
	gone = new(sync.WaitGroup)
	serve := func(method, path, body string) {
		gone.Go(func() {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, path, strings.NewReader(body)))
		})
		synctest.Wait()
	}
	serve("GET", "/sse/app/key?channels=hangs", "")
	serve("POST", "/app/key/1/abcdefgh/xhr_streaming?protocol=7", "")
	serve("POST", "/app/key/1/abcdefgh/xhr_send", `["`+strings.ReplaceAll(hangs, `"`, `\"`)+`"]`)

	client, server := net.Pipe()
	r := httptest.NewRequest("GET", "/app/key?protocol=7", nil)
	r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
	h.ServeHTTP(&piped{httptest.NewRecorder(), server}, r)
	gone.Go(func() { _, _ = io.Copy(io.Discard, client) })
	mask := []byte{0, 0, 0, 0}
	_, err := client.Write(append(append([]byte{0x81, 0x80 | byte(len(hangs))}, mask...), hangs...))
	require.NoError(t, err)
	synctest.Wait()
	t.Cleanup(func() { _ = client.Close() })
	return gone
}

// A hook that hangs for a client of each transport holds Shutdown up no longer than
// its context says, webhooks have their share of the time, and nothing is left once
// the hook goes on.
func TestShutdownWithAHookThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const within = 3 * time.Second
		release, hanging := make(chan struct{}), 0
		var mu sync.Mutex
		var told bytes.Buffer
		receiver := roundTripper(func(r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(within / 5): // it is slow
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
			mu.Lock()
			defer mu.Unlock()
			_, err := told.ReadFrom(r.Body)
			return httptest.NewRecorder().Result(), err
		})
		b, err := broker.New(broker.WithLogger(slog.New(slog.DiscardHandler)), broker.WithHooks(broker.Hooks{
			Subscribe: func(_ context.Context, r *broker.SubscribeRequest) error {
				if r.Channel == "hangs" {
					mu.Lock()
					hanging++
					mu.Unlock()
					<-release
				}
				return nil
			},
		}))
		require.NoError(t, err)
		apps, err := pusher.NewApps(pusher.App{ID: "1", Key: "key", Secret: "secret", Webhooks: []pusher.Webhook{{
			URL: "https://example.com/", Batch: true, Events: []string{pusher.WebhookChannelVacated}}}})
		require.NoError(t, err)
		h, err := pusher.NewHandler(b, apps, pusher.WithHTTPClient(&http.Client{Transport: receiver}))
		require.NoError(t, err)
		gone := hangOver(t, h)
		require.Equal(t, 3, hanging)
		other := pusher.Connect(t, h.Open(t.Context(), pusher.Dial{Key: "key", Protocol: "7"}))
		require.NoError(t, other.Send([]byte(`{"event":"pusher:subscribe","data":{"channel":"room"}}`)))

		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, b.Shutdown(ctx), context.DeadlineExceeded)
		assert.LessOrEqual(t, time.Since(start), within+broker.ShutdownGrace)
		mu.Lock()
		assert.Contains(t, told.String(), `"channel_vacated","channel":"room"`)
		mu.Unlock()
		close(release)
		gone.Wait()
		synctest.Wait()
		assert.Zero(t, b.Stats().Sessions)
	})
}
