package presence_test

import (
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/presence"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
)

var (
	room   = storage.ChannelID{App: "app", Name: "presence-room"}
	online = storage.ChannelID{App: "app"}
)

// journal notes what a tracker tells its caller.
type journal struct {
	mu    sync.Mutex
	lines []string // guarded by mu
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.lines...)
}

func (j *journal) joined(userID string) func(bool, []presence.Member) error {
	return func(first bool, _ []presence.Member) error {
		if first {
			j.add("+" + userID)
		}
		return nil
	}
}

func (j *journal) left(d presence.Departure, err error) {
	switch {
	case err != nil:
		j.add("error")
	case d.Last:
		j.add("-" + d.Member.UserID)
	}
}

func (j *journal) join(t *testing.T, tracker *presence.Tracker, conn, userID string) {
	t.Helper()
	require.NoError(t, tracker.Join(t.Context(), room, conn, presence.Member{UserID: userID}, 0, j.joined(userID)))
}

func TestJoinAndLeave(t *testing.T) {
	tracker := presence.NewTracker(memory.New(), "node")
	var got []string
	join := func(ch storage.ChannelID, conn, userID string) {
		err := tracker.Join(t.Context(), ch, conn, presence.Member{UserID: userID}, 2, func(first bool, members []presence.Member) error {
			line := strconv.FormatBool(first)
			for _, m := range members {
				line += " " + m.UserID
			}
			got = append(got, line)
			return nil
		})
		require.NoError(t, err)
	}
	leave := func(ch storage.ChannelID, conn, userID string) (out presence.Departure) {
		called := 0
		tracker.Leave(t.Context(), ch, userID, conn, 0, func(d presence.Departure, err error) {
			require.NoError(t, err)
			out = d
			called++
		})
		require.Equal(t, 1, called)
		return out
	}
	join(room, "1", "ann")
	join(room, "2", "ann")
	join(room, "3", "bob")
	join(online, "1", "ann")
	assert.Equal(t, []string{"true ann", "false ann", "true ann bob", "true"}, got, "the users online are not listed")

	n, err := tracker.Counts(t.Context(), []storage.ChannelID{room})
	require.NoError(t, err)
	assert.Equal(t, 2, n[0])
	err = tracker.Join(t.Context(), room, "4", presence.Member{UserID: "eve"}, 2, func(bool, []presence.Member) error { t.Error("joined"); return nil })
	require.ErrorIs(t, err, storage.ErrMemberLimit)

	assert.False(t, leave(room, "1", "ann").Last)
	assert.True(t, leave(room, "2", "ann").Last)
	assert.Zero(t, leave(room, "2", "ann"))
	assert.True(t, leave(online, "1", "ann").Last)
	members, err := tracker.Members(t.Context(), room)
	require.NoError(t, err)
	assert.Equal(t, []presence.Member{{UserID: "bob"}}, members)
	tracker.Close(t.Context())
}

func TestOnlineAndLastSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracker := presence.NewTracker(memory.New(), "node")
		for _, id := range []string{"ann", "bob"} {
			require.NoError(t, tracker.Join(t.Context(), online, id+"'s", presence.Member{UserID: id}, 0, func(bool, []presence.Member) error { return nil }))
		}
		time.Sleep(time.Minute)
		left := time.Now()
		tracker.Leave(t.Context(), online, "bob", "bob's", 0, func(_ presence.Departure, err error) { require.NoError(t, err) })
		time.Sleep(time.Minute)

		is, not, err := tracker.Online(t.Context(), "app", []string{"eve", "ann", "bob", "ann"})
		require.NoError(t, err)
		assert.Equal(t, []string{"ann", "ann"}, is)
		assert.Equal(t, []string{"eve", "bob"}, not)
		is, _, err = tracker.Online(t.Context(), "other", []string{"ann"})
		require.NoError(t, err)
		assert.Empty(t, is, "apps are apart")

		for id, want := range map[string]time.Time{"ann": {}, "bob": left, "eve": {}} {
			seen, err := tracker.LastSeen(t.Context(), online, id)
			require.NoError(t, err)
			assert.True(t, want.Equal(seen), "%s was last seen at %v", id, seen)
		}
	})
}

func TestReturnWithinGraceIsNoDeparture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		tracker := presence.NewTracker(memory.New(), "node")
		j.join(t, tracker, "1", "ann")
		tracker.Leave(t.Context(), room, "ann", "1", 10*time.Second, j.left)
		time.Sleep(9 * time.Second)
		j.join(t, tracker, "2", "ann")
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"+ann"}, j.all())

		tracker.Leave(t.Context(), room, "ann", "2", 10*time.Second, j.left)
		time.Sleep(9 * time.Second)
		synctest.Wait()
		assert.Equal(t, []string{"+ann"}, j.all(), "the grace is not over")
		time.Sleep(2 * time.Second)
		assert.Equal(t, []string{"+ann", "-ann"}, j.all())
		j.join(t, tracker, "3", "ann")
		assert.Equal(t, []string{"+ann", "-ann", "+ann"}, j.all())
		tracker.Close(t.Context())
	})
}

func TestConnectionThatReturnsWithinGraceStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		tracker := presence.NewTracker(memory.New(), "node")
		j.join(t, tracker, "1", "ann")
		tracker.Leave(t.Context(), room, "ann", "1", 10*time.Second, j.left)
		time.Sleep(5 * time.Second)
		j.join(t, tracker, "1", "ann")
		time.Sleep(time.Minute)
		n, err := tracker.Counts(t.Context(), []storage.ChannelID{room})
		require.NoError(t, err)
		assert.Equal(t, 1, n[0])

		// The grace is that of the latest departure, and there is one only.
		tracker.Leave(t.Context(), room, "ann", "1", 10*time.Second, j.left)
		tracker.Leave(t.Context(), room, "ann", "1", 10*time.Second, j.left)
		time.Sleep(11 * time.Second)
		assert.Equal(t, []string{"+ann", "-ann"}, j.all())
		tracker.Close(t.Context())
	})
}

func TestCloseCarriesOutPendingLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		tracker := presence.NewTracker(memory.New(), "node")
		for i := range 10 {
			id := strconv.Itoa(i)
			j.join(t, tracker, id, id)
			tracker.Leave(t.Context(), room, id, id, time.Hour, j.left)
		}
		start := time.Now()
		tracker.Close(t.Context())
		assert.Zero(t, time.Since(start), "Close waits for no grace")
		assert.Len(t, j.all(), 20)
		n, err := tracker.Counts(t.Context(), []storage.ChannelID{room})
		require.NoError(t, err)
		assert.Zero(t, n[0])

		j.join(t, tracker, "late", "late")
		tracker.Leave(t.Context(), room, "late", "late", time.Hour, j.left)
		assert.Equal(t, []string{"+late", "-late"}, j.all()[20:], "after Close a leave has no grace")
		tracker.Close(t.Context())
	})
}

// Close comes while the graces are ending: each leave is carried out once.
func TestCloseWhileGracesEnd(t *testing.T) {
	var j journal
	tracker := presence.NewTracker(memory.New(), "node")
	for i := range 200 {
		id := strconv.Itoa(i)
		j.join(t, tracker, id, id)
		tracker.Leave(t.Context(), room, id, id, time.Duration(i)*time.Microsecond+1, j.left)
	}
	tracker.Close(t.Context())
	assert.Len(t, j.all(), 400)
}

// Several users come and go at once: what the tracker tells for each of them is
// one join and one leave by turns.
func TestChangesAreToldInTheirOrder(t *testing.T) {
	const users, tabs, each = 4, 3, 50
	var j journal
	var inside int // not locked: the order of the channel guards it
	tracker := presence.NewTracker(memory.New(), "node")
	var wg sync.WaitGroup
	for u := range users {
		userID := strconv.Itoa(u)
		for tab := range tabs {
			conn := userID + "." + strconv.Itoa(tab)
			wg.Go(func() {
				for i := range each {
					err := tracker.Join(t.Context(), room, conn, presence.Member{UserID: userID}, 0, func(first bool, members []presence.Member) error {
						if first {
							inside++
						}
						assert.Len(t, members, inside, "members at the moment of the join")
						return j.joined(userID)(first, members)
					})
					assert.NoError(t, err)
					tracker.Leave(t.Context(), room, userID, conn, time.Duration(i%2)*time.Microsecond, func(d presence.Departure, err error) {
						if d.Last {
							inside--
						}
						j.left(d, err)
					})
				}
			})
		}
	}
	wg.Wait()
	tracker.Close(t.Context())
	assert.Zero(t, inside)
	in := make(map[string]bool)
	for _, line := range j.all() {
		join, userID := line[0] == '+', line[1:]
		require.NotEqual(t, in[userID], join, "%s was told twice in a row", line)
		in[userID] = join
	}
}

func TestJoinThatIsNotWantedLeavesNothingBehind(t *testing.T) {
	tracker := presence.NewTracker(memory.New(), "node")
	refused := errors.New("refused")
	var j journal
	j.join(t, tracker, "1", "ann")
	for _, userID := range []string{"ann", "bob"} {
		err := tracker.Join(t.Context(), room, "2", presence.Member{UserID: userID}, 0, func(bool, []presence.Member) error { return refused })
		require.ErrorIs(t, err, refused)
	}
	members, err := tracker.Members(t.Context(), room)
	require.NoError(t, err)
	assert.Equal(t, []presence.Member{{UserID: "ann"}}, members)
	j.join(t, tracker, "3", "bob")
	assert.Equal(t, []string{"+ann", "+bob"}, j.all())
}
