package tail

import (
	"context"
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/client"
	"github.com/carillon-rt/carillon/cmd/carillon/internal/servertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is a tail whose lines a test reads.
type running struct {
	t     *testing.T
	tail  *tail
	lines *json.Decoder
	// delays has each pause before another connection, as it begins.
	delays chan time.Duration
	ended  chan error
	cancel context.CancelFunc
	out    *io.PipeReader
}

// start runs a tail of channels as JSON. Its pauses end at once.
func start(t *testing.T, app client.App, channels ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	run := &running{t: t, lines: json.NewDecoder(r), delays: make(chan time.Duration, 100), ended: make(chan error, 1), cancel: cancel, out: r}
	tl := &tail{app: &app, version: "test", printer: printer{out: w, log: io.Discard, json: true},
		pause: func(ctx context.Context, d time.Duration) error {
			run.delays <- d
			return ctx.Err()
		}}
	run.tail = tl
	require.NoError(t, tl.want(channels, "me", `{"name":"Me"}`))
	go func() {
		run.ended <- tl.run(ctx)
		_ = w.Close()
	}()
	t.Cleanup(func() { run.stop() })
	return run
}

// stop ends the tail, and passes over what it still says.
func (r *running) stop() {
	r.cancel()
	_, _ = io.Copy(io.Discard, r.out)
}

// end waits for the end of a tail that ends by itself.
func (r *running) end() error {
	r.t.Helper()
	_, _ = io.Copy(io.Discard, r.out)
	return <-r.ended
}

// next returns the next line.
func (r *running) next() (l line) {
	r.t.Helper()
	require.NoError(r.t, r.lines.Decode(&l))
	return l
}

// until returns the next line of a kind, past others.
func (r *running) until(kind string) line {
	r.t.Helper()
	for {
		if l := r.next(); l.Type == kind {
			return l
		}
	}
}

// want reads an event.
func (r *running) want(channel, event, data string) {
	r.t.Helper()
	l := r.until(kindEvent)
	assert.Equal(r.t, []string{channel, event, data}, []string{l.Channel, l.Event, string(l.Data)})
}

// publish sends an event over the HTTP API.
func publish(t *testing.T, app client.App, channel, event, data string) {
	t.Helper()
	api := client.NewAPI(&app, 1)
	defer api.Close()
	if client.IsEncrypted(channel) {
		var err error
		data, err = client.Seal(channel, app.MasterKey, data)
		require.NoError(t, err)
	}
	_, err := api.Publish(t.Context(), client.Event{Name: event, Channel: channel, Data: data})
	require.NoError(t, err)
}

// ours is our server's app.
func ours(t *testing.T) client.App {
	url, _ := servertest.Ours(t)
	return servertest.App(t, url)
}
