package broker_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

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

// subscribe subscribes until the test ends.
func subscribe(t *testing.T, app *broker.App, channel string, opts ...broker.SubscribeOption) *broker.Subscription {
	t.Helper()
	sub, err := app.Subscribe(t.Context(), channel, opts...)
	require.NoError(t, err)
	t.Cleanup(sub.Close)
	return sub
}

// take consumes n events.
func take(t *testing.T, sub *broker.Subscription, n int) (data []string) {
	t.Helper()
	for ev, err := range sub.Events() {
		require.NoError(t, err)
		if data = append(data, string(ev.Data)); len(data) == n {
			break
		}
	}
	return data
}

func TestSubscribeExistsWhenItReturns(t *testing.T) {
	kit := brokertest.New(t)
	sub := subscribe(t, kit.App, "room")
	publish(t, kit.App, "room", 1, 3)
	assert.Equal(t, "room", sub.Channel())
	assert.Equal(t, []string{"1", "2", "3"}, take(t, sub, 3))
	assert.EqualValues(t, 1, kit.Broker.Stats().InProcessSubscriptions)
	sub.Close()
	assert.Zero(t, kit.Broker.Stats().InProcessSubscriptions)
	assert.Zero(t, kit.Broker.Stats().Channels)
}

func TestSubscribeEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan int)
		sub, err := kit.App.Subscribe(ctx, "room")
		require.NoError(t, err)
		go func() {
			n := 0
			for _, err := range sub.Events() {
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
		_, err = kit.App.Subscribe(ctx, "room")
		require.NoError(t, err)
		assert.EqualValues(t, 1, kit.Broker.Stats().InProcessSubscriptions)
		cancel()
		synctest.Wait()
		assert.Zero(t, kit.Broker.Stats().InProcessSubscriptions)
	})
}

// What Position says and what Events yields are all there is.
func TestPositionIsWhereTheSubscriptionBegan(t *testing.T) {
	kit := brokertest.New(t, keeping(9))
	empty := subscribe(t, kit.App, "empty")
	latest, err := kit.App.Latest(t.Context(), "empty")
	require.NoError(t, err)
	assert.Equal(t, latest, empty.Position())
	last := publish(t, kit.App, "room", 1, 3)
	var subs []*broker.Subscription
	for _, opts := range [][]broker.SubscribeOption{nil, {broker.WithRewind(2)}, {broker.After(broker.Position{})}} {
		subs = append(subs, subscribe(t, kit.App, "room", opts...))
	}
	publish(t, kit.App, "room", 4, 4)
	for _, sub := range subs {
		assert.Equal(t, last, sub.Position())
		for ev, err := range sub.Events() {
			require.NoError(t, err)
			if ev.Position.After(last) {
				assert.Equal(t, "4", string(ev.Data))
				break
			}
		}
	}
	plain := brokertest.New(t)
	assert.True(t, subscribe(t, plain.App, "room").Position().IsZero())
}

func TestAnEventThatCannotBeOpenedEndsTheSubscription(t *testing.T) {
	kit := brokertest.New(t)
	sub := subscribe(t, kit.App, "private-encrypted-room")
	_, err := kit.App.PublishBatch(t.Context(), []broker.PublishRequest{
		{Channel: "private-encrypted-room", Event: "message", Data: []byte("1")},
		{Channel: "private-encrypted-room", Event: "message", Data: []byte("no ciphertext"), Sealed: true},
		{Channel: "private-encrypted-room", Event: "message", Data: []byte("3")},
	})
	require.NoError(t, err)
	assert.Equal(t, []string{"1"}, take(t, sub, 1))
	for range 2 {
		n := 0
		for _, err := range sub.Events() {
			require.ErrorContains(t, err, "open event")
			n++
		}
		assert.Equal(t, 1, n)
	}
	assert.Zero(t, kit.Broker.Stats().InProcessSubscriptions)
}

// A gap takes none of the room that events have.
func TestAGapTakesNoRoomInTheBuffer(t *testing.T) {
	kit := brokertest.New(t, keeping(3))
	position := publish(t, kit.App, "room", 1, 1)
	publish(t, kit.App, "room", 2, 9)
	sub := subscribe(t, kit.App, "room", broker.After(position), broker.WithBuffer(1))
	publish(t, kit.App, "room", 10, 10)
	var got []string
	for ev, err := range sub.Events() {
		if err != nil {
			require.ErrorIs(t, err, storage.ErrGap)
			got = append(got, "gap")
			continue
		}
		if got = append(got, string(ev.Data)); len(got) == 2 {
			break
		}
	}
	assert.Equal(t, []string{"gap", "10"}, got)
}

func TestSubscribeRewinds(t *testing.T) {
	kit := brokertest.New(t, keeping(5))
	publish(t, kit.App, "room", 1, 9)
	sub := subscribe(t, kit.App, "room", broker.WithRewind(3))
	publish(t, kit.App, "room", 10, 10)
	assert.Equal(t, []string{"7", "8", "9", "10"}, take(t, sub, 4))
}

func TestSubscribeAfterAPositionGetsWhatWasMissedOnce(t *testing.T) {
	kit := brokertest.New(t, keeping(10))
	position := publish(t, kit.App, "room", 1, 4)
	publish(t, kit.App, "room", 5, 8)
	sub := subscribe(t, kit.App, "room", broker.After(position))
	publish(t, kit.App, "room", 9, 9)
	assert.Equal(t, []string{"5", "6", "7", "8", "9"}, take(t, sub, 5))
}

func TestSubscribeAfterALostPositionSaysSoAndGoesOn(t *testing.T) {
	kit := brokertest.New(t, keeping(3))
	position := publish(t, kit.App, "room", 1, 2)
	publish(t, kit.App, "room", 3, 20)
	foreign := broker.Position{Epoch: storage.Epoch{Number: 1}, Offset: 19}
	for _, p := range []broker.Position{position, foreign} {
		sub := subscribe(t, kit.App, "room", broker.After(p))
		publish(t, kit.App, "room", 21, 21)
		var gap *storage.GapError
		n := 0
		for ev, err := range sub.Events() {
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
		sub := subscribe(t, kit.App, "room", broker.WithBuffer(3))
		publish(t, kit.App, "room", 1, 10)
		synctest.Wait()
		var got []string
		var last error
		for ev, err := range sub.Events() {
			if last = err; err == nil {
				got = append(got, string(ev.Data))
			}
		}
		assert.Equal(t, []string{"1", "2", "3"}, got)
		assert.ErrorIs(t, last, broker.ErrSlowSubscriber)
		assert.EqualValues(t, 1, kit.Broker.Stats().SlowInProcess)
	})
}

func TestPastEventsTakeNoRoomInTheBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t, keeping(9))
		publish(t, kit.App, "room", 1, 9)
		sub := subscribe(t, kit.App, "room", broker.WithRewind(5), broker.WithBuffer(2))
		publish(t, kit.App, "room", 10, 11)
		next, stop := iter.Pull2(sub.Events())
		defer stop()
		for want := 5; want <= 11; want++ {
			ev, err, ok := next()
			require.True(t, ok)
			require.NoError(t, err)
			assert.Equal(t, fmt.Sprint(want), string(ev.Data))
		}
		publish(t, kit.App, "room", 12, 14)
		synctest.Wait()
		assert.EqualValues(t, 1, kit.Broker.Stats().SlowInProcess)
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
		sub, err := kit.App.Subscribe(c.ctx, c.channel, c.opt)
		require.ErrorIs(t, err, c.want)
		assert.Nil(t, sub)
		assert.Zero(t, kit.Broker.Stats().InProcessSubscriptions)
	}
}

// A rewind by age starts with what is young enough, however much that is.
func TestARewindByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t, keeping(5000))
		fill := func() {
			for minute := range 3 {
				time.Sleep(time.Minute)
				publish(t, kit.App, "room", 1000*minute, 1000*minute+999)
			}
			time.Sleep(time.Second)
		}
		for _, test := range []struct {
			opts        []broker.SubscribeOption
			first, want int
		}{
			{[]broker.SubscribeOption{broker.WithRewindAge(30 * time.Second)}, 2000, 1000},
			{[]broker.SubscribeOption{broker.WithRewindAge(90 * time.Second)}, 1000, 2000},
			{[]broker.SubscribeOption{broker.WithRewindAge(time.Hour)}, 0, 3000},
			{[]broker.SubscribeOption{broker.WithRewindAge(time.Hour), broker.WithBuffer(1500)}, 1500, 1500},
			{[]broker.SubscribeOption{broker.WithRewindAge(30 * time.Second), broker.WithRewind(10)}, 2990, 10},
			{[]broker.SubscribeOption{broker.WithRewindAge(30 * time.Second), broker.WithRewind(2990)}, 2000, 1000},
			{[]broker.SubscribeOption{broker.WithRewindAge(time.Millisecond)}, 0, 0},
		} {
			time.Sleep(time.Hour)
			fill()
			sub, err := kit.App.Subscribe(t.Context(), "room", test.opts...)
			require.NoError(t, err)
			got := 0
			publish(t, kit.App, "room", -1, -1)
			for ev, err := range sub.Events() {
				require.NoError(t, err)
				if string(ev.Data) == "-1" {
					break
				}
				if got == 0 {
					assert.Equal(t, fmt.Sprint(test.first), string(ev.Data))
				}
				got++
			}
			sub.Close()
			assert.Equal(t, test.want, got)
		}
		_, err := kit.App.Subscribe(t.Context(), "room", broker.WithRewindAge(-1))
		assert.ErrorIs(t, err, broker.ErrInvalid)
	})
}
