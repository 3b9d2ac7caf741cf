package broker_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/storage"
)

func TestHistoryReadsBothWays(t *testing.T) {
	kit := brokertest.New(t, keeping(1000))
	publish(t, kit.App, "room", 1, 600)
	read := func(opts ...broker.HistoryOption) (all []string, positions []broker.Position) {
		for ev, err := range kit.App.History(t.Context(), "room", opts...) {
			require.NoError(t, err)
			all = append(all, string(ev.Data))
			positions = append(positions, ev.Position)
		}
		return all, positions
	}
	all, positions := read()
	require.Len(t, all, 600)
	assert.Equal(t, "1", all[0])
	assert.Equal(t, "600", all[599])
	back, _ := read(broker.Backward())
	require.Len(t, back, 600)
	assert.Equal(t, "600", back[0])
	some, _ := read(broker.From(positions[9]), broker.AtMost(3))
	assert.Equal(t, []string{"11", "12", "13"}, some)
	some, _ = read(broker.From(positions[9]), broker.AtMost(3), broker.Backward())
	assert.Equal(t, []string{"9", "8", "7"}, some)

	latest, err := kit.App.Latest(t.Context(), "room")
	require.NoError(t, err)
	assert.Equal(t, positions[599], latest)
	require.NoError(t, kit.App.DeleteHistory(t.Context(), "room"))
	none, _ := read()
	assert.Empty(t, none)
	for _, err := range kit.App.History(t.Context(), "room", broker.From(positions[9])) {
		assert.ErrorIs(t, err, storage.ErrGap)
	}
}
