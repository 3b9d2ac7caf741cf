package health

import (
	"bytes"
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

func run(t *testing.T, addr string, args ...string) error {
	t.Helper()
	var out bytes.Buffer
	return Run(t.Context(), args, client.Environment{Getenv: func(string) string { return addr }, Stdout: &out, Stderr: &out})
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
	address := strings.TrimPrefix(srv.URL, "http://")
	_, port, _ := strings.Cut(address, ":")
	require.NoError(t, run(t, address))
	for _, all := range []string{":", "0.0.0.0:", "[::]:"} {
		require.NoError(t, run(t, all+port))
	}
	require.NoError(t, run(t, "", "-url", srv.URL+"/up"))
	assert.ErrorContains(t, run(t, "", "-url", srv.URL+"/ready"), `503 Service Unavailable: draining\x1b[2J`)
	assert.ErrorContains(t, run(t, "", "-url", srv.URL+"/hangs", "-timeout", "1ms"), "no answer in time")
	assert.ErrorContains(t, run(t, "", "-url", strings.Replace(srv.URL, "http", "https", 1)), "TLS handshake")
	srv.Close()
	assert.ErrorContains(t, run(t, address), "refused")
}

func TestCommandLines(t *testing.T) {
	for _, args := range [][]string{{"more"}, {"-x"}, {"-timeout", "0s"}, {"-url", "127.0.0.1:1"}} {
		assert.ErrorIs(t, run(t, "", args...), client.ErrUsage, args)
	}
	assert.ErrorIs(t, run(t, "nonsense"), client.ErrUsage)
}
