package broker_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/storage"
)

func publish(t *testing.T, app *broker.App, channel string, from, to int) broker.Position {
	t.Helper()
	var last broker.Position
	for i := from; i <= to; i++ {
		p, err := app.Publish(t.Context(), channel, "message", fmt.Append(nil, i))
		require.NoError(t, err)
		last = p.Position
	}
	return last
}

// take consumes n events.
func take(t *testing.T, events func(func(broker.Event, error) bool), n int) (data []string) {
	t.Helper()
	for ev, err := range events {
		require.NoError(t, err)
		if data = append(data, string(ev.Data)); len(data) == n {
			break
		}
	}
	return data
}

func TestSubscribeExistsWhenItReturns(t *testing.T) {
	kit := brokertest.New(t)
	events := kit.App.Subscribe(t.Context(), "room")
	publish(t, kit.App, "room", 1, 3)
	assert.Equal(t, []string{"1", "2", "3"}, take(t, events, 3))
	assert.Zero(t, kit.Broker.Stats().LocalSubscriptions)
	assert.Zero(t, kit.Broker.Stats().Channels)
}

func TestSubscribeEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan int)
		events := kit.App.Subscribe(ctx, "room")
		go func() {
			n := 0
			for _, err := range events {
				assert.NoError(t, err)
				n++
			}
			ended <- n
		}()
		publish(t, kit.App, "room", 1, 2)
		synctest.Wait()
		cancel()
		assert.Equal(t, 2, <-ended)
		synctest.Wait()

		// One that nobody consumes goes away with its context as well.
		ctx, cancel = context.WithCancel(t.Context())
		kit.App.Subscribe(ctx, "room")
		assert.EqualValues(t, 1, kit.Broker.Stats().LocalSubscriptions)
		cancel()
		synctest.Wait()
		assert.Zero(t, kit.Broker.Stats().LocalSubscriptions)
	})
}

func TestSubscribeRewinds(t *testing.T) {
	kit := brokertest.New(t, keeping(5))
	publish(t, kit.App, "room", 1, 9)
	events := kit.App.Subscribe(t.Context(), "room", broker.WithRewind(3))
	publish(t, kit.App, "room", 10, 10)
	assert.Equal(t, []string{"7", "8", "9", "10"}, take(t, events, 4))
}

func TestSubscribeAfterAPositionGetsWhatWasMissedOnce(t *testing.T) {
	kit := brokertest.New(t, keeping(10))
	position := publish(t, kit.App, "room", 1, 4)
	publish(t, kit.App, "room", 5, 8)
	events := kit.App.Subscribe(t.Context(), "room", broker.After(position))
	publish(t, kit.App, "room", 9, 9)
	assert.Equal(t, []string{"5", "6", "7", "8", "9"}, take(t, events, 5))
}

func TestSubscribeAfterALostPositionSaysSoAndGoesOn(t *testing.T) {
	kit := brokertest.New(t, keeping(3))
	position := publish(t, kit.App, "room", 1, 2)
	publish(t, kit.App, "room", 3, 20)
	foreign := broker.Position{Epoch: storage.Epoch{Number: 1}, Offset: 19}
	for _, p := range []broker.Position{position, foreign} {
		events := kit.App.Subscribe(t.Context(), "room", broker.After(p))
		publish(t, kit.App, "room", 21, 21)
		var gap *storage.GapError
		n := 0
		for ev, err := range events {
			if n++; n == 1 {
				require.True(t, errors.As(err, &gap))
				assert.ErrorIs(t, err, storage.ErrGap)
				continue
			}
			require.NoError(t, err)
			assert.Equal(t, "21", string(ev.Data))
			break
		}
		assert.Equal(t, 2, n)
	}
}

func TestSlowConsumerIsToldAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t)
		events := kit.App.Subscribe(t.Context(), "room", broker.WithBuffer(3))
		publish(t, kit.App, "room", 1, 10)
		synctest.Wait()
		var got []string
		var last error
		for ev, err := range events {
			if last = err; err == nil {
				got = append(got, string(ev.Data))
			}
		}
		assert.Equal(t, []string{"1", "2", "3"}, got)
		assert.ErrorIs(t, last, broker.ErrSlowSubscriber)
		assert.EqualValues(t, 1, kit.Broker.Stats().SlowLocal)
	})
}

func TestPastEventsTakeNoRoomInTheBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t, keeping(9))
		publish(t, kit.App, "room", 1, 9)
		events := kit.App.Subscribe(t.Context(), "room", broker.WithRewind(5), broker.WithBuffer(2))
		publish(t, kit.App, "room", 10, 11)
		next, stop := iter.Pull2(events)
		defer stop()
		for want := 5; want <= 11; want++ {
			ev, err, ok := next()
			require.True(t, ok)
			require.NoError(t, err)
			assert.Equal(t, fmt.Sprint(want), string(ev.Data))
		}
		publish(t, kit.App, "room", 12, 14)
		synctest.Wait()
		assert.EqualValues(t, 1, kit.Broker.Stats().SlowLocal)
	})
}

func TestSubscribeRefusesWhatIsNotValid(t *testing.T) {
	kit := brokertest.New(t)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		ctx     context.Context
		channel string
		opt     broker.SubscribeOption
		want    error
	}{
		{t.Context(), "a b", broker.WithBuffer(1), broker.ErrInvalid},
		{t.Context(), "room", broker.WithBuffer(0), broker.ErrInvalid},
		{t.Context(), "room", broker.WithRewind(-1), broker.ErrInvalid},
		{cancelled, "room", broker.WithBuffer(1), context.Canceled},
	} {
		n := 0
		for _, err := range kit.App.Subscribe(c.ctx, c.channel, c.opt) {
			require.ErrorIs(t, err, c.want)
			n++
		}
		assert.Equal(t, 1, n)
	}
}

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
	some, _ := read(broker.From(positions[9]), broker.Limit(3))
	assert.Equal(t, []string{"11", "12", "13"}, some)
	some, _ = read(broker.From(positions[9]), broker.Limit(3), broker.Backward())
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

func TestTopicCarriesValues(t *testing.T) {
	type message struct {
		Text string `json:"text"`
	}
	kit := brokertest.New(t)
	topic, err := broker.NewTopic[message](kit.App, "room", "message")
	require.NoError(t, err)
	values := topic.Subscribe(t.Context())
	_, err = topic.Publish(t.Context(), message{Text: "hi"})
	require.NoError(t, err)
	_, err = kit.App.Publish(t.Context(), "room", "other", []byte("{}"))
	require.NoError(t, err)
	_, err = kit.App.Publish(t.Context(), "room", "message", []byte("no json"))
	require.NoError(t, err)
	n := 0
	for m, err := range values {
		if n++; n == 1 {
			require.NoError(t, err)
			assert.Equal(t, "hi", m.Text)
			continue
		}
		var bad *broker.ValueError
		require.True(t, errors.As(err, &bad))
		assert.Equal(t, "no json", string(bad.Event.Data))
		break
	}
	assert.Equal(t, 2, n)
	_, err = broker.NewTopic[message](kit.App, "a b", "message")
	assert.ErrorIs(t, err, broker.ErrInvalid)
}
