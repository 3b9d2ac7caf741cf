package pusher

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/sse"
	"github.com/carillon-rt/carillon/transport/websocket"
	"github.com/carillon-rt/carillon/transport/xhr"
)

// An event that becomes larger than queues when it is encoded would cut off
// everybody who gets it.
func TestEventsAreBoundedAsTheyAreEncoded(t *testing.T) {
	const small = 64 << 10
	for name, tc := range map[string]struct {
		opts    []Option
		channel string
		data    string
		json    bool
		refused bool
	}{
		"plain text":                     {data: strings.Repeat("x", 1<<20)},
		"text with quotes":               {data: strings.Repeat(`{"key":"value"},`, 1<<16)},
		"markup":                         {data: strings.Repeat("<p>&", 1<<18)},
		"JSON":                           {data: `"` + strings.Repeat("x", 1<<20-2) + `"`, json: true},
		"control characters":             {data: strings.Repeat("\x01", 1<<20), refused: true},
		"few control characters":         {data: strings.Repeat("\x01", 256<<10)},
		"what is not UTF-8":              {data: strings.Repeat("\xff", 1<<20), refused: true},
		"quotes":                         {data: strings.Repeat(`"`, 1<<20), refused: true}, // 4 MiB over xhr
		"quotes in JSON":                 {data: `[` + strings.Repeat(`"",`, 1<<18) + `0]`, json: true},
		"sealed, of control characters":  {channel: "private-encrypted-a", data: strings.Repeat("\x01", 1<<20)},
		"small queues of WebSockets":     {opts: []Option{WithWebSocket(websocket.WithQueueLimits(64, small))}, data: strings.Repeat("x", small/2), refused: true},
		"small queues of the fallback":   {opts: []Option{WithXHR(xhr.WithQueueLimits(64, small))}, data: strings.Repeat("x", small/2), refused: true},
		"small queues of feeds":          {opts: []Option{WithFeeds(sse.WithQueueLimits(64, small))}, data: strings.Repeat("x", small/2), refused: true},
		"small queues and a small event": {opts: []Option{WithWebSocket(websocket.WithQueueLimits(64, small))}, data: strings.Repeat("x", small/3)},
		"small queues and a sealed one":  {opts: []Option{WithWebSocket(websocket.WithQueueLimits(64, small))}, channel: "private-encrypted-a", data: strings.Repeat("x", small/2-2000), refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			a := newHandlerTest(t, nil, tc.opts...)
			if tc.channel == "" {
				tc.channel = "private-a"
			}
			a.app.EncryptionMasterKey = []byte(strings.Repeat("k", 32))
			// A connection as every transport has it by default, if the worst comes.
			c := Connect(t, a.handler.Open(t.Context(), Dial{Key: a.app.Key, Protocol: "7"}))
			socketIDOf(t, c)
			_, err := a.broker.App(a.app.ID).PublishBatch(t.Context(), []broker.PublishRequest{
				{Channel: tc.channel, Event: "message", Data: []byte(tc.data), JSON: tc.json}})
			if !tc.refused {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, broker.ErrInvalid)
			var field *broker.FieldError
			require.True(t, errors.As(err, &field))
			assert.Equal(t, "data", field.Field)
			assert.Greater(t, field.Got, field.Limit)
			assert.Contains(t, err.Error(), "encoded")
			assert.EqualValues(t, 1, a.broker.Stats().Refused)
		})
	}
}

func TestAnEventThatIsTooLargeOnceEncodedIs413(t *testing.T) {
	a := newAPITest(t)
	a.app.Limits.EventBytes, a.app.Limits.RequestBytes = 1<<20, 8<<20
	body := `{"name":"m","channel":"a","data":"` + strings.Repeat(`\u0001`, 1<<20) + `"}`
	a.expectError(a.post("/events", body), http.StatusRequestEntityTooLarge, "data is too large once it is encoded")
}

// Nothing else that clients or hooks make grows past the bound.
func TestClientEventsAreBoundedAsTheyAreEncoded(t *testing.T) {
	a := newHandlerTest(t, nil, WithWebSocket(websocket.WithQueueLimits(64, 32<<10)))
	c, _ := a.client("private-a"), a.client("private-a")
	require.NoError(t, c.Send([]byte(`{"event":"client-x","channel":"private-a","data":"`+strings.Repeat(`\u0001`, 4<<10)+`"}`)))
	m, ok := c.TryReceive()
	require.True(t, ok)
	assert.Contains(t, string(m), "data is too large once it is encoded")
}

// What the bound takes for free is so in the worst case.
func TestSmallEventsFitHoweverTheyAreEncoded(t *testing.T) {
	a := newAPITest(t)
	long := strings.Repeat(`"`, 128)
	for _, c := range []string{"\x01", `"`, "\xff", "<", "\u2028", "\U0001F600", `\`} {
		data := strings.Repeat(c, a.handler.sizes.free/len(c))
		ev := broker.Event{Name: strings.Repeat(`"`, 200), Channel: "#server-to-user-" + long, UserID: long, Data: []byte(data)}
		assert.NoError(t, a.handler.sizes.check(ev), "%q", c)
	}
	assert.Greater(t, a.handler.sizes.free, transport.DefaultQueueBytes/20)
}
