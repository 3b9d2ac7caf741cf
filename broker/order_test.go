package broker_test

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/internal/cursor"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
	"github.com/carillon-rt/carillon/storage/storagetest"
)

// ordered runs a test in a bubble, with a broker that keeps n events in a store
// which fails as told.
func ordered(t *testing.T, n int, decide func(storagetest.Call) storagetest.Fault, test func(*testing.T, *brokertest.Kit)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store := storagetest.NewFaults(memory.New(), decide)
		kit := brokertest.New(t, keeping(n), broker.WithHistory(store), broker.WithLogger(slog.New(slog.DiscardHandler)))
		test(t, kit)
		time.Sleep(time.Minute) // what hangs is left behind by then
		store.Close()
	})
}

// nth is a fault of the n-th call of an operation.
func nth(op storagetest.Op, n int, fault storagetest.Fault) func(storagetest.Call) storagetest.Fault {
	return func(c storagetest.Call) storagetest.Fault {
		if c.Op == op && c.N == n {
			return fault
		}
		return storagetest.Fault{}
	}
}

// follower is an in-process subscription and what it has got: the data of events,
// and "gap".
type follower struct {
	mu  sync.Mutex
	got []string // guarded by mu
}

func follow(t *testing.T, app *broker.App, channel string, opts ...broker.SubscribeOption) *follower {
	f := &follower{}
	ctx, cancel := context.WithCancel(context.Background())
	sub, err := app.Subscribe(ctx, channel, opts...)
	require.NoError(t, err)
	var reading sync.WaitGroup
	reading.Go(func() {
		for ev, err := range sub.Events() {
			f.mu.Lock()
			switch {
			case err == nil:
				f.got = append(f.got, string(ev.Data))
			case assert.ErrorIs(t, err, storage.ErrGap):
				f.got = append(f.got, "gap")
			}
			f.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		cancel()
		reading.Wait()
	})
	return f
}

func (f *follower) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	require.Equal(t, want, f.got)
}

func say(app *broker.App, text string, opts ...broker.PublishOption) (broker.Published, error) {
	return app.Publish(context.Background(), "room", "message", []byte(text), opts...)
}

func mustSay(t *testing.T, app *broker.App, text string, opts ...broker.PublishOption) broker.Published {
	t.Helper()
	done, err := say(app, text, opts...)
	require.NoError(t, err)
	return done
}

// One append that hangs, although the store has the event, holds up nobody for long.
func TestAHoleIsClosedByReading(t *testing.T) {
	ordered(t, 100, nth(storagetest.OpAppend, 1, storagetest.Fault{Hang: true, Taken: true}), func(t *testing.T, kit *brokertest.Kit) {
		f := follow(t, kit.App, "room")
		start := time.Now()
		hung := make(chan error)
		go func() {
			_, err := say(kit.App, "1")
			hung <- err
		}()
		synctest.Wait()
		for i := 2; i < 200; i++ {
			mustSay(t, kit.App, strconv.Itoa(i))
		}
		assert.Less(t, time.Since(start), time.Second)
		var want []string
		for i := 1; i < 200; i++ {
			want = append(want, strconv.Itoa(i))
		}
		f.want(t, want...)
		require.ErrorIs(t, <-hung, storage.ErrOutcomeUnknown)
		f.want(t, want...)
	})
}

func TestWhoOpensAChannelKnowsWhereItStands(t *testing.T) {
	t.Run("the store says", func(t *testing.T) {
		ordered(t, 100, nth(storagetest.OpAppend, 2, storagetest.Fault{Hang: true, Taken: true}), func(t *testing.T, kit *brokertest.Kit) {
			mustSay(t, kit.App, "1")
			f := follow(t, kit.App, "room")
			go say(kit.App, "2")
			synctest.Wait()
			mustSay(t, kit.App, "3")
			f.want(t, "2", "3")
		})
	})
	t.Run("the store cannot say", func(t *testing.T) {
		ordered(t, 100, nth(storagetest.OpLatest, 1, storagetest.Fault{Err: assert.AnError}), func(t *testing.T, kit *brokertest.Kit) {
			ann := kit.Connect(t)
			ann.Subscribe("room")
			f := follow(t, kit.App, "room")
			mustSay(t, kit.App, "1")
			mustSay(t, kit.App, "2")
			f.want(t, "gap", "1", "2")
			assert.Equal(t, "1", ann.Expect("message", "room").Data, "who cannot be told of a gap goes on")
			assert.EqualValues(t, 1, kit.Broker.Stats().Gaps)
		})
	})
	t.Run("a publisher that found nobody looks again", func(t *testing.T) {
		ordered(t, 100, nth(storagetest.OpAppend, 1, storagetest.Fault{Wait: time.Second}), func(t *testing.T, kit *brokertest.Kit) {
			done := make(chan error)
			go func() {
				_, err := say(kit.App, "1")
				done <- err
			}()
			synctest.Wait()
			f := follow(t, kit.App, "room")
			require.NoError(t, <-done)
			f.want(t, "1")
		})
	})
}

// Who comes while an append is under way knows only of what was stored before.
func TestAPublisherThatFoundNobodyLooksAgain(t *testing.T) {
	slow := func(c storagetest.Call) storagetest.Fault {
		if c.Op == storagetest.OpAppend && c.N == 1 {
			return storagetest.Fault{Wait: time.Second}
		}
		return storagetest.Fault{}
	}
	ordered(t, 100, slow, func(t *testing.T, kit *brokertest.Kit) {
		done := make(chan error)
		go func() {
			_, err := say(kit.App, "1")
			done <- err
		}()
		synctest.Wait()
		f := follow(t, kit.App, "room")
		require.NoError(t, <-done)
		f.want(t, "1")
	})
}

func TestPublishReturnsOnceItsEventIsHandedOut(t *testing.T) {
	down := func(c storagetest.Call) storagetest.Fault {
		switch {
		case c.Op == storagetest.OpAppend && c.N == 1:
			return storagetest.Fault{Hang: true, Taken: true}
		case c.Op == storagetest.OpRead && c.N <= 3:
			return storagetest.Fault{Err: assert.AnError}
		}
		return storagetest.Fault{}
	}
	t.Run("whoever brings it", func(t *testing.T) {
		ordered(t, 100, down, func(t *testing.T, kit *brokertest.Kit) {
			f := follow(t, kit.App, "room")
			go say(kit.App, "1")
			synctest.Wait()
			mustSay(t, kit.App, "2")
			f.want(t, "1", "2")
		})
	})
	t.Run("or says that it is not", func(t *testing.T) {
		ordered(t, 100, down, func(t *testing.T, kit *brokertest.Kit) {
			f := follow(t, kit.App, "room")
			go say(kit.App, "1")
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
			defer cancel()
			done, err := kit.App.Publish(ctx, "room", "message", []byte("2"))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.EqualValues(t, 2, done.Position.Offset)
			f.want(t)
			time.Sleep(time.Second)
			f.want(t, "1", "2")
		})
	})
	t.Run("or that there is nobody left", func(t *testing.T) {
		ordered(t, 100, down, func(t *testing.T, kit *brokertest.Kit) {
			ann := kit.Connect(t)
			ann.Subscribe("room")
			go say(kit.App, "1")
			synctest.Wait()
			done := make(chan error)
			go func() {
				_, err := say(kit.App, "2")
				done <- err
			}()
			synctest.Wait()
			start := time.Now()
			ann.Unsubscribe("room")
			require.NoError(t, <-done)
			assert.Zero(t, time.Since(start))
		})
	})
	t.Run("or that it is in a gap, which is told first", func(t *testing.T) {
		store := memory.New()
		decide := func(c storagetest.Call) storagetest.Fault {
			switch {
			case c.Op == storagetest.OpAppend && c.N == 1:
				return storagetest.Fault{Hang: true, Taken: true}
			case c.Op == storagetest.OpRead && c.N == 1:
				_ = store.Delete(context.Background(), storage.ChannelID{App: "1", Name: "room"})
			}
			return storagetest.Fault{}
		}
		synctest.Test(t, func(t *testing.T) {
			kit := brokertest.New(t, keeping(100), broker.WithHistory(storagetest.NewFaults(store, decide)), broker.WithLogger(slog.New(slog.DiscardHandler)))
			f := follow(t, kit.App, "room")
			go say(kit.App, "1")
			synctest.Wait()
			mustSay(t, kit.App, "2")
			f.want(t, "gap", "2")
			mustSay(t, kit.App, "3")
			f.want(t, "gap", "2", "3")
			time.Sleep(time.Minute)
		})
	})
}

// A retry that finds its event stored hands it out, if nobody has.
func TestADuplicateAfterAnErrorBringsTheOriginal(t *testing.T) {
	down := true
	decide := func(c storagetest.Call) storagetest.Fault {
		switch {
		case c.Op == storagetest.OpAppend && c.N == 2:
			return storagetest.Fault{Err: assert.AnError, Taken: true}
		case c.Op == storagetest.OpRead && down:
			return storagetest.Fault{Err: assert.AnError}
		}
		return storagetest.Fault{}
	}
	ordered(t, 100, decide, func(t *testing.T, kit *brokertest.Kit) {
		bob := kit.Connect(t)
		bob.Subscribe("room")
		f := follow(t, kit.App, "room")
		mustSay(t, kit.App, "1")
		key := broker.IdempotencyKey("k")
		_, err := say(kit.App, "2", key, broker.Exclude(bob.SocketID()))
		require.ErrorIs(t, err, assert.AnError)
		f.want(t, "1")

		down = false
		done := mustSay(t, kit.App, "2", key)
		assert.True(t, done.Duplicate)
		assert.EqualValues(t, 2, done.Position.Offset)
		f.want(t, "1", "2")
		mustSay(t, kit.App, "2", key)
		mustSay(t, kit.App, "3")
		f.want(t, "1", "2", "3")
		assert.Equal(t, "1", bob.Expect("message", "room").Data)
		assert.Equal(t, "3", bob.Expect("message", "room").Data, "he was excluded from what the store had of the first try")
	})
}

// Where nothing is kept but a key, only the retry brings the event again.
func TestAKeyWithoutHistory(t *testing.T) {
	ordered(t, 0, nth(storagetest.OpAppend, 1, storagetest.Fault{Err: assert.AnError, Taken: true}), func(t *testing.T, kit *brokertest.Kit) {
		f := follow(t, kit.App, "room")
		key := broker.IdempotencyKey("k")
		_, err := say(kit.App, "1", key)
		require.ErrorIs(t, err, assert.AnError)
		f.want(t)
		mustSay(t, kit.App, "1", key)
		f.want(t, "1")
		assert.True(t, mustSay(t, kit.App, "1", key).Duplicate)
		f.want(t, "1")
		mustSay(t, kit.App, "2", broker.IdempotencyKey("other"))
		f.want(t, "1", "2")
	})
}

// What a history of one no longer shows is still there for those who have missed it
// by a moment.
func TestAShortHistoryMakesNoNeedlessGaps(t *testing.T) {
	ordered(t, 1, nth(storagetest.OpAppend, 1, storagetest.Fault{Hang: true, Taken: true}), func(t *testing.T, kit *brokertest.Kit) {
		f := follow(t, kit.App, "room")
		go say(kit.App, "1")
		synctest.Wait()
		for i := 2; i < 40; i++ {
			go say(kit.App, strconv.Itoa(i))
			synctest.Wait()
		}
		time.Sleep(time.Second)
		var want []string
		for i := 1; i < 40; i++ {
			want = append(want, strconv.Itoa(i))
		}
		f.want(t, want...)
	})
}

// An event that the store takes in after it has said no reaches those who are there,
// also if nobody publishes any more.
func TestAFailedAppendMayLandLate(t *testing.T) {
	for _, late := range []time.Duration{time.Millisecond, time.Second, 9 * time.Second} {
		t.Run(late.String(), func(t *testing.T) {
			ordered(t, 100, nth(storagetest.OpAppend, 2, storagetest.Fault{Err: assert.AnError, Late: late}), func(t *testing.T, kit *brokertest.Kit) {
				f := follow(t, kit.App, "room")
				mustSay(t, kit.App, "1")
				_, err := say(kit.App, "2")
				require.ErrorIs(t, err, assert.AnError)
				time.Sleep(late + 6*time.Second)
				f.want(t, "1", "2")
			})
		})
	}
}

// A read that failed, and was needed no longer when it was to be tried again, does not
// keep the store from being looked at after the next failure.
func TestALateAppendIsFoundAfterAReadThatFailed(t *testing.T) {
	faults := map[storagetest.Op]map[int]storagetest.Fault{
		storagetest.OpAppend: {1: {Hold: 5 * time.Millisecond}, 3: {Err: assert.AnError, Late: time.Second}},
		storagetest.OpRead:   {1: {Err: assert.AnError}},
	}
	ordered(t, 100, func(c storagetest.Call) storagetest.Fault { return faults[c.Op][c.N] }, func(t *testing.T, kit *brokertest.Kit) {
		f := follow(t, kit.App, "room")
		var first sync.WaitGroup
		first.Go(func() { mustSay(t, kit.App, "1") })
		synctest.Wait()
		mustSay(t, kit.App, "2") // waits for the first, which the store holds back
		first.Wait()
		time.Sleep(time.Second)
		f.want(t, "1", "2")
		_, err := say(kit.App, "3")
		require.ErrorIs(t, err, assert.AnError)
		time.Sleep(7 * time.Second)
		f.want(t, "1", "2", "3")
	})
}

// lagging answers reads as a copy of the store does that is behind.
type lagging struct {
	*memory.Store
	mu     sync.Mutex
	behind int // guarded by mu: how many reads are still answered so
}

func (l *lagging) Read(ctx context.Context, ch storage.ChannelID, opts storage.ReadOptions) (storage.Page, error) {
	l.mu.Lock()
	old := l.behind > 0
	l.behind--
	l.mu.Unlock()
	page, err := l.Store.Read(ctx, ch, opts)
	if !old || err != nil {
		return page, err
	}
	// The copy has not got the first event yet.
	first := storage.Position{Epoch: page.Latest.Epoch}
	if !opts.From.IsZero() && opts.From != first {
		return storage.Page{}, &storage.GapError{Channel: ch, From: opts.From, Latest: first}
	}
	return storage.Page{Latest: first}, nil
}

func TestAnOldAnswerDecidesNothing(t *testing.T) {
	for _, behind := range []int{1, 4} {
		t.Run(fmt.Sprint(behind, " reads"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &lagging{Store: memory.New()}
				hang := storagetest.NewFaults(store, nth(storagetest.OpAppend, 2, storagetest.Fault{Hang: true, Taken: true}))
				kit := brokertest.New(t, keeping(100), broker.WithHistory(hang), broker.WithLogger(slog.New(slog.DiscardHandler)))
				f := follow(t, kit.App, "room")
				mustSay(t, kit.App, "1")
				store.mu.Lock()
				store.behind = behind
				store.mu.Unlock()
				go say(kit.App, "2")
				synctest.Wait()
				mustSay(t, kit.App, "3")
				f.want(t, "1", "2", "3")

				// Nor does who comes now miss what the others have.
				store.mu.Lock()
				store.behind = behind
				store.mu.Unlock()
				late := follow(t, kit.App, "room", broker.WithRewind(10))
				late.want(t, "1", "2", "3")
				store.mu.Lock()
				store.behind = behind
				store.mu.Unlock()
				ann := kit.Connect(t)
				ann.Subscribe("room")
				mustSay(t, kit.App, "4")
				late.want(t, "1", "2", "3", "4")
				assert.Zero(t, kit.Broker.Stats().Gaps)
				time.Sleep(time.Minute)
			})
		})
	}
}

// More waits for a missing event than is held: the store has the rest.
func TestWhatOverflowsIsReadAgain(t *testing.T) {
	const n = cursor.MaxParked + 200
	decide := func(c storagetest.Call) storagetest.Fault {
		switch {
		case c.Op == storagetest.OpAppend && c.N == 1:
			return storagetest.Fault{Hang: true, Taken: true}
		case c.Op == storagetest.OpRead && c.N == 1:
			return storagetest.Fault{Hold: time.Second, Err: assert.AnError}
		}
		return storagetest.Fault{}
	}
	ordered(t, 2*n, decide, func(t *testing.T, kit *brokertest.Kit) {
		f := follow(t, kit.App, "room")
		go say(kit.App, "1")
		synctest.Wait()
		var publishers sync.WaitGroup
		for i := 2; i <= n; i++ {
			publishers.Go(func() { mustSay(t, kit.App, strconv.Itoa(i)) })
			synctest.Wait()
		}
		publishers.Wait()
		var want []string
		for i := 1; i <= n; i++ {
			want = append(want, strconv.Itoa(i))
		}
		f.want(t, want...)
	})
}

// What travels with an event is kept with it: whom it is kept from, whoever reads it.
func TestWhomAnEventIsKeptFromIsKeptWithIt(t *testing.T) {
	ordered(t, 100, nth(storagetest.OpAppend, 1, storagetest.Fault{Err: assert.AnError, Taken: true}), func(t *testing.T, kit *brokertest.Kit) {
		ann, bob := kit.Connect(t), kit.Connect(t)
		ann.Subscribe("room")
		bob.Subscribe("room")
		_, err := say(kit.App, "1", broker.Exclude(bob.SocketID()))
		require.ErrorIs(t, err, assert.AnError)
		synctest.Wait()
		assert.Equal(t, "1", ann.Expect("message", "room").Data)
		bob.ExpectNothing()
		mustSay(t, kit.App, "2")
		assert.Equal(t, "2", bob.Expect("message", "room").Data)
		for ev, err := range kit.App.History(t.Context(), "room") {
			require.NoError(t, err)
			assert.Empty(t, ev.Exclude)
		}
	})
}

// A store that was restored to an older copy has lost what its subscribers have.
func TestARestoreIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gaps []broker.ChannelChange
		kit := brokertest.New(t, keeping(100), broker.WithLogger(slog.New(slog.DiscardHandler)), broker.WithHistory(&restored{Store: memory.New(), after: 2}),
			broker.WithHooks(broker.Hooks{Gap: func(_ context.Context, c broker.ChannelChange) { gaps = append(gaps, c) }}))
		f := follow(t, kit.App, "room")
		mustSay(t, kit.App, "1")
		mustSay(t, kit.App, "2")
		mustSay(t, kit.App, "3")
		mustSay(t, kit.App, "4")
		f.want(t, "1", "2", "gap", "3", "4")
		require.Len(t, gaps, 1)
		assert.Equal(t, "room", gaps[0].Channel)
		assert.EqualValues(t, 1, kit.Broker.Stats().Gaps)
	})
}

// restored is a store that loses its events and is told of it, once.
type restored struct {
	*memory.Store
	after, n int
	epoch    storage.Epoch
}

func (r *restored) Append(ctx context.Context, ch storage.ChannelID, ev *storage.Event, opts storage.AppendOptions) (storage.Appended, error) {
	if r.n++; r.n == r.after+1 {
		r.Store = memory.New()
		// As a store does that was opened anew: time stands still in a bubble.
		opts.Floor = storage.Position{Epoch: storage.NewEpoch(r.epoch)}
	}
	out, err := r.Store.Append(ctx, ch, ev, opts)
	r.epoch = out.Position.Epoch
	return out, err
}

// Clients that come back all at once cost the store one read.
func TestWhoComesBackTogetherSharesTheRead(t *testing.T) {
	var reads, appends int
	var mu sync.Mutex
	decide := func(c storagetest.Call) storagetest.Fault {
		mu.Lock()
		defer mu.Unlock()
		switch c.Op {
		case storagetest.OpRead:
			reads++
			return storagetest.Fault{Hold: time.Second}
		case storagetest.OpAppend:
			appends++
		}
		return storagetest.Fault{}
	}
	ordered(t, 100, decide, func(t *testing.T, kit *brokertest.Kit) {
		var positions []broker.Position
		for i := range 10 {
			positions = append(positions, mustSay(t, kit.App, strconv.Itoa(i)).Position)
		}
		stays := follow(t, kit.App, "room")
		var coming sync.WaitGroup
		for i := range 300 {
			coming.Go(func() {
				f := follow(t, kit.App, "room", broker.After(positions[7+i%2]))
				f.mu.Lock()
				defer f.mu.Unlock()
			})
		}
		time.Sleep(500 * time.Millisecond)
		mustSay(t, kit.App, "10")
		coming.Wait()
		stays.want(t, "10")
		mu.Lock()
		defer mu.Unlock()
		// The first comes alone, and the others while it is being read for.
		assert.LessOrEqual(t, reads, 2)
	})
}
