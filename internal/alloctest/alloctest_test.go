package alloctest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var kept *[64]byte

func TestPerRun(t *testing.T) {
	assert.Zero(t, PerRun(10, func() {}))
	assert.InDelta(t, 1, PerRun(10, func() { kept = new([64]byte) }), 0)
	runs := 0
	assert.Zero(t, PerRun(10, func() {
		if runs++; runs < 20 {
			kept = new([64]byte)
		}
	}), "what allocates only at first is not f's")
}
