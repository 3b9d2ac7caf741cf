package broker_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/transport"
)

// loneSink is a sink that leaves what it alone gets to the sender.
type loneSink struct {
	sink
	lone, flushed int
	flush         func()
}

func (s *loneSink) SendLone(*transport.Message) (bool, error) {
	s.lone++
	return true, nil
}

func (s *loneSink) Flush() {
	s.flushed++
	if f := s.flush; f != nil {
		s.flush = nil
		f()
	}
}

func TestLoneSubscriberIsFlushedOutsideOfAllLocks(t *testing.T) {
	for _, history := range []int{0, 10} {
		b := newBroker(t, broker.WithRules(broker.Rule{Pattern: "*", History: broker.Retention{Events: history}}))
		app := b.App("1")
		conn := &loneSink{}
		s := join(t, b, conn, "private-room")
		assert.Equal(t, 1, conn.lone, "the confirmation")
		assert.Equal(t, 1, conn.flushed)
		publish := func() {
			_, err := app.Publish(context.Background(), "private-room", "message", data)
			require.NoError(t, err)
		}
		// Publishing to the same channel while it is flushed takes every lock.
		conn.flush = publish
		publish()
		assert.Equal(t, 3, conn.lone)
		assert.Equal(t, 3, conn.flushed)

		other := &loneSink{}
		author := join(t, b, other, "private-room")
		publish()
		assert.Equal(t, 3, conn.lone, "there are two now")
		assert.Equal(t, 1, other.lone)
		for range 3 {
			require.NoError(t, author.ClientEvent(t.Context(), broker.ClientEventRequest{Channel: "private-room", Event: "client-x", Data: data}))
		}
		assert.Equal(t, 6, conn.lone, "the author is left out")
		assert.Equal(t, 6, conn.flushed)
		assert.Equal(t, 1, other.lone)
		s.End(1000)
		author.End(1000)
		require.NoError(t, b.Shutdown(t.Context()))
	}
}

// join subscribes a connection.
func join(t *testing.T, b *broker.Broker, conn transport.Conn, channel string) *broker.Session {
	t.Helper()
	s, err := b.Connect(t.Context(), broker.ConnectOptions{
		ConnectRequest: broker.ConnectRequest{App: "1"}, Conn: conn, Protocol: &plain{}})
	require.NoError(t, err)
	require.NoError(t, s.Subscribe(t.Context(), broker.SubscribeRequest{Channel: channel, Authorized: true}))
	return s
}
