package broker_test

import (
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/storage/memory"
	"github.com/carillon-rt/carillon/transport"
)

// fullOnce is a connection whose queue is full for one message, and which has
// room again when the broker gets to closing it.
type fullOnce struct {
	sink
	at  int
	got []string
}

func (s *fullOnce) Send(m *transport.Message) error {
	if s.sent++; s.sent == s.at {
		return &transport.QueueError{}
	}
	s.got = append(s.got, string(m.Payload()))
	return nil
}

func TestNothingFollowsWhatCouldNotBeSent(t *testing.T) {
	for _, c := range []struct {
		others, rewind, at int
		want               []string
	}{
		{others: 0, at: 3, want: []string{"", "3"}},
		{others: 2, at: 3, want: []string{"", "3"}},
		{rewind: 2, at: 2, want: []string{""}},
		{rewind: 2, at: 3, want: []string{"", "1"}},
		{rewind: 2, at: 4, want: []string{"", "1", "2"}},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			b := newBroker(t, broker.WithLogger(slog.New(slog.DiscardHandler)), broker.WithChannelRules(
				broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 9}, Rewind: c.rewind}))
			app := b.App("1")
			publish(t, app, "room", 1, 2)
			done := subscribeSinks(t, b, "room", c.others)
			conn := &fullOnce{at: c.at}
			s := join(t, b, conn, "room")
			publish(t, app, "room", 3, 5)
			late := subscribeSinks(t, b, "room", 2)
			publish(t, app, "room", 6, 6)
			assert.Equal(t, c.want, conn.got)
			assert.EqualValues(t, 1, b.Stats().SlowSessions)
			s.End(4100)
			done()
			late()
			require.NoError(t, b.Shutdown(t.Context()))
		})
	}
}

func TestWhatWaitsForABlockedStoreIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		store := &faulty{Store: memory.New(), read: func() { <-release }}
		kit := brokertest.New(t, broker.WithHistory(store), broker.WithLogger(slog.New(slog.DiscardHandler)),
			broker.WithChannelRules(broker.ChannelRule{Pattern: "rewind-*", History: broker.Retention{Events: 1}, Rewind: 1}))
		for _, load := range []struct {
			channel       string
			events, bytes int
		}{{"rewind-many", 1<<14 + 1, 0}, {"rewind-large", 5, 1 << 20}} {
			before := kit.Broker.Stats().SlowSessions
			ann := kit.Connect(t)
			go ann.Write(`{"event":"pusher:subscribe","data":{"channel":"` + load.channel + `"}}`)
			synctest.Wait()
			data := make([]byte, load.bytes)
			for i := range data {
				data[i] = 'x'
			}
			for range load.events {
				_, err := kit.App.Publish(t.Context(), load.channel, "message", data)
				require.NoError(t, err)
			}
			synctest.Wait()
			assert.EqualValues(t, before+1, kit.Broker.Stats().SlowSessions, load.channel)
			assert.Equal(t, 4100, ann.CloseCode())
		}
		close(release)
	})
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
