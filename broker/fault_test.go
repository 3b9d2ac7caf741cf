package broker_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
)

// faulty is a memory store of which some calls do more than they should.
type faulty struct {
	*memory.Store
	read     func()
	appended func()
	// appendErr and readErr are the errors of appends that have happened, and of
	// reads; lost of appends that have not.
	appendErr, readErr, lost error
	leave                    func()
	joined                   func(ch storage.ChannelID, userID string)
	err                      error
}

func (f *faulty) Read(ctx context.Context, ch storage.ChannelID, opts storage.ReadOptions) (storage.Page, error) {
	if f.read != nil {
		f.read()
	}
	if f.readErr != nil {
		return storage.Page{}, f.readErr
	}
	return f.Store.Read(ctx, ch, opts)
}

func (f *faulty) Append(ctx context.Context, ch storage.ChannelID, ev *storage.Event, opts storage.AppendOptions) (storage.Appended, error) {
	if f.lost != nil {
		return storage.Appended{}, f.lost
	}
	out, err := f.Store.Append(ctx, ch, ev, opts)
	if f.appended != nil {
		f.appended()
	}
	if f.appendErr != nil {
		return storage.Appended{}, f.appendErr
	}
	return out, err
}

func (f *faulty) Join(ctx context.Context, ch storage.ChannelID, conn storage.Connection, m storage.Member, opts storage.JoinOptions) (storage.Joined, error) {
	joined, err := f.Store.Join(ctx, ch, conn, m, opts)
	if f.joined != nil {
		f.joined(ch, m.UserID)
	}
	return joined, err
}

func (f *faulty) Leave(ctx context.Context, ch storage.ChannelID, conn storage.Connection) (storage.Departure, error) {
	if f.leave != nil {
		f.leave()
	}
	return f.Store.Leave(ctx, ch, conn)
}

func (f *faulty) Latest(ctx context.Context, channels []storage.ChannelID) ([]storage.Position, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Store.Latest(ctx, channels)
}

func (f *faulty) Delete(ctx context.Context, ch storage.ChannelID) error {
	if f.err != nil {
		return f.err
	}
	return f.Store.Delete(ctx, ch)
}

func (f *faulty) AreMembers(ctx context.Context, ch storage.ChannelID, userIDs []string) ([]bool, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Store.AreMembers(ctx, ch, userIDs)
}

func (f *faulty) LastSeen(ctx context.Context, ch storage.ChannelID, userIDs []string) ([]time.Time, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Store.LastSeen(ctx, ch, userIDs)
}

func TestAfterTheLatestPositionComesOnlyWhatIsNewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &faulty{Store: memory.New()}
		kit := brokertest.New(t, keeping(10), broker.WithHistory(store))
		publish(t, kit.App, "room", 1, 2)
		kept, release := make(chan struct{}), make(chan struct{})
		store.appended = func() {
			close(kept)
			<-release
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			publish(t, kit.App, "room", 3, 3)
		}()
		<-kept // but nobody was told yet
		position, err := kit.App.Latest(t.Context(), "room")
		require.NoError(t, err)
		require.EqualValues(t, 3, position.Offset)
		sub := subscribe(t, kit.App, "room", broker.After(position))
		ann := kit.Connect(t)
		session := kit.Broker.Session(ann.SocketID())
		require.NoError(t, session.Subscribe(t.Context(), broker.SubscribeRequest{Channel: "room", After: &position}))
		ann.Expect("pusher_internal:subscription_succeeded", "room")
		store.appended = nil
		close(release)
		<-done
		publish(t, kit.App, "room", 4, 4)
		assert.Equal(t, []string{"4"}, take(t, sub, 1))
		assert.Equal(t, "4", ann.Expect("message", "room").Data)
	})
}

func TestAnAppendThatHangsHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &faulty{Store: memory.New()}
		kit := brokertest.New(t, keeping(10), broker.WithHistory(store))
		release := make(chan struct{})
		store.appended = func() { <-release }
		done := make(chan struct{})
		go func() {
			defer close(done)
			publish(t, kit.App, "hangs", 1, 1)
		}()
		synctest.Wait()
		store.appended = nil
		// Enough to find any lock that several channels share.
		for i := range 2000 {
			publish(t, kit.App, fmt.Sprint("room-", i), 1, 1)
		}
		publish(t, kit.App, "hangs", 2, 3)
		close(release)
		<-done
	})
}

func TestAStoreThatFailsLeavesNoSubscription(t *testing.T) {
	store := &faulty{Store: memory.New()}
	kit := brokertest.New(t, keeping(10), broker.WithHistory(store), broker.WithPresence(store), broker.WithLogger(slog.New(slog.DiscardHandler)))
	session := kit.Broker.Session(kit.Connect(t).SocketID())
	for name, fail := range map[string]func(){
		"panics": func() { store.read = func() { panic("store of the test") } },
		"fails":  func() { store.read, store.readErr = nil, assert.AnError },
	} {
		t.Run(name, func(t *testing.T) {
			fail()
			for _, channel := range []string{"cache-room", "presence-cache-room"} {
				assert.Error(t, session.Subscribe(t.Context(), broker.SubscribeRequest{Channel: channel, Authorized: true,
					Member: &broker.Member{UserID: "ann"}}))
			}
			_, err := kit.App.Subscribe(t.Context(), "room", broker.WithRewind(1))
			assert.Error(t, err)
			stats := kit.Broker.Stats()
			assert.Zero(t, stats.Channels)
			assert.Zero(t, stats.InProcessSubscriptions)
			members, err := kit.App.Members(t.Context(), "presence-cache-room")
			require.NoError(t, err)
			assert.Empty(t, members)
		})
	}
}

func TestRewindAfterADeletionIsInOrder(t *testing.T) {
	store := &faulty{Store: memory.New()}
	kit := brokertest.New(t, broker.WithHistory(store),
		broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 9}, Rewind: 2}))
	publish(t, kit.App, "room", 1, 1)
	meanwhile := func() {
		store.read = nil
		publish(t, kit.App, "room", 2, 2)
		require.NoError(t, kit.App.DeleteHistory(t.Context(), "room"))
		publish(t, kit.App, "room", 3, 5)
	}
	store.read = meanwhile
	sub := subscribe(t, kit.App, "room", broker.WithRewind(2))
	store.read = meanwhile
	ann := kit.Connect(t)
	ann.Subscribe("room")
	publish(t, kit.App, "room", 6, 6)
	for _, want := range []string{"4", "5", "6"} {
		assert.Equal(t, want, ann.Expect("message", "room").Data)
	}
	ann.ExpectNothing()
	assert.Equal(t, []string{"4", "5", "2", "3", "4", "5", "6"}, take(t, sub, 7))
}

func TestShutdownGivesUpOnABlockedStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		store := &faulty{Store: memory.New(), leave: func() { <-release }}
		b, err := broker.New(broker.WithPresence(store), broker.WithDrainWindow(0),
			broker.WithChannelRules(broker.ChannelRule{Pattern: "*-grace", LeaveGrace: time.Hour}))
		require.NoError(t, err)
		kit := &brokertest.Kit{Broker: b, App: b.App("1"), Config: &pusher.App{ID: "1", Key: brokertest.Key, Secret: brokertest.Secret}}
		kit.Handler, err = pusher.NewHandler(b, kit)
		require.NoError(t, err)
		kit.Connect(t).SubscribeAs("presence-grace", "ann", "")
		kit.Connect(t).SubscribeAs("presence-room", "bob", "")
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			start := time.Now()
			assert.ErrorIs(t, b.Shutdown(ctx), context.DeadlineExceeded)
			assert.Less(t, time.Since(start), 2*time.Second)
			cancel()
		}
		close(release)
	})
}

// watchedContext is a context that knows how many functions wait for its end.
type watchedContext struct {
	context.Context
	waiting int
}

// Value hides that the context is one that package context knows.
func (c *watchedContext) Value(any) any { return nil }

func (c *watchedContext) AfterFunc(func()) (stop func() bool) {
	c.waiting++
	return func() bool { c.waiting--; return true }
}

func TestASubscriptionThatEndsEarlyLetsItsContextGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &faulty{Store: memory.New()}
		kit := brokertest.New(t, keeping(10), broker.WithHistory(store), broker.WithLogger(slog.New(slog.DiscardHandler)))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		watched := &watchedContext{Context: ctx}
		store.read = func() {
			publish(t, kit.App, "room", 1, 2)
			synctest.Wait()
		}
		sub, err := kit.App.Subscribe(watched, "room", broker.WithRewind(1), broker.WithBuffer(1))
		require.NoError(t, err)
		assert.Zero(t, watched.waiting)
		var last error
		for _, last = range sub.Events() {
		}
		assert.ErrorIs(t, last, broker.ErrSlowSubscriber)
		assert.Zero(t, watched.waiting)
	})
}

func TestAWatcherHearsOfEachChangeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stored, release := make(chan struct{}), make(chan struct{})
		store := &faulty{Store: memory.New()}
		store.joined = func(_ storage.ChannelID, userID string) {
			if userID == "bob" {
				close(stored)
				<-release
			}
		}
		kit := brokertest.New(t, broker.WithPresence(store))
		ann, bob := kit.Connect(t), kit.Connect(t)
		go bob.SignIn("bob")
		<-stored // but nobody was told yet
		go ann.SignIn("ann", "cleo", "bob", "a\x00")
		synctest.Wait()
		cleo := kit.Connect(t)
		cleo.SignIn("cleo")
		close(release)
		synctest.Wait()
		assert.JSONEq(t, `{"events":[{"name":"online","user_ids":["cleo","bob"]},{"name":"offline","user_ids":["a\u0000"]}]}`,
			ann.Expect("pusher_internal:watchlist_events", "").Data, "cleo's sign-in came before anything was told")
		ann.ExpectNothing()
		cleo.Close()
		assert.JSONEq(t, `{"events":[{"name":"offline","user_ids":["cleo"]}]}`, ann.Expect("pusher_internal:watchlist_events", "").Data)
	})
}

func TestErrorsOfTheStoreAreCounted(t *testing.T) {
	store := &faulty{Store: memory.New(), err: assert.AnError}
	kit := brokertest.New(t, broker.WithHistory(store), broker.WithPresence(store), broker.WithLogger(slog.New(slog.DiscardHandler)))
	_, err := kit.App.Latest(t.Context(), "room")
	require.ErrorIs(t, err, assert.AnError)
	require.ErrorIs(t, kit.App.DeleteHistory(t.Context(), "room"), assert.AnError)
	_, err = kit.App.IsOnline(t.Context(), "ann")
	require.ErrorIs(t, err, assert.AnError)
	_, err = kit.App.LastSeen(t.Context(), "ann")
	require.ErrorIs(t, err, assert.AnError)
	assert.EqualValues(t, 4, kit.Broker.Stats().StoreErrors)
}
