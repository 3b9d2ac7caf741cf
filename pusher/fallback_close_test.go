package pusher

import (
	"encoding/json"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
)

// TestWhoIsSentAwayIsNoMember, on no transport, until its client has come for the end.
func TestWhoIsSentAwayIsNoMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPITest(t)
		post := func(path, body string) string {
			return a.do(httptest.NewRequest("POST", "/app/key/1/abcdefgh"+path, strings.NewReader(body))).Body.String()
		}
		id := regexp.MustCompile(`\d+\.\d+`).FindString(post("/xhr?protocol=7", ""))
		data := `{"user_id":"ann"}`
		subscribe, err := json.Marshal(map[string]any{"event": "pusher:subscribe", "data": map[string]string{
			"channel": "presence-a", "channel_data": data, "auth": UncheckedChannelAuth(a.app, id, "presence-a", data)}})
		require.NoError(t, err)
		body, err := json.Marshal([]string{string(subscribe)})
		require.NoError(t, err)
		post("/xhr_send", string(body))
		app := a.broker.App("1")
		members, err := app.Members(t.Context(), "presence-a")
		require.NoError(t, err)
		require.Len(t, members, 1)

		begin := time.Now()
		a.broker.Session(id).Close(broker.CloseTerminated)
		synctest.Wait()
		members, err = app.Members(t.Context(), "presence-a")
		require.NoError(t, err)
		assert.Empty(t, members)
		assert.Zero(t, time.Since(begin))
		answer := post("/xhr?protocol=7", "")
		assert.Contains(t, answer, "subscription_succeeded", "what was sent before still comes")
		assert.Contains(t, answer, "c[4009,")
	})
}
