package prometheus

import (
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
)

// served is what a scrape gets.
func served(t *testing.T, m *Metrics) string {
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, w.Code)
	body, err := io.ReadAll(w.Body)
	require.NoError(t, err)
	return string(body)
}

func TestWhatHappensIsCounted(t *testing.T) {
	s := newSystem(t, WithSample(1))
	s.load()
	s.load()
	text := served(t, s.metrics)
	for _, want := range []string{
		`carillon_sessions{app="1"} 2`,
		`carillon_sessions_opened_total{app="1",transport="memory"} 4`,
		`carillon_sessions_opened_total{app="1",transport="full"} 2`,
		`carillon_sessions_closed_total{app="1",code="1000"} 2`,
		`carillon_sessions_refused_total{app="1",reason="refused"} 2`,
		`carillon_sessions_slow_total{app="1"} 2`,
		`carillon_subscriptions_opened_total{app="1",start="fresh"} 6`,
		`carillon_subscriptions_refused_total{app="1",reason="invalid"} 2`,
		`carillon_events_published_total{app="1",source="client"} 2`,
		`carillon_events_published_total{app="1",source="server"} 6`,
		`carillon_publishes_refused_total{app="1",reason="store"} 2`,
		`carillon_publishes_refused_total{app="1",reason="refused"} 2`,
		`carillon_store_calls_failed_total{operation="history append"} 2`,
		`carillon_fan_out_duration_seconds_count{app="1"} 2`,
		`carillon_fan_out_dropped_total{app="1"} 2`,
		`carillon_members_joined_total{app="1"} 2`,
		`carillon_api_requests_total{app="1",method="GET",route="/channels",status="401"} 2`,
		`carillon_api_requests_total{app="unknown",method="GET",route="/channels",status="404"} 2`,
		`carillon_observer_panics_total 0`,
	} {
		assert.Contains(t, text, want+"\n")
	}
	stats := s.broker.Stats()
	assert.Contains(t, text, fmt.Sprintf("carillon_events_delivered_total{app=\"1\"} %d\n", stats.Delivered))
	assert.NotContains(t, text, "room", "names of channels are no labels")
}

// TestAnAppOfAnyNameHasFigures: a label that is no UTF-8 would end the program with the scrape.
func TestAnAppOfAnyNameHasFigures(t *testing.T) {
	b, err := broker.New()
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Shutdown(context.Background()) })
	m, err := New(b)
	require.NoError(t, err)
	for _, app := range []string{"\xff", "\xfe", "none", "other", ""} {
		_, err = b.App(app).Publish(t.Context(), "room", "message", []byte("x"))
		require.NoError(t, err)
	}
	text := served(t, m)
	assert.Contains(t, text, "carillon_events_published_total{app=\"\uFFFD\",source=\"server\"} 2\n")
	assert.Contains(t, text, "carillon_observer_panics_total 0\n")
}

func TestMetricsFollowTheHabitsOfPrometheus(t *testing.T) {
	s := newSystem(t)
	s.load()
	problems, err := testutil.GatherAndLint(gatherer(s.metrics))
	require.NoError(t, err)
	assert.Empty(t, problems)
}

func gatherer(m *Metrics) prom.Gatherer {
	r := prom.NewPedanticRegistry()
	r.MustRegister(m)
	return r
}

// TestMetricsAreDocumented holds the table of the package comment to what there is.
func TestMetricsAreDocumented(t *testing.T) {
	source, err := os.ReadFile("metrics.go")
	require.NoError(t, err)
	var documented []string
	for _, line := range strings.Split(string(source), "\n") {
		line, isTable := strings.CutPrefix(line, "//	carillon_")
		if !isTable {
			continue
		}
		first := ""
		for _, name := range regexp.MustCompile(`^[a-z_]+(, _?[a-z_]+)*`).FindAllString(line, 1) {
			for _, n := range strings.Split(name, ", ") {
				switch {
				case first == "":
					first = n
				case strings.HasPrefix(n, "_"): // another ending
					n = first[:strings.LastIndexByte(strings.TrimSuffix(first, "_total"), '_')] + n
				default:
					n = strings.TrimPrefix(n, "carillon_")
				}
				documented = append(documented, "carillon_"+n)
			}
		}
	}
	s := newSystem(t)
	descs := make(chan *prom.Desc, 100)
	s.metrics.Describe(descs)
	close(descs)
	var there []string
	for d := range descs {
		there = append(there, regexp.MustCompile(`fqName: "([^"]*)"`).FindStringSubmatch(d.String())[1])
	}
	assert.ElementsMatch(t, there, documented)
}

func TestAppsBeyondTheBoundShareFigures(t *testing.T) {
	s := newSystem(t, WithMaxApps(3))
	for i := range 10 {
		_, err := s.broker.App(fmt.Sprint("app-", i)).Publish(context.Background(), "room", "m", []byte("x"))
		require.NoError(t, err)
	}
	text := served(t, s.metrics)
	assert.Contains(t, text, `carillon_events_published_total{app="app-2",source="server"} 1`)
	assert.NotContains(t, text, `app-3`)
	assert.Contains(t, text, `carillon_events_published_total{app="other",source="server"} 7`)
	assert.Contains(t, text, "carillon_app_overflow_total 7\n")
	session, err := s.broker.Connect(t.Context(), broker.ConnectOptions{ConnectRequest: broker.ConnectRequest{App: "app-9"}, Conn: fullConn{}, Protocol: &words{}})
	require.NoError(t, err)
	defer session.End(1000)
	before := testutil.ToFloat64(s.metrics.vectors.overflow)
	assert.Contains(t, served(t, s.metrics), `carillon_sessions{app="other"} 1`)
	assert.Equal(t, before, testutil.ToFloat64(s.metrics.vectors.overflow), "a scrape observes nothing")
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	b, err := broker.New()
	require.NoError(t, err)
	for _, opt := range []Option{WithMaxApps(0), WithSample(-1)} {
		_, err := New(b, opt)
		var wrong *OptionError
		require.ErrorAs(t, err, &wrong)
		assert.NotEmpty(t, err.Error())
	}
	_, err = New(nil)
	require.Error(t, err)
}

func TestCloseCodesThatClientsMakeUpAreOther(t *testing.T) {
	for c, want := range map[int]string{1000: "1000", 1006: "1006", 4009: "4009", 4200: "4200", 3000: "other", 4999: "other", 0: "other"} {
		assert.Equal(t, want, code(c))
	}
}
