package client_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/client"
	"github.com/carillon-rt/carillon/cmd/carillon/internal/servertest"
)

func api(t *testing.T, app client.App) *client.API {
	a := client.NewAPI(&app, 1)
	t.Cleanup(a.Close)
	return a
}

func TestPublish(t *testing.T) {
	url, b := servertest.Ours(t)
	sub, err := b.App(servertest.ID).Subscribe(t.Context(), "room")
	require.NoError(t, err)
	a := api(t, servertest.App(t, url))

	answer, err := a.Publish(t.Context(), client.Event{Name: "hello", Data: `{"a":1}`, Channel: "room", Info: "subscription_count"})
	require.NoError(t, err)
	assert.JSONEq(t, `{"channels":{"room":{"subscription_count":0}}}`, string(answer))
	answer, err = a.PublishBatch(t.Context(), []client.Event{{Name: "two", Data: "2", Channel: "room"}, {Name: "three", Data: "3", Channel: "other"}})
	require.NoError(t, err)
	assert.JSONEq(t, `{}`, string(answer))
	var got []string
	for e, err := range sub.Events() {
		require.NoError(t, err)
		if got = append(got, e.Name+" "+string(e.Data)); len(got) == 2 {
			break
		}
	}
	sub.Close()
	assert.Equal(t, []string{`hello {"a":1}`, "two 2"}, got)
}

func TestRefusals(t *testing.T) {
	url, _ := servertest.Ours(t)
	wrong := func(change func(*client.App)) client.App {
		app := servertest.App(t, url)
		change(&app)
		return app
	}
	for name, c := range map[string]struct {
		app  client.App
		says string
	}{
		"secret": {wrong(func(a *client.App) { a.Secret = "x" }), "401 Unauthorized: "},
		"key":    {wrong(func(a *client.App) { a.Key = "x" }), "key and secret have to be those of the app"},
		"id":     {wrong(func(a *client.App) { a.ID = "9" }), "is the app's ID right"},
	} {
		_, err := api(t, c.app).Publish(t.Context(), client.Event{Name: "e", Data: "1", Channel: "c"})
		var status *client.StatusError
		require.ErrorAs(t, err, &status, name)
		assert.ErrorContains(t, err, c.says, name)
	}
	_, err := api(t, servertest.App(t, url)).Publish(t.Context(), client.Event{Name: "e", Data: "1", Channel: "no channel"})
	assert.ErrorContains(t, err, "400 Bad Request")
	assert.ErrorContains(t, err, "no channel")
}

// TestHostileAPI is a server that answers as none should.
func TestHostileAPI(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"a clock behind": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(-20*time.Minute).UTC().Format(http.TimeFormat))
			http.Error(w, "timestamp expired", http.StatusUnauthorized)
		}, "ahead of the server's, and a signature holds for 10m0s"},
		"a clock ahead": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusUnauthorized)
		}, "behind the server's"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://127.0.0.1/", http.StatusMovedPermanently)
		}, "a redirect"},
		"escape sequences": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "\x1b[2J"+strings.Repeat("long", 1000), http.StatusTeapot)
		}, `418 I'm a teapot: \x1b[2Jlong`},
		"no end": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, strings.Repeat("x", 1<<16))
			}
		}, "longer than"},
		"a cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "short")
		}, "read the answer"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(c.answer)
			defer srv.Close()
			a := api(t, servertest.App(t, srv.URL))
			_, err := a.Publish(t.Context(), client.Event{Name: "e", Data: "1", Channel: "c"})
			require.ErrorContains(t, err, c.says)
			assert.Less(t, len(err.Error()), 1000)
			assert.NotContains(t, err.Error(), "auth_signature")
			assert.NotContains(t, err.Error(), "\x1b")
		})
	}
}

func TestNobodyAnswers(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	app := servertest.App(t, "http://"+listener.Addr().String())

	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			defer func() { _ = conn.Close() }()
			_, _ = conn.Read(make([]byte, 1))
		}
		cancel() // once it has been asked
	}()
	_, err = api(t, app).Publish(ctx, client.Event{Name: "e", Data: "1", Channel: "c"})
	assert.ErrorIs(t, err, context.Canceled)

	require.NoError(t, listener.Close())
	_, err = api(t, app).Publish(t.Context(), client.Event{Name: "e", Data: "1", Channel: "c"})
	assert.ErrorContains(t, err, "nothing listens at 127.0.0.1:")
	assert.ErrorContains(t, err, "PUSHER_HOST")

	url, _ := servertest.Ours(t)
	_, err = api(t, servertest.App(t, strings.Replace(url, "http:", "https:", 1))).Publish(t.Context(), client.Event{Name: "e", Data: "1", Channel: "c"})
	assert.ErrorContains(t, err, "does not speak TLS")
}
