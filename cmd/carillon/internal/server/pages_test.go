package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/joho/godotenv"
	sdk "github.com/pusher/pusher-http-go/v5"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/cmd/carillon/internal/config"
	"github.com/carillon-rt/carillon/cmd/carillon/internal/servertest"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
)

func (f *fixture) get(url string, header ...string) (status int, body string) {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, url, nil)
	require.NoError(f.t, err)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := f.http.Do(r)
	require.NoError(f.t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	require.NoError(f.t, err)
	return res.StatusCode, string(text)
}

func (f *fixture) adminURL() string { return "http://" + f.server.admin.listener.Addr().String() }

func TestFrontPage(t *testing.T) {
	f := start(t)
	status, body := f.get(f.url.String() + "/")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "This is a realtime server")
	require.Contains(t, body, Documentation)
	require.NotContains(t, body, "Console")

	f = start(t, "-admin", "127.0.0.1:0", "-prefix", "/rt")
	_, body = f.get("http://" + f.url.Host + "/")
	require.Contains(t, body, f.adminURL()+"/console/")
	status, _ = f.get("http://" + f.url.Host + "/console/")
	require.Equal(t, http.StatusNotFound, status, "operators have an address of their own")
}

func TestAdminPages(t *testing.T) {
	f := start(t, "-admin", "127.0.0.1:0")
	for path, want := range map[string]string{
		"/": `href="/console/"`, "/up": "ok\n", "/ready": `{"ready":true}`, "/metrics": "carillon_", "/console/": "<!doctype html>",
		"/console/api/info": `"7"`,
	} {
		status, body := f.get(f.adminURL() + path)
		require.Equal(t, http.StatusOK, status, path)
		require.Contains(t, body, want, path)
	}

	const token = "0123456789abcdef0123"
	f = start(t, "-admin", "127.0.0.1:0", "-admin-token", token)
	for _, path := range []string{"/metrics", "/console/api/info"} {
		status, _ := f.get(f.adminURL() + path)
		require.Equal(t, http.StatusUnauthorized, status, path)
		status, _ = f.get(f.adminURL()+path, "Authorization", "Bearer "+token+"4")
		require.Equal(t, http.StatusUnauthorized, status, path)
		status, _ = f.get(f.adminURL()+path, "Authorization", "Bearer "+token)
		require.Equal(t, http.StatusOK, status, path)
	}
	require.NotContains(t, f.log.String(), token)
}

// failing is a store that stops to answer.
type failing struct {
	storage.History
	err   atomic.Pointer[error]
	asked atomic.Int32
}

func (s *failing) Latest(ctx context.Context, channels []storage.ChannelID) ([]storage.Position, error) {
	s.asked.Add(1)
	if err := s.err.Load(); err != nil {
		return nil, *err
	}
	return s.History.Latest(ctx, channels)
}

func TestReadyTellsOfTheStoreAndOfTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := broker.New()
		require.NoError(t, err)
		store := &failing{History: memory.New()}
		h := &health{broker: b, log: slog.New(slog.DiscardHandler), store: store}
		ask := func() (int, string) {
			w := httptest.NewRecorder()
			h.ready(w, (&http.Request{}).WithContext(t.Context()))
			return w.Code, w.Body.String()
		}
		expect := func(status int, body string) {
			t.Helper()
			got, said := ask()
			require.Equal(t, status, got)
			require.Equal(t, body+"\n", said)
		}
		expect(200, `{"ready":true}`)
		broken := errors.New("no disk")
		store.err.Store(&broken)
		expect(200, `{"ready":true}`)
		require.EqualValues(t, 1, store.asked.Load(), "whoever asks often does not ask the store often")
		time.Sleep(storeFresh)
		expect(503, `{"ready":false,"problem":"storage does not answer"}`)
		store.err.Store(nil)
		time.Sleep(storeFresh)
		expect(200, `{"ready":true}`)
		h.draining.Store(true)
		expect(503, `{"ready":false,"problem":"shutting down"}`)
		h.draining.Store(false)
		require.NoError(t, b.Shutdown(t.Context()))
		expect(503, `{"ready":false,"problem":"shutting down"}`)
	})
}

func TestACertificateIsReadAgainWhenItsFilesChange(t *testing.T) {
	folder := t.TempDir()
	certFile, keyFile := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	first := servertest.WriteCertificate(t, certFile, keyFile, time.Now().Add(365*24*time.Hour))
	c := configured(t, "-tls-cert", certFile, "-tls-key", keyFile)
	f := startWith(t, c, &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}) //nolint:gosec // it changes
	shown := func() []byte {
		conn, err := tls.Dial("tcp", f.url.Host, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it changes
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		return conn.ConnectionState().PeerCertificates[0].Raw
	}
	require.Equal(t, first, shown())

	// Half of a change: the old one stays.
	require.NoError(t, os.WriteFile(keyFile, []byte("half a k"), 0o600))
	require.Eventually(t, func() bool {
		require.Equal(t, first, shown())
		return strings.Contains(f.log.String(), "the old one stays in use")
	}, patience, 50*time.Millisecond)

	second := servertest.WriteCertificate(t, certFile, keyFile, time.Now().Add(365*24*time.Hour))
	require.Eventually(t, func() bool { return string(shown()) == string(second) }, patience, 50*time.Millisecond)
	require.NotEqual(t, first, second)
}

// What could not be read is tried again though nothing about the files changes: whoever
// puts a key there may make it readable afterwards.
func TestACertificateThatCannotBeReadIsTriedAgain(t *testing.T) {
	folder := t.TempDir()
	certFile, keyFile := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	until := time.Now().Add(time.Hour)
	first := servertest.WriteCertificate(t, certFile, keyFile, until)
	var log strings.Builder
	c, err := loadCertificate(certFile, keyFile, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)

	second := servertest.WriteCertificate(t, certFile, keyFile, until)
	key, err := os.ReadFile(keyFile)
	require.NoError(t, err)
	write := func(text []byte) {
		require.NoError(t, os.WriteFile(keyFile, text, 0o600))
		require.NoError(t, os.Chtimes(keyFile, until, until))
	}
	write(make([]byte, len(key)))
	for range 3 {
		c.refresh()
		require.Equal(t, first, c.pair.Certificate[0])
	}
	require.Equal(t, 1, strings.Count(log.String(), "the old one stays in use"), "said once")
	write(key)
	c.refresh()
	require.Equal(t, second, c.pair.Certificate[0])
}

// Whoever was let in is waited for, and so is whoever has just had an answer.
func TestIntakeWaitsForRequestsThatWereLetIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in intake
		began := time.Now()
		waited := func() time.Duration { return time.Since(began) }
		one, other := &net.TCPConn{}, &net.UnixConn{}
		in.wait(time.Hour)
		require.Zero(t, waited(), "nobody is there")
		in.connState(one, http.StateNew)
		in.connState(one, http.StateActive)
		in.connState(other, http.StateNew)
		in.wait(time.Minute)
		require.Equal(t, time.Minute, waited(), "no longer than it may")
		done := make(chan struct{})
		go func() { in.wait(time.Hour); close(done) }()
		synctest.Wait()
		in.connState(other, http.StateClosed)
		in.connState(one, http.StateIdle)
		<-done
		require.Equal(t, time.Minute+recent, waited(), "another request of the same connection comes soon or not at all")
		in.wait(time.Hour)
		require.Equal(t, time.Minute+recent, waited())
	})
}

// From the moment on at which the server begins to end, answers ask for a new connection.
func TestAnswersWhileTheServerEndsAskForNewConnections(t *testing.T) {
	var in intake
	h := in.wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in.closing.Store(r.URL.Query().Get("ends") != "")
		_, _ = w.Write([]byte("answer"))
	}))
	for target, want := range map[string]string{"/apps/1/events": "", "/apps/1/events?ends=1": "close", "/up?ends=1": "close", "/app/key?ends=1": ""} {
		w := httptest.NewRecorder()
		in.closing.Store(false)
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
		require.Equal(t, want, w.Header().Get("Connection"), target)
	}
}

func TestLogFormats(t *testing.T) {
	for format, want := range map[string]string{"text": `level=INFO msg=ended`, "json": `"level":"INFO","msg":"ended"`} {
		f := start(t, "-log-format", format)
		f.stop()
		require.Contains(t, f.log.String(), want, fmt.Sprint(format))
	}
	f := start(t, "-log-level", "warn")
	f.stop()
	require.NotContains(t, f.log.String(), "msg=ended")
}

// laravel is what a Laravel program has in its .env, as it stands.
const laravel = `APP_NAME="My Shop"
APP_URL=https://shop.example.com
BROADCAST_DRIVER=pusher

PUSHER_APP_ID=482910
PUSHER_APP_KEY=b5ae2f1c9d7e4a60
PUSHER_APP_SECRET=3f1a6c0d9be84725
PUSHER_HOST=
PUSHER_PORT=443
PUSHER_SCHEME=https
PUSHER_VERIFY_PEER=false
PUSHER_APP_CLUSTER=mt1

VITE_PUSHER_APP_KEY="${PUSHER_APP_KEY}"
VITE_PUSHER_HOST="${PUSHER_HOST}"
`

// The file serves as it is, and a backend that reads it gets through: over TLS, with a
// certificate that it does not verify, on a port that a proxy has.
func TestTheEnvOfLaravel(t *testing.T) {
	folder := t.TempDir()
	file, certFile, keyFile := filepath.Join(folder, ".env"), filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	require.NoError(t, os.WriteFile(file, []byte(laravel), 0o600))
	servertest.WriteCertificate(t, certFile, keyFile, time.Now().Add(365*24*time.Hour))
	c, err := config.Read([]string{"-env-file", file, "-addr", "127.0.0.1:0", "-tls-cert", certFile, "-tls-key", keyFile}, none, io.Discard)
	require.NoError(t, err)
	require.Len(t, c.Warnings, 1, "%v", c.Warnings)
	require.Contains(t, c.Warnings[0].String(), "PUSHER_HOST: is empty: a Laravel program then sends its events to api-mt1.pusher.com")
	f := startWith(t, c, &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}) //nolint:gosec // PUSHER_VERIFY_PEER=false

	through := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // PUSHER_VERIFY_PEER=false
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != "rt.example.com:443" {
				return nil, fmt.Errorf("dialled %s", address)
			}
			return (&net.Dialer{}).DialContext(ctx, network, f.url.Host)
		}}
	defer through.CloseIdleConnections()
	env, err := godotenv.Read(file)
	require.NoError(t, err)
	backend := &sdk.Client{AppID: env["PUSHER_APP_ID"], Key: env["PUSHER_APP_KEY"], Secret: env["PUSHER_APP_SECRET"],
		Host: "rt.example.com", Secure: env["PUSHER_SCHEME"] == "https", HTTPClient: &http.Client{Transport: through, Timeout: patience}}
	ws := f.dialKey(env["PUSHER_APP_KEY"])
	ws.subscribe("room-1", "")
	require.NoError(t, backend.Trigger("room-1", "new-message", "hello"))
	require.Equal(t, "hello", ws.expect("new-message").text(t))

	// Without a certificate, who starts it is told what https needs.
	c, err = config.Read([]string{"-env-file", file}, none, io.Discard)
	require.NoError(t, err)
	require.Contains(t, c.Warnings[1].String(), "PUSHER_SCHEME: is https, and this server has no certificate")
}
