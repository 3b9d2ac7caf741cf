package broker_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
)

func TestASubscriptionGoesOnWhereItsLoopWasLeft(t *testing.T) {
	for name, opts := range map[string][]broker.SubscribeOption{
		"in the middle of what it has taken": nil,
		"after each event":                   {broker.WithBuffer(100)},
		"with past events":                   {broker.WithRewind(9)},
	} {
		t.Run(name, func(t *testing.T) {
			kit := brokertest.New(t, keeping(9))
			if name == "with past events" {
				publish(t, kit.App, "room", 1, 5)
			}
			sub := subscribe(t, kit.App, "room", opts...)
			if name != "with past events" {
				publish(t, kit.App, "room", 1, 5)
			}
			assert.Equal(t, []string{"1"}, take(t, sub, 1))
			assert.Equal(t, []string{"2", "3"}, take(t, sub, 2))
			publish(t, kit.App, "room", 6, 7)
			for i := 4; i <= 7; i++ {
				assert.Equal(t, []string{fmt.Sprint(i)}, take(t, sub, 1))
			}
		})
	}
}

// However it ends, each further loop says the same.
func TestALoopAfterTheEndSaysWhyAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(kit *brokertest.Kit, cancel func(), sub *broker.Subscription)
		got  int
		want error
	}{
		"close":   {end: func(_ *brokertest.Kit, _ func(), sub *broker.Subscription) { sub.Close(); sub.Close() }},
		"context": {end: func(_ *brokertest.Kit, cancel func(), _ *broker.Subscription) { cancel() }, got: 2},
		"shutdown": {end: func(kit *brokertest.Kit, _ func(), _ *broker.Subscription) {
			_ = kit.Broker.Shutdown(context.Background())
		}, got: 2, want: broker.ErrShutdown},
		"too slow": {end: func(kit *brokertest.Kit, _ func(), _ *broker.Subscription) {
			for range 3 {
				_, _ = kit.App.Publish(context.Background(), "room", "message", nil)
			}
		}, got: 3, want: broker.ErrSlowSubscriber},
		"closed when it had ended": {end: func(kit *brokertest.Kit, _ func(), sub *broker.Subscription) {
			_ = kit.Broker.Shutdown(context.Background())
			sub.Close()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kit := brokertest.New(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				sub, err := kit.App.Subscribe(ctx, "room", broker.WithBuffer(3))
				require.NoError(t, err)
				publish(t, kit.App, "room", 1, 2)
				tc.end(kit, cancel, sub)
				synctest.Wait()
				for _, want := range []int{tc.got, 0} {
					n, ended := 0, error(nil)
					for _, err := range sub.Events() {
						require.NoError(t, ended, "yielded behind the end")
						if ended = err; err == nil {
							n++
						}
					}
					assert.Equal(t, want, n)
					assert.ErrorIs(t, ended, tc.want)
				}
				assert.Zero(t, kit.Broker.Stats().InProcessSubscriptions)
				assert.Zero(t, kit.Broker.Stats().Channels)
			})
		})
	}
}

func TestCloseEndsALoopThatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t)
		waiting, inLoop, left := subscribe(t, kit.App, "a"), subscribe(t, kit.App, "b"), subscribe(t, kit.App, "b")
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for ev, err := range waiting.Events() {
				t.Error("yielded", ev, err)
			}
		}()
		synctest.Wait()
		var closing sync.WaitGroup
		for range 5 {
			closing.Go(waiting.Close)
		}
		closing.Wait()
		<-ended
		publish(t, kit.App, "b", 1, 5)
		n := 0
		for _, err := range inLoop.Events() {
			require.NoError(t, err)
			n++
			inLoop.Close()
		}
		assert.Equal(t, 1, n)
		assert.Equal(t, []string{"1"}, take(t, left, 1))
		left.Close() // with most of what it has taken not yet yielded
		for ev, err := range left.Events() {
			t.Error("yielded", ev, err)
		}
	})
}

func TestOneLoopAtATime(t *testing.T) {
	kit := brokertest.New(t)
	sub := subscribe(t, kit.App, "room")
	publish(t, kit.App, "room", 1, 3)
	var got []string
	for ev, err := range sub.Events() {
		require.NoError(t, err)
		n := 0
		for _, err := range sub.Events() {
			require.ErrorIs(t, err, broker.ErrConsuming)
			n++
		}
		assert.Equal(t, 1, n)
		if got = append(got, string(ev.Data)); len(got) == 3 {
			break
		}
	}
	assert.Equal(t, []string{"1", "2", "3"}, got)
	// A loop that ended in a panic is over as well.
	publish(t, kit.App, "room", 4, 5)
	assert.Panics(t, func() {
		for range sub.Events() {
			panic("consumer of the test")
		}
	})
	assert.Equal(t, []string{"5"}, take(t, sub, 1))
}
