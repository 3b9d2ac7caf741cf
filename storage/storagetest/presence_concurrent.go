package storagetest

import (
	"errors"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

const callers = 16

// conns returns connections to several nodes.
func (t *presenceTest) conns(n int) []storage.Connection {
	conns := make([]storage.Connection, n)
	for i := range conns {
		conns[i] = t.conn(strconv.Itoa(i % 3))
	}
	return conns
}

func checkConcurrentJoins(t *presenceTest) {
	ch, conns := t.channel("presence-room"), t.conns(callers)
	var firsts atomic.Int64
	require.NoError(t, together(callers, func(i int) error {
		joined, err := t.store.Join(t.ctx, ch, conns[i], storage.Member{UserID: "ann"}, storage.JoinOptions{MaxMembers: 1})
		if joined.First {
			firsts.Add(1)
		}
		return err
	}))
	require.Equal(t, int64(1), firsts.Load(), "joins that were told to be the first")
	t.requireUsers(ch, "ann")
	for i, conn := range conns {
		t.leave(ch, conn, "ann", i == len(conns)-1)
	}
}

func checkConcurrentLeaves(t *presenceTest) {
	ch, conns := t.channel("presence-room"), t.conns(callers)
	for i, conn := range conns {
		t.join(ch, conn, "ann", i == 0)
	}
	var lasts, found atomic.Int64
	require.NoError(t, together(2*callers, func(i int) error {
		d, err := t.store.Leave(t.ctx, ch, conns[i%callers])
		if d.Last {
			lasts.Add(1)
		}
		if d.Member.UserID != "" {
			found.Add(1)
		}
		return err
	}))
	require.Equal(t, int64(1), lasts.Load(), "leaves that were told to be the last")
	require.Equal(t, int64(callers), found.Load(), "leaves that found the connection")
	t.requireUsers(ch)
}

func checkTurns(t *presenceTest) {
	ch, conns := t.channel("presence-room"), t.conns(callers)
	var firsts, lasts atomic.Int64
	require.NoError(t, together(callers, func(i int) error {
		for range 10 {
			joined, err := t.store.Join(t.ctx, ch, conns[i], storage.Member{UserID: "ann"}, storage.JoinOptions{})
			if err != nil {
				return err
			}
			if joined.First {
				firsts.Add(1)
			}
			d, err := t.store.Leave(t.ctx, ch, conns[i])
			if err != nil {
				return err
			}
			if d.Member.UserID == "" {
				return errors.New("a connection that had joined was not found")
			}
			if d.Last {
				lasts.Add(1)
			}
		}
		return nil
	}))
	require.Equal(t, firsts.Load(), lasts.Load(), "each first join is followed by one last leave")
	require.Positive(t, firsts.Load())
	t.requireUsers(ch)
}

func checkConcurrentLimit(t *presenceTest) {
	const limit = 5
	ch, conns := t.channel("presence-room"), t.conns(callers)
	var in atomic.Int64
	require.NoError(t, together(callers, func(i int) error {
		_, err := t.store.Join(t.ctx, ch, conns[i], storage.Member{UserID: strconv.Itoa(i)}, storage.JoinOptions{MaxMembers: limit})
		if errors.Is(err, storage.ErrMemberLimit) {
			return nil
		}
		in.Add(1)
		return err
	}))
	require.Equal(t, int64(limit), in.Load(), "joins that were let in")
	require.Len(t, t.members(ch), limit)
}

func checkConcurrentExpires(t *presenceTest) {
	room, online := t.channel("presence-room"), t.channel("")
	conns := t.conns(callers)
	var users []string
	for i, conn := range conns {
		id := strconv.Itoa(i)
		users = append(users, id)
		t.join(room, conn, id, true)
		t.join(online, conn, id, true)
	}
	for _, node := range []string{"0", "1", "2"} {
		t.renew(node, short)
	}
	var mu sync.Mutex
	var departures []storage.Departure
	t.clock.until(t, short, "departed with the end of the leases", func() bool {
		require.NoError(t, together(4, func(int) error {
			some, err := t.store.Expire(t.ctx)
			mu.Lock()
			defer mu.Unlock()
			departures = append(departures, t.own(some)...)
			return err
		}))
		return len(departures) >= 2*callers
	})
	requireDeparted(t, departures, room, users...)
	requireDeparted(t, departures, online, users...)
	t.requireUsers(room)
	t.requireUsers(online)
}

// checkLeaveOrExpire has connections that leave as their lease ends.
func checkLeaveOrExpire(t *presenceTest) {
	for range 10 {
		ch, conns := t.channel(unique("presence-room")), t.conns(callers)
		var users []string
		for i, conn := range conns {
			users = append(users, strconv.Itoa(i))
			t.join(ch, conn, users[i], true)
		}
		for _, node := range []string{"0", "1", "2"} {
			t.renew(node, 0)
		}
		var mu sync.Mutex
		var departures []storage.Departure
		departed := func(some ...storage.Departure) {
			mu.Lock()
			defer mu.Unlock()
			departures = append(departures, t.own(some)...)
		}
		var leaving atomic.Int64
		leaving.Store(callers)
		require.NoError(t, together(callers+2, func(i int) error {
			if i < callers {
				defer leaving.Add(-1)
				d, err := t.store.Leave(t.ctx, ch, conns[i])
				if d.Last {
					departed(d)
				}
				return err
			}
			// Not before the first has left, lest nobody is left to leave.
			for leaving.Load() == callers {
				runtime.Gosched()
			}
			for done := false; !done; runtime.Gosched() {
				done = leaving.Load() == 0
				some, err := t.store.Expire(t.ctx)
				if err != nil {
					return err
				}
				departed(some...)
			}
			return nil
		}))
		departures = append(departures, t.expire()...)
		requireDeparted(t, departures, ch, users...)
		t.requireUsers(ch)
	}
}

func checkPresenceContext(t *presenceTest) {
	ch, conn := t.channel("presence-room"), t.conn("a")
	t.join(ch, conn, "ann", true)
	t.renew("a", 0)
	for want, ctx := range doneContexts() {
		_, err := t.store.Join(ctx, ch, t.conn("b"), storage.Member{UserID: "bob"}, storage.JoinOptions{})
		require.ErrorIs(t, err, want, "Join")
		_, err = t.store.Leave(ctx, ch, conn)
		require.ErrorIs(t, err, want, "Leave")
		_, err = t.store.Members(ctx, ch)
		require.ErrorIs(t, err, want, "Members")
		_, err = t.store.Changes(ctx, ch, storage.Position{})
		require.ErrorIs(t, err, want, "Changes")
		_, err = t.store.Counts(ctx, []storage.ChannelID{ch})
		require.ErrorIs(t, err, want, "Counts")
		_, err = t.store.AreMembers(ctx, ch, []string{"ann"})
		require.ErrorIs(t, err, want, "AreMembers")
		_, err = t.store.Expire(ctx)
		require.ErrorIs(t, err, want, "Expire")
		_, err = t.store.LastSeen(ctx, ch, []string{"ann"})
		require.ErrorIs(t, err, want, "LastSeen")
		_, err = t.store.Renew(ctx, t.node("a"), 0)
		require.ErrorIs(t, err, want, "Renew")
	}
	requireDeparted(t, t.expireUntil(0, 1), ch, "ann")
	require.False(t, t.isMember(ch, "bob"), "calls with a done context change nothing")
}
