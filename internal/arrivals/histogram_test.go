package arrivals

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHistogramIsThreePercentOff(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Min(0).Draw(t, "duration"))
		h := new(Histogram)
		h.Record(d)
		require.InEpsilon(t, float64(d)+1, float64(h.Quantile(0.5))+1, 0.032)
	})
}

func TestHistogramQuantiles(t *testing.T) {
	h := new(Histogram)
	require.Zero(t, h.Quantile(0.99))
	for i := range 1000 {
		h.Record(time.Duration(i+1) * time.Millisecond)
	}
	require.InEpsilon(t, 500*time.Millisecond, h.Quantile(0.5), 0.04)
	require.InEpsilon(t, 990*time.Millisecond, h.Quantile(0.99), 0.04)
	h.Reset()
	require.Zero(t, h.Quantile(0.5))
}
