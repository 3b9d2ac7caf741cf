package server

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	sdk "github.com/pusher/pusher-http-go/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/config"
	"github.com/carillon-rt/carillon/storage/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

const masterKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

// fixture is a server that runs in this process until the test ends.
type fixture struct {
	t    *testing.T
	url  *url.URL
	http *http.Client
	log  *lockedBuffer
	stop func()
	// server is what runs.
	server *server
}

// lockedBuffer takes the log lines of many goroutines.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// environment is what the variables say in tests.
func environment(name string) string {
	return map[string]string{"ADDR": "127.0.0.1:0", "PUSHER_APP_ID": "7", "PUSHER_APP_KEY": "key", "PUSHER_APP_SECRET": "secret"}[name]
}

// configured reads flags.
func configured(t *testing.T, flags ...string) *config.Config {
	t.Helper()
	c, err := config.Read(flags, environment, io.Discard)
	require.NoError(t, err)
	return c
}

// start runs a server with flags.
func start(t *testing.T, flags ...string) *fixture {
	t.Helper()
	return startWith(t, configured(t, flags...), &http.Transport{})
}

func startWith(t *testing.T, c *config.Config, transport *http.Transport) *fixture {
	t.Helper()
	return startAs(t, c, transport, process{sockets: sockets{env: none}})
}

func none(string) string { return "" }

func startAs(t *testing.T, c *config.Config, transport *http.Transport, p process) *fixture {
	t.Helper()
	f := &fixture{t: t, http: &http.Client{Transport: transport, Timeout: patience}, log: &lockedBuffer{}}
	ctx, cancel := context.WithCancel(context.Background())
	started, ended := make(chan struct{}), make(chan error, 1)
	p.started = func(s *server) {
		f.server = s
		close(started)
	}
	var level slog.LevelVar
	log := logger(c, f.log, &level)
	go func() { ended <- serve(ctx, c, log, &level, p) }()
	f.stop = sync.OnceFunc(func() {
		cancel()
		transport.CloseIdleConnections()
		assert.NoError(t, <-ended)
	})
	t.Cleanup(f.stop)
	select {
	case <-started:
		var err error
		l := f.server.listeners[0]
		f.url, err = url.Parse(f.server.url(l, f.server.certificate != nil && l.Addr().Network() != "unix"))
		require.NoError(t, err)
	case err := <-ended:
		ended <- nil
		require.FailNow(t, "server did not start", "%v", err)
	}
	return f
}

// sdk is the official client for backends.
func (f *fixture) sdk() *sdk.Client {
	return &sdk.Client{AppID: "7", Key: "key", Secret: "secret", Host: f.url.Host, Secure: f.url.Scheme == "https",
		HTTPClient: f.http, EncryptionMasterKeyBase64: masterKey}
}

func TestUp(t *testing.T) {
	f := start(t)
	res, err := f.http.Get(f.url.String() + "/up")
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, "ok\n", string(body))
}

// What is kept in a file is there after a restart, and a second server shares it.
func TestStorageOutlivesTheServer(t *testing.T) {
	flags := []string{"-storage", "sqlite:" + filepath.Join(t.TempDir(), "carillon.db"), "-history", "news=10", "-rewind", "10"}
	f := start(t, flags...)
	require.NoError(t, f.sdk().Trigger("news", "headline", "before"))
	f.stop()
	f = start(t, flags...)
	ws := f.dial()
	ws.subscribe("news", "")
	require.Equal(t, "before", ws.expect("headline").text(t))
	other := start(t, flags...)
	require.NoError(t, other.sdk().Trigger("news", "headline", "of another"))
	require.Equal(t, "of another", ws.expect("headline").text(t))
}

func TestRunFailsWhereTheFileIsNoStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.txt")
	require.NoError(t, os.WriteFile(path, []byte("not a database, but some notes that somebody needs"), 0o600))
	require.ErrorIs(t, runAndStop(t, configured(t, "-storage", "sqlite:"+path)), sqlite.ErrForeign)
}

func TestRunFailsWhereTheAddressIsTaken(t *testing.T) {
	f := start(t)
	require.ErrorContains(t, runAndStop(t, configured(t, "-addr", f.url.Host)), f.url.Host)
}

func TestShutdownSendsClientsToTheNextServer(t *testing.T) {
	f := start(t)
	ws := f.dial()
	ws.subscribe("news", "")
	stopped := make(chan struct{})
	go func() { f.stop(); close(stopped) }()
	require.EqualValues(t, 4200, ws.closeCode())
	<-stopped
	require.Contains(t, f.log.String(), "msg=ended")
	require.NotContains(t, f.log.String(), "level=ERROR")
}

// runAndStop runs a server that is to fail at its start, and ends it if it does not.
func runAndStop(t *testing.T, c *config.Config) error {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var level slog.LevelVar
	return serve(ctx, c, slog.New(slog.DiscardHandler), &level, process{sockets: sockets{env: none}, started: func(*server) { cancel() }})
}
