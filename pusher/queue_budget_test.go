package pusher

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
)

// The handler's transports and the broker's subscriptions have one budget.
func TestPollingClientsThatDoNotComeBackShareTheBudget(t *testing.T) {
	a := newAPITest(t, broker.WithQueueBudget(1<<20))
	for i := range 2 {
		session := fmt.Sprintf("/app/key/1/session%d", i)
		poll := httptest.NewRequest(http.MethodPost, session+"/xhr?protocol=7", nil)
		require.Equal(t, http.StatusOK, a.do(poll).Code)
		subscribe := strings.NewReader(fmt.Sprintf(`["{\"event\":\"pusher:subscribe\",\"data\":{\"channel\":\"room%d\"}}"]`, i))
		require.Equal(t, http.StatusNoContent, a.do(httptest.NewRequest(http.MethodPost, session+"/xhr_send", subscribe)).Code)
	}
	send := func(channel string, n int) {
		for range n {
			_, err := a.broker.App("1").Publish(t.Context(), channel, "message", []byte(strings.Repeat("x", 100<<10)))
			require.NoError(t, err)
		}
		a.broker.QueueBudget().Wait()
	}
	send("room0", 3)
	send("room1", 5)
	require.Zero(t, a.broker.Stats().BudgetCuts)
	send("room0", 3)
	assert.EqualValues(t, 1, a.broker.Stats().BudgetCuts)
	// The one that was cut is told in its own time, as after any end.
	require.Eventually(t, func() bool { return a.broker.Stats().Sessions == 1 }, 10*time.Second, time.Millisecond)
	assert.LessOrEqual(t, a.broker.Stats().QueuedBytes, int64(1<<20))
}
