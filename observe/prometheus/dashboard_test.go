package prometheus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	grafana "github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// problems is what grafana-foundation-sdk finds wrong with a dashboard. Where it finds
// nothing, its error is not nil all the same, and its panels are not set.
func problems(t *testing.T, raw []byte) cog.BuildErrors {
	//lint:ignore SA1019 every Grafana imports this format, few the one that follows it
	var d dashboard.Dashboard
	err := d.UnmarshalJSONStrict(raw)
	var found cog.BuildErrors
	if !errors.As(err, &found) {
		require.NoError(t, err)
	}
	return found
}

func TestTheDashboardIsOneOfGrafana(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	raw, err := os.ReadFile("dashboard.json")
	require.NoError(t, err)
	assert.Empty(t, problems(t, raw))
	assert.NotEmpty(t, problems(t, bytes.Replace(raw, []byte(`"gridPos"`), []byte(`"gridPoss"`), 1)), "a mistake is found")
}

// queries are those of the dashboard's panels, by panel.
func queries(t *testing.T) map[string][]string {
	plugins.RegisterDefaultPlugins()
	raw, err := os.ReadFile("dashboard.json")
	require.NoError(t, err)
	//lint:ignore SA1019 every Grafana imports this format, few the one that follows it
	var d dashboard.Dashboard
	require.NoError(t, json.Unmarshal(raw, &d))
	all := make(map[string][]string)
	for _, p := range d.Panels {
		if p.Panel == nil {
			continue
		}
		require.NotEmpty(t, p.Panel.Targets, *p.Panel.Title)
		for _, target := range p.Panel.Targets {
			q, is := target.(*grafana.Dataquery)
			require.True(t, is, "%T", target)
			all[*p.Panel.Title] = append(all[*p.Panel.Title], q.Expr)
		}
	}
	require.NotEmpty(t, all)
	return all
}

// scraper is Debian's Prometheus, which scrapes one address.
type scraper struct {
	t   *testing.T
	url string
}

func newScraper(t *testing.T, target string) *scraper {
	path, err := exec.LookPath("prometheus")
	require.NoError(t, err, "install it: make debian")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, "global: {scrape_interval: 200ms}\n"+
		"scrape_configs: [{job_name: carillon, static_configs: [{targets: [%q]}]}]\n", target), 0o600))
	ctx, cancel := context.WithCancel(context.Background())
	var log strings.Builder
	cmd := exec.CommandContext(ctx, path, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	cmd.Stderr = &log
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return &scraper{t, "http://" + address}
}

// ask returns how many series answer a query, none while there is no answer.
func (s *scraper) ask(query string) (series int) {
	resp, err := http.Get(s.url + "/api/v1/query?" + url.Values{"query": {query}}.Encode())
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct {
				Value [2]any `json:"value"`
			} `json:"result"`
		}
	}
	if json.NewDecoder(resp.Body).Decode(&answer) != nil || resp.StatusCode == http.StatusServiceUnavailable {
		return 0
	}
	require.Equal(s.t, "success", answer.Status, "%s: %s", query, answer.Error)
	for _, r := range answer.Data.Result {
		if r.Value[1] != "NaN" {
			series++
		}
	}
	return series
}

func TestEveryPanelOfTheDashboardHasAnAnswer(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	s := newSystem(t, WithSample(1))
	s.load()
	server := httptest.NewServer(s.metrics.Handler())
	t.Cleanup(server.Close)
	prometheus := newScraper(t, strings.TrimPrefix(server.URL, "http://"))
	variables := strings.NewReplacer("$__rate_interval", "10s", "$app", ".*", "$instance", ".*")
	open := make(map[string]string)
	for panel, exprs := range queries(t) {
		for i, expr := range exprs {
			open[fmt.Sprintf("%s, %d", panel, i+1)] = variables.Replace(expr)
		}
	}
	for deadline := time.Now().Add(time.Minute); len(open) > 0 && time.Now().Before(deadline); time.Sleep(250 * time.Millisecond) {
		s.load()
		for panel, expr := range open {
			if prometheus.ask(expr) > 0 {
				delete(open, panel)
			}
		}
	}
	assert.Empty(t, open, "panels that show nothing")
}
