package main

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
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

func TestHistogramIsThreePercentOff(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Min(0).Draw(t, "duration"))
		h := new(histogram)
		h.record(d)
		require.InEpsilon(t, float64(d)+1, float64(h.quantile(0.5))+1, 0.032)
	})
}

func TestHistogramQuantiles(t *testing.T) {
	h := new(histogram)
	require.Zero(t, h.quantile(0.99))
	for i := range 1000 {
		h.record(time.Duration(i+1) * time.Millisecond)
	}
	require.InEpsilon(t, 500*time.Millisecond, h.quantile(0.5), 0.04)
	require.InEpsilon(t, 990*time.Millisecond, h.quantile(0.99), 0.04)
	h.reset()
	require.Zero(t, h.quantile(0.5))
}
