package broker_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
)

// A client that has missed more than its connection's queue holds would be cut
// off each time it came back: it is told of a gap instead.
func TestWhatDoesNotFitIntoAQueueIsAGap(t *testing.T) {
	for name, tc := range map[string]struct {
		events, bytes int
		gap           bool
	}{
		"as many as fit":  {events: 8192, bytes: 1},
		"one too many":    {events: 8193, bytes: 1, gap: true},
		"as much as fits": {events: 2, bytes: 1 << 20},
		"too much":        {events: 3, bytes: 1 << 20, gap: true},
	} {
		t.Run(name, func(t *testing.T) {
			br := newBroker(t, broker.WithRules(broker.Rule{Pattern: "*", History: broker.Retention{Events: 10_000}}))
			app := br.App("1")
			first, err := app.Publish(t.Context(), "room", "message", data)
			require.NoError(t, err)
			for range tc.events {
				_, err := app.Publish(t.Context(), "room", "message", make([]byte, tc.bytes))
				require.NoError(t, err)
			}
			conn := &sink{}
			s, err := br.Connect(t.Context(), broker.ConnectOptions{
				ConnectRequest: broker.ConnectRequest{App: "1"}, Conn: conn, Protocol: &plain{}})
			require.NoError(t, err)
			err = s.Subscribe(t.Context(), broker.SubscribeRequest{Channel: "room", After: &first.Position})
			if tc.gap {
				require.ErrorIs(t, err, storage.ErrGap)
				assert.Zero(t, conn.sent)
				assert.False(t, s.Subscribed("room"))
			} else {
				require.NoError(t, err)
				assert.Equal(t, tc.events+1, conn.sent, "the confirmation and what was missed")
			}
			s.End(1000)
			require.NoError(t, br.Shutdown(t.Context()))
		})
	}
}
