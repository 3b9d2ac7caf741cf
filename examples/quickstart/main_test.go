package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs the program until the test ends and returns the URL that it prints.
func start(t *testing.T) string {
	t.Helper()
	base, _ := startWith(t, "memory")
	return base
}

// startWith runs the program with a storage until stop is called, or the test ends.
func startWith(t *testing.T, storage string) (base string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, printed := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, "127.0.0.1:0", storage, printed) }()
	stop = sync.OnceFunc(func() {
		cancel()
		assert.NoError(t, <-ended)
	})
	t.Cleanup(stop)
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(line[strings.Index(line, "http://"):]), stop
}

func TestServesWhatItPrints(t *testing.T) {
	base := start(t)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(base)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Equal(t, page, text)
}

func TestPagesOfOtherSitesMayNotPost(t *testing.T) {
	base := start(t)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, c := range []struct {
		path, header, value string
		status              int
	}{
		{"/messages", "Sec-Fetch-Site", "same-origin", http.StatusOK},
		{"/messages", "Origin", base, http.StatusOK},
		{"/messages", "Sec-Fetch-Site", "cross-site", http.StatusForbidden},
		{"/messages", "Sec-Fetch-Site", "same-site", http.StatusForbidden},
		{"/messages", "Origin", "https://evil.example", http.StatusForbidden},
		{"/messages", "Origin", "null", http.StatusForbidden},
		{"/pusher/auth?name=ann", "Sec-Fetch-Site", "same-origin", http.StatusOK},
		{"/pusher/auth?name=ann", "Sec-Fetch-Site", "cross-site", http.StatusForbidden},
		{"/pusher/auth?name=ann", "Origin", "https://evil.example", http.StatusForbidden},
	} {
		form := url.Values{"from": {"ann"}, "text": {"hello"}, "socket_id": {"1.2"}, "channel_name": {room}}
		req, err := http.NewRequestWithContext(t.Context(), "POST", base+c.path, strings.NewReader(form.Encode()))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set(c.header, c.value)
		resp, err := client.Do(req)
		require.NoError(t, err)
		assert.Equal(t, c.status, resp.StatusCode, "%s with %s: %s", c.path, c.header, c.value)
		require.NoError(t, resp.Body.Close())
	}
}

func TestStorage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "quickstart.db")
	base, stop := startWith(t, "sqlite:"+path)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.PostForm(base+"/messages", url.Values{"from": {"ann"}, "text": {"hello"}})
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	stop()
	store, err := sqlite.Open(path)
	require.NoError(t, err)
	page, err := store.Read(t.Context(), storage.ChannelID{App: "1", Name: room}, storage.ReadOptions{})
	require.NoError(t, err)
	require.NoError(t, store.Close())
	require.Len(t, page.Events, 1)
	require.JSONEq(t, `{"from":"ann","text":"hello"}`, string(page.Events[0].Data))

	require.ErrorContains(t, run(t.Context(), "127.0.0.1:0", "postgres:x", io.Discard), "-storage")
}

func TestAddressInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	var out bytes.Buffer
	assert.ErrorContains(t, run(t.Context(), taken.Addr().String(), "memory", &out), "ADDR "+taken.Addr().String())
	assert.Empty(t, out.String(), "nothing is served, so no URL may be told")
}
