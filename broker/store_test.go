package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/presence"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
)

// wild is a store that does something before each call, or after it.
type wild struct {
	*memory.Store
	mu            sync.Mutex
	before, after func(op string) // guarded by mu
}

func newWild() *wild { return &wild{Store: memory.New()} }

// set makes the store call f before each call, and nothing after.
func (w *wild) set(f func(op string)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before, w.after = f, nil
}

// begin calls before, and returns what calls after.
func (w *wild) begin(op string) func() {
	w.mu.Lock()
	before, after := w.before, w.after
	w.mu.Unlock()
	if before != nil {
		before(op)
	}
	return func() {
		if after != nil {
			after(op)
		}
	}
}

func (w *wild) Append(_ context.Context, ch storage.ChannelID, ev *storage.Event, opts storage.AppendOptions) (storage.Appended, error) {
	defer w.begin("append")()
	return w.Store.Append(context.Background(), ch, ev, opts)
}

func (w *wild) Read(_ context.Context, ch storage.ChannelID, opts storage.ReadOptions) (storage.Page, error) {
	defer w.begin("read")()
	return w.Store.Read(context.Background(), ch, opts)
}

func (w *wild) AppendBatch(_ context.Context, batch []storage.AppendRequest) []storage.AppendResult {
	defer w.begin("append")()
	return w.Store.AppendBatch(context.Background(), batch)
}

func (w *wild) Latest(_ context.Context, channels []storage.ChannelID) ([]storage.Position, error) {
	defer w.begin("latest")()
	return w.Store.Latest(context.Background(), channels)
}

func (w *wild) Delete(_ context.Context, ch storage.ChannelID) error {
	defer w.begin("delete")()
	return w.Store.Delete(context.Background(), ch)
}

func (w *wild) Join(_ context.Context, ch storage.ChannelID, conn storage.Connection, m storage.Member, opts storage.JoinOptions) (storage.Joined, error) {
	defer w.begin("join")()
	return w.Store.Join(context.Background(), ch, conn, m, opts)
}

func (w *wild) Leave(_ context.Context, ch storage.ChannelID, conn storage.Connection) (storage.Departure, error) {
	defer w.begin("leave")()
	return w.Store.Leave(context.Background(), ch, conn)
}

func (w *wild) Members(_ context.Context, ch storage.ChannelID) (storage.Roster, error) {
	defer w.begin("members")()
	return w.Store.Members(context.Background(), ch)
}

func (w *wild) Counts(_ context.Context, channels []storage.ChannelID) ([]storage.Count, error) {
	defer w.begin("count")()
	return w.Store.Counts(context.Background(), channels)
}

func (w *wild) AreMembers(_ context.Context, ch storage.ChannelID, userIDs []string) ([]bool, error) {
	defer w.begin("are members")()
	return w.Store.AreMembers(context.Background(), ch, userIDs)
}

func (w *wild) LastSeen(_ context.Context, ch storage.ChannelID, userIDs []string) ([]time.Time, error) {
	defer w.begin("last seen")()
	return w.Store.LastSeen(context.Background(), ch, userIDs)
}

// wildKit starts a broker on a wild store that keeps events.
func wildKit(t *testing.T, opts ...broker.Option) (*wild, *brokertest.Kit) {
	store := newWild()
	return store, brokertest.New(t, append([]broker.Option{keeping(10), broker.WithHistory(store), broker.WithPresence(store),
		broker.WithLogger(slog.New(slog.DiscardHandler))}, opts...)...)
}

// asked has one operation of the broker for each call of a store.
func asked(kit *brokertest.Kit, s *broker.Session) map[string]func(context.Context) error {
	join := func(channel string) func(context.Context) error {
		return func(ctx context.Context) error {
			return s.Subscribe(ctx, broker.SubscribeRequest{Channel: channel, Authorized: true, Member: &broker.Member{UserID: "ann"}})
		}
	}
	return map[string]func(context.Context) error{
		"append": func(ctx context.Context) error {
			_, err := kit.App.Publish(ctx, "room", "message", []byte("1"))
			return err
		},
		"read": func(ctx context.Context) error {
			for _, err := range kit.App.History(ctx, "room") {
				return err
			}
			return nil
		},
		"latest":      func(ctx context.Context) error { _, err := kit.App.Latest(ctx, "room"); return err },
		"delete":      func(ctx context.Context) error { return kit.App.DeleteHistory(ctx, "room") },
		"join":        join("presence-a"),
		"members":     func(ctx context.Context) error { _, err := kit.App.Members(ctx, "presence-b"); return err },
		"count":       func(ctx context.Context) error { _, err := kit.App.Channel(ctx, "presence-c"); return err },
		"are members": func(ctx context.Context) error { _, err := kit.App.IsOnline(ctx, "ann"); return err },
		"last seen":   func(ctx context.Context) error { _, err := kit.App.LastSeen(ctx, "ann"); return err },
	}
}

func TestAStoreThatPanicsFails(t *testing.T) {
	for op := range asked(nil, nil) {
		t.Run(op, func(t *testing.T) {
			var log bytes.Buffer
			store, kit := wildKit(t, broker.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
			ann := kit.Connect(t)
			do := asked(kit, kit.Broker.Session(ann.SocketID()))[op]
			store.set(func(called string) {
				if called == op {
					panic("wild " + op)
				}
			})
			err := do(t.Context())
			require.ErrorContains(t, err, "panic: wild "+op)
			assert.EqualValues(t, 1, kit.Broker.Stats().StorePanics)
			assert.Contains(t, log.String(), "store_test.go", "the stack")
			assert.Equal(t, op == "append", errors.Is(err, storage.ErrOutcomeUnknown))
			store.set(nil)
			require.NoError(t, do(t.Context()))
			ann.Close()
			assert.Zero(t, kit.Broker.Stats().Channels)
		})
	}
}

func TestAStoreThatPanicsInATimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := 0
		store, kit := wildKit(t, broker.WithHooks(broker.Hooks{MemberLeft: func(context.Context, broker.MemberChange) { left++ }}),
			broker.WithChannelRules(broker.ChannelRule{Pattern: "*", LeaveGrace: time.Second}))
		ann := kit.Connect(t)
		ann.SubscribeAs("presence-a", "ann", "")
		ann.SignIn("ann")
		store.set(func(string) { panic("store of the test") })
		ann.Close()
		assert.Zero(t, kit.Broker.Stats().Sessions)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.EqualValues(t, 2, kit.Broker.Stats().StorePanics, "the sign-out, and the end of the grace")
		store.set(nil)
		time.Sleep(presence.RetryLeave)
		synctest.Wait()
		assert.Equal(t, 1, left)
	})
}

func TestAStoreThatHangsFails(t *testing.T) {
	for op := range asked(nil, nil) {
		for limit, opts := range map[time.Duration][]broker.Option{
			broker.DefaultStoreTimeout: nil,
			time.Second:                {broker.WithStoreTimeout(time.Second)},
		} {
			t.Run(fmt.Sprint(op, " for ", limit), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { hang(t, op, limit, opts) })
			})
		}
	}
}

func hang(t *testing.T, op string, limit time.Duration, opts []broker.Option) {
	store, kit := wildKit(t, opts...)
	ann := kit.Connect(t)
	do := asked(kit, kit.Broker.Session(ann.SocketID()))[op]
	release := make(chan struct{})
	store.set(func(called string) {
		if called == op {
			<-release
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	start := time.Now()
	require.ErrorIs(t, do(ctx), context.DeadlineExceeded)
	assert.Equal(t, time.Millisecond, time.Since(start))
	assert.Zero(t, kit.Broker.Stats().StoreErrors, "the caller has gone")

	time.Sleep(3 * presence.RetryLeave / 2) // a join is being undone now and then, but not now
	before := kit.Broker.Stats()
	start = time.Now()
	err := do(t.Context())
	assert.Equal(t, limit, time.Since(start))
	var late *broker.StoreTimeoutError
	require.ErrorAs(t, err, &late)
	assert.Equal(t, limit, late.Limit)
	assert.Equal(t, op == "append", errors.Is(err, storage.ErrOutcomeUnknown))
	stats := kit.Broker.Stats()
	assert.Equal(t, before.StoreErrors+1, stats.StoreErrors)
	assert.Greater(t, stats.StoreTimeouts, before.StoreTimeouts)

	store.set(nil)
	close(release)
	time.Sleep(2 * presence.RetryLeave)
	info, err := kit.App.Channel(t.Context(), "presence-a")
	require.NoError(t, err)
	assert.Zero(t, info.UserCount, "a join that was given up is undone, however late it came")
	require.NoError(t, do(t.Context()))
}

func TestARetryOfAnAppendThatHungGetsTheFirstPosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, kit := wildKit(t)
		ann := kit.Connect(t)
		ann.Subscribe("room")
		send := func() (broker.Published, error) {
			return kit.App.Publish(t.Context(), "room", "message", []byte("1"), broker.IdempotencyKey("k"))
		}
		release := make(chan struct{})
		store.after = func(string) { <-release }
		_, err := send()
		require.ErrorIs(t, err, storage.ErrOutcomeUnknown)
		store.set(nil)
		close(release)
		done, err := send()
		require.NoError(t, err)
		assert.EqualValues(t, 1, done.Position.Offset)
		assert.Equal(t, "1", ann.Expect("message", "room").Data)
		again, err := send()
		require.NoError(t, err)
		assert.Equal(t, broker.Published{ID: done.ID, Position: done.Position, Duplicate: true}, again)
		ann.ExpectNothing()
	})
}

func TestTheEndOfItsContextEndsASubscriptionThatWaitsForItsPast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, kit := wildKit(t)
		release := make(chan struct{})
		store.set(func(op string) {
			if op == "read" {
				<-release
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		publish(t, kit.App, "room", 1, 1)
		go publish(t, kit.App, "room", 2, 2)
		_, err := kit.App.Subscribe(ctx, "room", broker.WithRewind(1))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Zero(t, kit.Broker.Stats().InProcessSubscriptions)
		close(release)
	})
}

// Clients that have gone are not held by what they have asked for.
func TestASessionDoesNotOutliveItsConnectionForAStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, kit := wildKit(t)
		kit.Config.MaxConnections = 1
		session := kit.Broker.Session(kit.Connect(t).SocketID())
		release := make(chan struct{})
		for _, op := range []string{"join"} {
			do := asked(kit, session)[op]
			store.set(func(called string) {
				if called == op {
					<-release
				}
			})
			failed := make(chan error)
			go func() { failed <- do(session.Context()) }()
			time.Sleep(time.Second)
			start := time.Now()
			session.Gone()
			require.ErrorIs(t, <-failed, context.Canceled)
			session.End(1006)
			assert.Zero(t, time.Since(start))
			session = kit.Broker.Session(kit.Connect(t).SocketID())
		}
		store.set(nil)
		close(release)
		synctest.Wait()
		for _, channel := range []string{"presence-a"} {
			members, err := kit.App.Members(t.Context(), channel)
			require.NoError(t, err)
			assert.Empty(t, members)
		}
	})
}

// However many members leave a store that hangs, each of their sessions is held for
// one call at most, and all are gone when it works again.
func TestMembersLeaveAStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const members, channels = 20, 5
		var mu sync.Mutex
		left := map[string]int{}
		store, kit := wildKit(t, broker.WithHooks(broker.Hooks{MemberLeft: func(_ context.Context, c broker.MemberChange) {
			mu.Lock()
			defer mu.Unlock()
			left[c.Channel]++
		}}))
		var clients []*brokertest.Client
		for i := range members {
			c := kit.Connect(t)
			for j := range channels {
				c.SubscribeAs(fmt.Sprint("presence-", j), fmt.Sprint("user", i), "")
			}
			clients = append(clients, c)
		}
		release := make(chan struct{})
		store.set(func(string) { <-release })
		start := time.Now()
		var ending sync.WaitGroup
		for _, c := range clients {
			ending.Go(c.Close)
		}
		ending.Wait()
		assert.Equal(t, broker.DefaultStoreTimeout, time.Since(start))
		assert.Zero(t, kit.Broker.Stats().Channels)
		store.set(nil)
		close(release)
		time.Sleep(2 * presence.RetryLeave)
		synctest.Wait()
		for j := range channels {
			assert.Equal(t, members, left[fmt.Sprint("presence-", j)])
		}
	})
}
