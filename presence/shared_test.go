package presence_test

import (
	"context"
	"errors"
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

// sharing notes in a journal what a tracker tells of a shared store.
func (j *journal) sharing(store storage.Presence) presence.Sharing {
	watch, _ := store.(storage.WatchPresence)
	return presence.Sharing{
		Changed: func(c storage.PresenceChange) {
			if c.Joined {
				j.add("(+" + c.Member.UserID + ")")
			} else {
				j.add("(-" + c.Member.UserID + ")")
			}
		},
		Joined:   func(c storage.PresenceChange) { j.add("+" + c.Member.UserID) },
		Left:     func(d presence.Departure) { j.add("-" + d.Member.UserID) },
		Occupied: func(storage.ChannelID, bool) {},
		Watched:  func(string, string) bool { return true },
		Failed:   func(string, error) {},
		Watch:    watch,
	}
}

// leaseless is a store that leaves and renewals do not reach while it is broken.
type leaseless struct {
	*memory.Store
	broken atomic.Bool
}

func (l *leaseless) Leave(ctx context.Context, ch storage.ChannelID, conn storage.Connection) (storage.Departure, error) {
	if l.broken.Load() {
		return storage.Departure{}, errors.New("broken")
	}
	return l.Store.Leave(ctx, ch, conn)
}

func (l *leaseless) Renew(ctx context.Context, node string, lease time.Duration) (bool, error) {
	if l.broken.Load() {
		return false, errors.New("broken")
	}
	return l.Store.Renew(ctx, node, lease)
}

// Who wanted to leave while the store was out of reach, and whose lease has ended
// meanwhile, does not come back, and is told to have left once.
func TestWhoLeavesWhileTheLeaseEndsIsToldOnce(t *testing.T) {
	for _, back := range []time.Duration{5 * time.Second, 15 * time.Second, 21 * time.Second, 24 * time.Second, 28 * time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			store := &leaseless{Store: memory.New(memory.WithShared())}
			tracker := presence.NewTracker(store, "node")
			var j journal
			tracker.Share(j.sharing(store))
			j.join(t, tracker, "1", "ann")
			j.join(t, tracker, "2", "bob")
			synctest.Wait()
			store.broken.Store(true)
			tracker.Leave(t.Context(), room, "ann", "1", 0, j.left)
			assert.Equal(t, []string{"+ann", "+bob", "error"}, j.all())
			time.Sleep(back)
			store.broken.Store(false)
			time.Sleep(time.Minute)
			synctest.Wait()
			count := map[string]int{}
			for _, line := range j.all()[3:] {
				count[line]++
			}
			assert.Equal(t, 1, count["-ann"], "%v: %v", back, j.all())
			assert.Zero(t, count["+ann"], "%v: %v", back, j.all())
			assert.Equal(t, count["-bob"], count["+bob"], "%v: %v", back, j.all())
			members, err := tracker.Members(t.Context(), room)
			require.NoError(t, err)
			assert.Equal(t, []presence.Member{{UserID: "bob"}}, members)
			tracker.Close(t.Context())
		})
	}
}

// deaf hides that a store notifies.
type deaf struct{ storage.Presence }

// Ten thousand channels cost one look each second, not ten thousand.
func TestALookAsksForManyChannelsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &counting{Presence: memory.New(memory.WithShared())}
		here, there := presence.NewTracker(deaf{store}, "here"), presence.NewTracker(store.Presence, "there")
		var j, other journal
		here.Share(j.sharing(deaf{store}))
		there.Share(other.sharing(store.Presence))
		var channels []storage.ChannelID
		for i := range 2500 {
			ch := storage.ChannelID{App: "app", Name: "presence-" + string(rune('a'+i))}
			channels = append(channels, ch)
			require.NoError(t, here.Join(t.Context(), ch, "1", presence.Member{UserID: "ann"}, 0, j.joined("ann")))
		}
		synctest.Wait()
		time.Sleep(time.Second / 2)
		before := store.counts.Load()
		time.Sleep(10 * time.Second)
		assert.EqualValues(t, 3*10, store.counts.Load()-before)
		before = int64(len(j.all()))
		for _, ch := range channels[:3] {
			require.NoError(t, there.Join(t.Context(), ch, "2", presence.Member{UserID: "bob"}, 0, other.joined("bob")))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, []string{"(+bob)", "(+bob)", "(+bob)"}, j.all()[before:])
		here.Close(t.Context())
		there.Close(t.Context())
	})
}

// counting counts the looks at a store.
type counting struct {
	storage.Presence
	counts atomic.Int64
}

func (c *counting) Counts(ctx context.Context, channels []storage.ChannelID) ([]storage.Count, error) {
	c.counts.Add(1)
	return c.Presence.Counts(ctx, channels)
}

// unhelpful is a store whose joins and reports of changes fail as often as its
// fields say.
type unhelpful struct {
	*memory.Store
	joins, changes atomic.Int64
}

func (u *unhelpful) Join(ctx context.Context, ch storage.ChannelID, conn storage.Connection, m storage.Member, opts storage.JoinOptions) (storage.Joined, error) {
	if u.joins.Add(-1) >= 0 {
		return storage.Joined{}, errors.New("broken")
	}
	return u.Store.Join(ctx, ch, conn, m, opts)
}

func (u *unhelpful) Changes(ctx context.Context, ch storage.ChannelID, since storage.Position) ([]storage.PresenceChange, error) {
	if u.changes.Add(-1) >= 0 {
		return nil, errors.New("broken")
	}
	return u.Store.Changes(ctx, ch, since)
}

// What this node has told already is not told again when it learns what it had
// missed before.
func TestWhatIsToldIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &unhelpful{Store: memory.New(memory.WithShared())}
		here, there := presence.NewTracker(store, "here"), presence.NewTracker(store, "there")
		var j, other journal
		silent := j.sharing(store)
		silent.Watch = nil
		here.Share(silent)
		there.Share(other.sharing(store))
		synctest.Wait()
		j.join(t, here, "1", "ann")
		j.join(t, here, "2", "cleo")
		other.join(t, there, "3", "bob")
		store.changes.Store(1)
		here.Leave(t.Context(), room, "ann", "1", 0, j.left)
		assert.Equal(t, []string{"+ann", "+cleo", "-ann"}, j.all())
		time.Sleep(3 * time.Second)
		synctest.Wait()
		assert.Equal(t, []string{"+ann", "+cleo", "-ann", "(+bob)"}, j.all())
		here.Close(t.Context())
		there.Close(t.Context())
	})
}

func TestAllJoinAgainAfterTheLeaseHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &unhelpful{Store: memory.New(memory.WithShared())}
		tracker := presence.NewTracker(store, "node")
		var j journal
		tracker.Share(j.sharing(store))
		for _, id := range []string{"ann", "bob", "cleo"} {
			j.join(t, tracker, id, id)
		}
		synctest.Wait()
		// Somebody else finds the lease ended.
		_, err := store.Renew(t.Context(), "node", 0)
		require.NoError(t, err)
		departures, err := store.Expire(t.Context())
		require.NoError(t, err)
		require.Len(t, departures, 3)
		store.joins.Store(2)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.ElementsMatch(t, []string{"+ann", "+bob", "+cleo", "(-ann)", "(-bob)", "(-cleo)", "(+ann)", "(+bob)", "(+cleo)", "+ann", "+bob", "+cleo"}, j.all())
		members, err := tracker.Members(t.Context(), room)
		require.NoError(t, err)
		assert.Len(t, members, 3)
		tracker.Close(t.Context())
	})
}
