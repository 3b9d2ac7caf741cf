package presence_test

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/presence"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
)

// failing is a store whose calls fail where an error is set.
type failing struct {
	storage.Presence
	join, answer, leave, areMembers error // answer comes once a join has happened
}

func (f *failing) Join(ctx context.Context, ch storage.ChannelID, conn storage.Connection, m storage.Member, opts storage.JoinOptions) (storage.Joined, error) {
	if f.join != nil {
		return storage.Joined{}, f.join
	}
	joined, err := f.Presence.Join(ctx, ch, conn, m, opts)
	if err == nil && f.answer != nil {
		return storage.Joined{}, f.answer
	}
	return joined, err
}

func (f *failing) Leave(ctx context.Context, ch storage.ChannelID, conn storage.Connection) (storage.Departure, error) {
	if f.leave != nil {
		return storage.Departure{}, f.leave
	}
	return f.Presence.Leave(ctx, ch, conn)
}

func (f *failing) AreMembers(ctx context.Context, ch storage.ChannelID, userIDs []string) ([]bool, error) {
	if f.areMembers != nil {
		return nil, f.areMembers
	}
	return f.Presence.AreMembers(ctx, ch, userIDs)
}

// keepsAll is a store which nobody can leave while it is broken.
type keepsAll struct {
	storage.Presence
	broken atomic.Bool
}

func (k *keepsAll) Leave(ctx context.Context, ch storage.ChannelID, conn storage.Connection) (storage.Departure, error) {
	if k.broken.Load() {
		return storage.Departure{}, errors.New("broken")
	}
	return k.Presence.Leave(ctx, ch, conn)
}

func TestLeaveIsTriedAgain(t *testing.T) {
	for _, grace := range []time.Duration{0, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			store := &keepsAll{Presence: memory.New()}
			tracker := presence.NewTracker(store, "node")
			var j journal
			for _, conn := range []string{"ann", "bob", "cleo"} {
				j.join(t, tracker, conn, conn)
			}
			store.broken.Store(true)
			tracker.Leave(t.Context(), room, "ann", "ann", grace, j.left)
			time.Sleep(grace + 5*presence.RetryLeave/2)
			synctest.Wait()
			assert.Equal(t, []string{"+ann", "+bob", "+cleo", "error"}, j.all(), "further errors are not told")
			store.broken.Store(false)
			time.Sleep(presence.RetryLeave)
			synctest.Wait()
			assert.Equal(t, []string{"+ann", "+bob", "+cleo", "error", "-ann"}, j.all())

			store.broken.Store(true)
			tracker.Leave(t.Context(), room, "bob", "bob", 0, j.left)
			tracker.Leave(t.Context(), room, "cleo", "cleo", 0, j.left)
			store.broken.Store(false)
			j.join(t, tracker, "cleo", "cleo")
			tracker.Close(t.Context())
			assert.Equal(t, []string{"error", "error", "-bob"}, j.all()[5:], "cleo has returned, and Close waits for nobody")
		})
	}
}

// hanging is a store that does not come back from joins to one channel, and from
// leaves.
type hanging struct {
	storage.Presence
	channel storage.ChannelID
	release chan struct{}
}

func (h *hanging) Join(ctx context.Context, ch storage.ChannelID, conn storage.Connection, m storage.Member, opts storage.JoinOptions) (storage.Joined, error) {
	if ch == h.channel {
		<-h.release
	}
	return h.Presence.Join(ctx, ch, conn, m, opts)
}

func (h *hanging) Leave(ctx context.Context, ch storage.ChannelID, conn storage.Connection) (storage.Departure, error) {
	if ch == h.channel {
		<-h.release
	}
	return h.Presence.Leave(ctx, ch, conn)
}

func TestALeaveThatHangsDoesNotHoldUpCloseElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &hanging{Presence: memory.New(), release: make(chan struct{})}
		tracker := presence.NewTracker(store, "node")
		var j journal
		for i := range 200 {
			ch := storage.ChannelID{App: "app", Name: "presence-" + strconv.Itoa(i)}
			require.NoError(t, tracker.Join(t.Context(), ch, "1", presence.Member{UserID: "ann"}, 0, j.joined("ann")))
			tracker.Leave(t.Context(), ch, "ann", "1", time.Hour, j.left)
			store.channel = ch
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			tracker.Close(t.Context())
		}()
		synctest.Wait()
		assert.Len(t, j.all(), 200+199)
		close(store.release)
		<-done
		assert.Len(t, j.all(), 200+200)
	})
}

func TestAJoinThatHangsHoldsUpOnlyItsChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &hanging{Presence: memory.New(), channel: room, release: make(chan struct{})}
		tracker := presence.NewTracker(store, "node")
		var j journal
		done := make(chan struct{})
		go func() {
			defer close(done)
			j.join(t, tracker, "1", "ann")
		}()
		synctest.Wait()
		// Enough to find any lock that several channels share.
		for i := range 2000 {
			ch := storage.ChannelID{App: "app", Name: "presence-" + strconv.Itoa(i)}
			require.NoError(t, tracker.Join(t.Context(), ch, "2", presence.Member{UserID: "bob"}, 0, j.joined("bob")))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := tracker.Join(ctx, room, "3", presence.Member{UserID: "eve"}, 0, j.joined("eve"))
		require.ErrorIs(t, err, context.DeadlineExceeded, "who waits for the channel gives up with its context")
		close(store.release)
		<-done
		assert.Len(t, j.all(), 2001)
	})
}

// halfway is a store whose joins fail although they have happened.
type halfway struct {
	keepsAll
	joins atomic.Bool
}

func (h *halfway) Join(ctx context.Context, ch storage.ChannelID, conn storage.Connection, m storage.Member, opts storage.JoinOptions) (storage.Joined, error) {
	joined, err := h.keepsAll.Join(ctx, ch, conn, m, opts)
	if err == nil && h.joins.Load() {
		return storage.Joined{}, errors.New("halfway")
	}
	return joined, err
}

func TestAJoinThatFailedHalfwayIsUndone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &halfway{keepsAll: keepsAll{Presence: memory.New()}}
		tracker := presence.NewTracker(store, "node")
		var j journal
		fail := func() {
			t.Helper()
			store.joins.Store(true)
			err := tracker.Join(t.Context(), room, "1", presence.Member{UserID: "ann"}, 0, j.joined("ann"))
			require.Error(t, err)
			store.joins.Store(false)
		}
		count := func() int {
			n, err := tracker.Counts(t.Context(), []storage.ChannelID{room})
			require.NoError(t, err)
			return n[0]
		}
		fail()
		assert.Zero(t, count())
		j.join(t, tracker, "1", "ann")
		tracker.Leave(t.Context(), room, "ann", "1", 0, j.left)
		assert.Equal(t, []string{"+ann", "-ann"}, j.all(), "the second join is the first that was told")

		store.broken.Store(true)
		fail()
		assert.Equal(t, 1, count())
		err := tracker.Join(t.Context(), room, "1", presence.Member{UserID: "ann"}, 0, j.joined("ann"))
		require.ErrorContains(t, err, "broken", "who is there by mistake cannot be told as new")
		store.broken.Store(false)
		j.join(t, tracker, "1", "ann")
		time.Sleep(2 * presence.RetryLeave)
		assert.Equal(t, []string{"+ann", "-ann", "+ann"}, j.all(), "who has joined again stays")
		tracker.Leave(t.Context(), room, "ann", "1", 0, j.left)

		store.broken.Store(true)
		fail()
		store.broken.Store(false)
		time.Sleep(2 * presence.RetryLeave)
		assert.Zero(t, count())
		assert.Equal(t, []string{"+ann", "-ann", "+ann", "-ann"}, j.all(), "nobody heard of the join, and nobody hears of its end")
		tracker.Close(t.Context())
	})
}

// halfLeft is a store whose leaves fail although they have happened.
type halfLeft struct {
	storage.Presence
	broken atomic.Bool
}

func (h *halfLeft) Leave(ctx context.Context, ch storage.ChannelID, conn storage.Connection) (storage.Departure, error) {
	d, err := h.Presence.Leave(ctx, ch, conn)
	if h.broken.Load() {
		return storage.Departure{}, errors.New("halfway")
	}
	return d, err
}

func TestALeaveThatFailedHalfwayIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &halfLeft{Presence: memory.New()}
		tracker := presence.NewTracker(store, "node")
		var j journal
		j.join(t, tracker, "1", "ann")
		j.join(t, tracker, "2", "bob")
		j.join(t, tracker, "3", "bob")
		j.join(t, tracker, "4", "cleo")
		j.join(t, tracker, "5", "cleo")
		store.broken.Store(true)
		tracker.Leave(t.Context(), room, "ann", "1", 0, j.left)
		tracker.Leave(t.Context(), room, "bob", "2", 0, j.left)
		tracker.Leave(t.Context(), room, "cleo", "4", 0, j.left)
		store.broken.Store(false)
		tracker.Leave(t.Context(), room, "cleo", "5", 0, j.left)
		before := len(j.all())
		time.Sleep(2 * presence.RetryLeave)
		assert.Equal(t, []string{"-ann"}, j.all()[before:], "bob is still there, and of cleo all were told")
		tracker.Close(t.Context())
	})
}

func TestErrorsOfTheStoreAreReported(t *testing.T) {
	broken, worse := errors.New("broken"), errors.New("worse")
	store := &failing{Presence: memory.New()}
	tracker := presence.NewTracker(store, "node")
	join := func() error {
		return tracker.Join(t.Context(), room, "1", presence.Member{UserID: "ann"}, 0, func(bool, []presence.Member) error { t.Error("joined"); return nil })
	}
	store.join = broken
	require.ErrorIs(t, join(), broken)
	store.join, store.answer = nil, broken
	require.ErrorIs(t, join(), broken)
	n, err := tracker.Counts(t.Context(), []storage.ChannelID{room})
	require.NoError(t, err)
	assert.Zero(t, n[0], "a join that failed is undone")

	store.leave = worse
	err = join()
	require.ErrorIs(t, err, broken)
	require.ErrorIs(t, err, worse, "that it could not be undone is reported as well")
	tracker.Leave(t.Context(), room, "ann", "1", 0, func(_ presence.Departure, err error) { assert.ErrorIs(t, err, worse) })

	store.areMembers = broken
	_, _, err = tracker.Online(t.Context(), "app", []string{"ann"})
	require.ErrorIs(t, err, broken)
}
