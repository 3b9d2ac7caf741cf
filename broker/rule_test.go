package broker_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
)

// TestPatternsAreMatchedInOnePass takes what would keep a matcher that goes back
// after a star busy for longer than any test may run.
func TestPatternsAreMatchedInOnePass(t *testing.T) {
	stars := strings.Repeat("*a", 80)
	b, err := broker.New(broker.WithChannelRules(
		broker.ChannelRule{Pattern: stars + "*b", Publishers: broker.OnlyClients},
		broker.ChannelRule{Pattern: stars + "*", Publishers: broker.OnlyServer}))
	require.NoError(t, err)
	defer func() { assert.NoError(t, b.Shutdown(t.Context())) }()
	name := strings.Repeat("a", broker.MaxChannelName)
	_, err = b.App("1").Publish(t.Context(), name, "message", nil)
	require.NoError(t, err)
	_, err = b.App("1").Publish(t.Context(), name[1:]+"b", "message", nil)
	require.ErrorIs(t, err, broker.ErrRefused)
}
