package main

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestResultsTable(t *testing.T) {
	r := newResults(scenario{number: 1, title: "t", how: "h", ratio: "CPU", against: []string{"floor", "missing"}})
	for _, v := range []float64{10, 30, 20} {
		r.add([]row{
			{"floor", []metric{{"CPU", v}, {"lost", 0}}},
			{"carillon", []metric{{"CPU", v * 1.5}}},
		})
	}
	require.Equal(t, [][]string{
		{"server", "CPU", "lost", "rounds", "÷ floor"},
		{"floor", "20", "0", "10, 30, 20", "1"},
		{"carillon", "30", "–", "15, 45, 30", "1.50"},
	}, r.table())
	var b strings.Builder
	r.markdown(&b)
	require.Contains(t, b.String(), "| server | CPU | lost | rounds | ÷ floor |\n|---|---:|---:|---:|---:|\n")
}

func TestGoals(t *testing.T) {
	s := scenario{number: 4, title: "t", goals: []goal{
		{metric: "CPU", of: "floor", limit: 1.1},
		{metric: "CPU", limit: 19, why: "the walls are thick"},
		{metric: "rate", of: "floor", limit: 1, least: true},
		{metric: "p99", ofMetric: "CPU", limit: 0.5},
		{label: "other/10", metric: "ns/op", of: "other/1", limit: 2},
		{metric: "not measured", limit: 1},
	}}
	r := newResults(s)
	r.add([]row{
		{"floor", []metric{{"CPU", 20}, {"rate", 101}}},
		{carillonPeer, []metric{{"CPU", 22.08}, {"rate", 100}, {"p99", 11}}},
		{"other/1", []metric{{"ns/op", 10}}},
		{"other/10", []metric{{"ns/op", 21}}},
	})
	require.Equal(t, [][]string{
		{"scenario", "to show", "shown", ""},
		{"4. t", "CPU ≤ 1.1 × floor", "1.10", "met"},
		{"4. t", "CPU ≤ 19", "22.1", "**short**"},
		{"4. t", "rate ≥ 1 × floor", "0.99", "**short**"},
		{"4. t", "p99 ≤ 0.5 × CPU", "0.50", "met"},
		{"4. t", "other/10 ns/op ≤ 2 × other/1", "2.10", "**short**"},
	}, goalTable([]*results{r}))
	var b strings.Builder
	r.markdown(&b)
	require.Contains(t, b.String(), "**Short of CPU ≤ 19**: the walls are thick\n")
	require.NotContains(t, b.String(), "Short of CPU ≤ 1.1")
}

func TestParseBenchmark(t *testing.T) {
	r, ok := parseBenchmark("BenchmarkGrow/in_turn/1000-2   \t 3046033\t       382.5 ns/op\t  3 allocs/op\n")
	require.True(t, ok)
	require.Equal(t, row{"Grow/in_turn/1000", []metric{{"ns/op", 382.5}, {"allocs/op", 3}}}, r)
	for _, line := range []string{"", "PASS", "goos: linux", "BenchmarkGrow/in_turn/1000-2", "BenchmarkX-2 1 nought ns/op"} {
		_, ok := parseBenchmark(line)
		require.False(t, ok, "%q", line)
	}
}

func TestMedian(t *testing.T) {
	require.True(t, math.IsNaN(median(nil)))
	require.Equal(t, 2.0, median([]float64{3, 1, 2}))
	require.Equal(t, 1.5, median([]float64{2, 1}))
}

func TestNumber(t *testing.T) {
	for want, v := range map[string]float64{"0": 0, "3": 3, "0.50": 0.5, "12.3": 12.34, "1234": 1234.4, "–": math.NaN()} {
		require.Equal(t, want, number(v))
	}
}
