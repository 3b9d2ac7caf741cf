package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDemo(t *testing.T) {
	for _, c := range []config{
		{clients: 12, rate: 200, channels: 500, token: "a token for this test"},
		{storeDown: true, clients: 5, rate: 50, readOnly: true, redact: true, token: "a token for this test"},
		{empty: true, noWebhooks: true, token: "a token for this test"},
	} {
		c.addr = "127.0.0.1:0"
		ctx, stop := context.WithCancel(t.Context())
		out, in := io.Pipe()
		done := make(chan error, 1)
		go func() { done <- run(ctx, c, in) }()
		line, err := bufio.NewReader(out).ReadBytes('\n')
		require.NoError(t, err)
		var first struct{ URL, Token string }
		require.NoError(t, json.Unmarshal(line, &first))
		base, _, _ := strings.Cut(first.URL, "#")
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"api/now", nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+first.Token)
		var now struct{ Figures struct{ Sessions int } }
		for { // until its clients are there
			resp, err := client.Do(r)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, resp.StatusCode)
			require.NoError(t, json.NewDecoder(resp.Body).Decode(&now))
			require.NoError(t, resp.Body.Close())
			if c.empty || now.Figures.Sessions >= c.clients {
				break
			}
		}
		stop()
		assert.NoError(t, <-done)
	}
}
