package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs the program until the test ends and returns the URL that it prints.
func start(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, printed := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, "127.0.0.1:0", printed) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-ended)
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(line[strings.Index(line, "http://"):])
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

func TestAddressInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	var out bytes.Buffer
	assert.ErrorContains(t, run(t.Context(), taken.Addr().String(), &out), "ADDR "+taken.Addr().String())
	assert.Empty(t, out.String(), "nothing is served, so no URL may be told")
}
