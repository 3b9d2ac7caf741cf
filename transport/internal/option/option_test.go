package option_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/memory"
	"github.com/carillon-rt/carillon/transport/sse"
	"github.com/carillon-rt/carillon/transport/websocket"
	"github.com/carillon-rt/carillon/transport/xhr"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func withWebSocket(o websocket.Option) error { _, err := websocket.NewServer(o); return err }
func withXHR(o xhr.Option) error             { _, err := xhr.NewServer(o); return err }
func withSSE(o sse.Option) error             { _, err := sse.NewServer(o); return err }

// withMemory also sees that nobody is connected by an option that fails.
func withMemory(t *testing.T) func(memory.Option) error {
	return func(o memory.Option) error {
		opened := false
		client, err := memory.Connect(func(transport.Conn) transport.Receiver { opened = true; return deaf{} }, o)
		assert.Equal(t, err == nil, opened)
		assert.Equal(t, err == nil, client != nil)
		return err
	}
}

type deaf struct{}

func (deaf) Receive([]byte)    {}
func (deaf) Closed(int, error) {}

// TestEveryOption gives every option of every transport the least that it takes, and
// what is below that.
func TestEveryOption(t *testing.T) {
	number := func(set func(int) error) func(int64) error {
		return func(v int64) error { return set(int(v)) }
	}
	duration := func(set func(time.Duration) error) func(int64) error {
		return func(v int64) error { return set(time.Duration(v)) }
	}
	const second = int64(time.Second)
	for name, test := range map[string]struct {
		set     func(int64) error
		least   int64
		message string
	}{
		"websocket.WithQueueLimits messages": {number(func(n int) error { return withWebSocket(websocket.WithQueueLimits(n, 1)) }), 0, "websocket: limit of queued messages -1 is negative"},
		"websocket.WithQueueLimits bytes":    {number(func(n int) error { return withWebSocket(websocket.WithQueueLimits(1, n)) }), 0, "websocket: limit of queued bytes -1 is negative"},
		"websocket.WithMaxConnections":       {number(func(n int) error { return withWebSocket(websocket.WithMaxConnections(n)) }), 1, "websocket: limit of connections 0 is not positive"},
		"websocket.WithReadLimit":            {number(func(n int) error { return withWebSocket(websocket.WithReadLimit(n)) }), 1, "websocket: read limit 0 is not positive"},
		"websocket.WithWriteTimeout":         {duration(func(d time.Duration) error { return withWebSocket(websocket.WithWriteTimeout(d)) }), 1, "websocket: write time-out 0s is not positive"},
		"websocket.WithCloseTimeout":         {duration(func(d time.Duration) error { return withWebSocket(websocket.WithCloseTimeout(d)) }), 1, "websocket: close time-out 0s is not positive"},
		"websocket.WithCompression":          {number(func(n int) error { return withWebSocket(websocket.WithCompression(n)) }), 1, "websocket: least size of a compressed message 0 is not positive"},

		"xhr.WithQueueLimits messages": {number(func(n int) error { return withXHR(xhr.WithQueueLimits(n, 1)) }), 0, "xhr: limit of queued messages -1 is negative"},
		"xhr.WithQueueLimits bytes":    {number(func(n int) error { return withXHR(xhr.WithQueueLimits(1, n)) }), 0, "xhr: limit of queued bytes -1 is negative"},
		"xhr.WithMaxSessions":          {number(func(n int) error { return withXHR(xhr.WithMaxSessions(n)) }), 1, "xhr: limit of sessions 0 is not positive"},
		"xhr.WithReadLimit":            {number(func(n int) error { return withXHR(xhr.WithReadLimit(n)) }), 1, "xhr: read limit 0 is not positive"},
		"xhr.WithHeartbeat":            {duration(func(d time.Duration) error { return withXHR(xhr.WithHeartbeat(d)) }), second, "xhr: heartbeat 999.999999ms is less than a second"},
		"xhr.WithGap":                  {duration(func(d time.Duration) error { return withXHR(xhr.WithGap(d)) }), second, "xhr: gap 999.999999ms is less than a second"},
		"xhr.WithReadTimeout":          {duration(func(d time.Duration) error { return withXHR(xhr.WithReadTimeout(d)) }), 1, "xhr: read time-out 0s is not positive"},
		"xhr.WithWriteTimeout":         {duration(func(d time.Duration) error { return withXHR(xhr.WithWriteTimeout(d)) }), 1, "xhr: write time-out 0s is not positive"},

		"sse.WithQueueLimits messages": {number(func(n int) error { return withSSE(sse.WithQueueLimits(n, 1)) }), 0, "sse: limit of queued messages -1 is negative"},
		"sse.WithQueueLimits bytes":    {number(func(n int) error { return withSSE(sse.WithQueueLimits(1, n)) }), 0, "sse: limit of queued bytes -1 is negative"},
		"sse.WithMaxConnections":       {number(func(n int) error { return withSSE(sse.WithMaxConnections(n)) }), 1, "sse: limit of connections 0 is not positive"},
		"sse.WithHeartbeat":            {duration(func(d time.Duration) error { return withSSE(sse.WithHeartbeat(d)) }), second, "sse: heartbeat 999.999999ms is less than a second"},
		"sse.WithWriteTimeout":         {duration(func(d time.Duration) error { return withSSE(sse.WithWriteTimeout(d)) }), 1, "sse: write time-out 0s is not positive"},

		"memory.WithQueueLimits messages": {number(func(n int) error { return withMemory(t)(memory.WithQueueLimits(n, 1)) }), 0, "memory: limit of queued messages -1 is negative"},
		"memory.WithQueueLimits bytes":    {number(func(n int) error { return withMemory(t)(memory.WithQueueLimits(1, n)) }), 0, "memory: limit of queued bytes -1 is negative"},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, test.set(test.least))
			err := test.set(test.least - 1)
			require.EqualError(t, err, test.message)
			var invalid *transport.OptionError
			require.ErrorAs(t, err, &invalid)
			assert.True(t, strings.HasPrefix(test.message[strings.Index(test.message, ": ")+2:], invalid.Option), invalid.Option)
			require.ErrorAs(t, test.set(math.MinInt32), &invalid)
		})
	}
	require.NoError(t, withWebSocket(websocket.WithBudget(nil)))
	require.NoError(t, withXHR(xhr.WithBudget(nil)))
	require.NoError(t, withXHR(xhr.WithMakeRoom(nil)))
	require.NoError(t, withSSE(sse.WithBudget(nil)))
}
