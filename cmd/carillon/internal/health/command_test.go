package health

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run runs the command where the environment's server is at a URL.
func run(t *testing.T, url string, args ...string) error {
	t.Helper()
	var out bytes.Buffer
	return Run(t.Context(), args, client.Environment{Stdout: &out, Stderr: &out, ServerURL: func() (string, error) {
		if url == "" {
			return "", errors.New("no server")
		}
		return url, nil
	}})
}

func TestHealth(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/up":
		case "/hangs":
			<-r.Context().Done()
		default:
			http.Error(w, "draining\x1b[2J", http.StatusServiceUnavailable)
		}
	}))
	require.NoError(t, run(t, srv.URL))
	require.NoError(t, run(t, srv.URL+"/prefix"))
	require.NoError(t, run(t, "", "-url", srv.URL+"/up"))
	assert.ErrorContains(t, run(t, "", "-url", srv.URL+"/ready"), `503 Service Unavailable: draining\x1b[2J`)
	assert.ErrorContains(t, run(t, "", "-url", srv.URL+"/hangs", "-timeout", "1ms"), "no answer in time")
	assert.ErrorContains(t, run(t, "", "-url", strings.Replace(srv.URL, "http", "https", 1)), "TLS handshake")
	srv.Close()
	assert.ErrorContains(t, run(t, srv.URL), "refused")
}

func TestCommandLines(t *testing.T) {
	for _, args := range [][]string{{"more"}, {"-x"}, {"-timeout", "0s"}, {"-url", "127.0.0.1:1"}} {
		assert.ErrorIs(t, run(t, "", args...), client.ErrUsage, args)
	}
	assert.ErrorIs(t, run(t, ""), client.ErrUsage, "a server that is not known")
}
