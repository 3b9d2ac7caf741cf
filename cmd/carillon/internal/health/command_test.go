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
	return runWith(t, map[string]string{"ADDR": addr}, "", args...)
}

// runWith runs the command where a file says that the server is at a URL.
func runWith(t *testing.T, variables map[string]string, url string, args ...string) error {
	t.Helper()
	var out bytes.Buffer
	return Run(t.Context(), args, client.Environment{Getenv: func(name string) string { return variables[name] }, Stdout: &out, Stderr: &out,
		ServerURL: func(string) (string, error) { return url, nil }})
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
	require.NoError(t, run(t, "unix:/nowhere, "+address))
	require.NoError(t, run(t, "", "-url", srv.URL+"/up"))
	require.NoError(t, runWith(t, map[string]string{"CARILLON_CONFIG": "carillon.toml"}, srv.URL+"/prefix"))
	assert.ErrorContains(t, runWith(t, map[string]string{"ADDR": address, "CARILLON_TLS_CERT": "a.pem"}, ""), "TLS handshake")
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
	for _, address := range []string{"nonsense", "unix:/run/carillon.sock"} {
		assert.ErrorIs(t, run(t, address), client.ErrUsage)
	}
}
