package storagetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

// requireDeparted requires that exactly these users have departed from the
// channel, in any order.
func requireDeparted(t require.TestingT, departures []storage.Departure, ch storage.ChannelID, userIDs ...string) {
	var got []string
	for _, d := range departures {
		if d.Channel == ch {
			got = append(got, d.Member.UserID)
		}
	}
	require.ElementsMatch(t, userIDs, got, "users departed from %v", ch)
}

func checkLeaseEnds(t *presenceTest) {
	room, online := t.channel("presence-room"), t.channel("")
	info := []byte(`{"name":"Ann"}`)
	one, two, three := t.conn("a"), t.conn("a"), t.conn("a")
	_, err := t.store.Join(t.ctx, room, one, storage.Member{UserID: "ann", Info: info}, storage.JoinOptions{})
	require.NoError(t, err)
	t.join(room, two, "ann", false)
	t.join(room, three, "bob", true)
	t.join(online, one, "ann", true)
	t.renew("a", short)
	if t.clock.exact() {
		t.clock.advance(short * 4 / 5)
		require.Empty(t, t.expire(), "the lease has not ended yet")
		t.requireUsers(room, "ann", "bob")
	}

	departures := t.expireUntil(short, 3)
	requireDeparted(t, departures, room, "ann", "bob")
	requireDeparted(t, departures, online, "ann")
	for _, d := range departures {
		if d.Channel == room && d.Member.UserID == "ann" {
			require.Equal(t, string(info), string(d.Member.Info), "Departure.Member.Info")
		}
	}
	for _, ch := range []storage.ChannelID{room, online} {
		t.requireUsers(ch)
		require.False(t, t.isMember(ch, "ann"))
		t.leaveNothing(ch, one)
	}
	t.leaveNothing(room, two)
}

func checkLeaseRenewed(t *presenceTest) {
	ch := t.channel("presence-room")
	t.join(ch, t.conn("a"), "ann", true)
	t.renew("a", short)
	t.renew("a", time.Hour)
	t.join(ch, t.conn("b"), "bob", true)
	t.renew("b", short)
	requireDeparted(t, t.expireUntil(short, 1), ch, "bob")
	t.requireUsers(ch, "ann")

	if t.clock.exact() {
		t.renew("a", short)
		for range 5 {
			t.clock.advance(short * 4 / 5)
			require.Empty(t, t.expire())
			t.renew("a", short)
		}
		requireDeparted(t, t.expireUntil(short, 1), ch, "ann")
	}
}

func checkLeaseShortened(t *presenceTest) {
	ch := t.channel("presence-room")
	t.join(ch, t.conn("a"), "ann", true)
	t.renew("a", time.Hour)
	t.renew("a", short)
	requireDeparted(t, t.expireUntil(short, 1), ch, "ann")
}

func checkLeaseHeld(t *presenceTest) {
	require.False(t, t.renewHeld("a", time.Hour), "the first lease")
	require.True(t, t.renewHeld("a", short), "a lease that has not ended")
	if t.clock.exact() {
		t.clock.advance(short * 4 / 5)
		require.True(t, t.renewHeld("a", short), "a lease that has not ended")
	}
	t.clock.until(t, 2*short, "ended: the lease", func() bool {
		if t.clock.exact() {
			return !t.renewHeld("a", time.Hour)
		}
		// Each look renews it.
		time.Sleep(2 * short)
		return !t.renewHeld("a", short)
	})
	require.True(t, t.renewHeld("a", 0), "the lease after one that had ended")
	require.False(t, t.renewHeld("a", time.Hour), "a lease of zero")
}

func checkNoLease(t *presenceTest) {
	ch := t.channel("presence-room")
	stays := t.conn("never-renewed")
	t.join(ch, stays, "ann", true)
	t.join(ch, t.conn("b"), "bob", true)
	t.renew("b", short)
	requireDeparted(t, t.expireUntil(short, 1), ch, "bob")
	if t.clock.exact() {
		t.clock.advance(1000 * time.Hour)
	}
	require.Empty(t, t.expire())
	t.requireUsers(ch, "ann")
	t.leave(ch, stays, "ann", true)
}

func checkZeroLease(t *presenceTest) {
	for _, lease := range []time.Duration{0, -time.Hour} {
		ch := t.channel(unique("presence-room"))
		t.join(ch, t.conn("a"), "ann", true)
		t.renew("a", time.Hour)
		t.renew("a", lease)
		requireDeparted(t, t.expireUntil(0, 1), ch, "ann")
		t.renew("a", time.Hour)
	}
}

func checkLeaseLaterJoins(t *presenceTest) {
	ch := t.channel("presence-room")
	t.renew("a", short)
	t.join(ch, t.conn("a"), "ann", true)
	requireDeparted(t, t.expireUntil(short, 1), ch, "ann")

	t.renew("b", time.Hour)
	t.join(ch, t.conn("b"), "bob", true)
	require.Empty(t, t.expire())
	t.requireUsers(ch, "bob")
}

func checkJoinAfterLease(t *presenceTest) {
	ch := t.channel("presence-room")
	t.join(ch, t.conn("a"), "ann", true)
	t.renew("a", short)
	t.expireUntil(short, 1)
	t.join(ch, t.conn("a"), "bob", true)
	requireDeparted(t, t.expireUntil(0, 1), ch, "bob")
}

func checkNodeReturns(t *presenceTest) {
	ch := t.channel("presence-room")
	conn := t.conn("a")
	t.join(ch, conn, "ann", true)
	t.renew("a", short)
	t.expireUntil(short, 1)
	t.renew("a", time.Hour)
	require.Empty(t, t.expire())
	t.join(ch, conn, "ann", true)
	require.Empty(t, t.expire())
	t.requireUsers(ch, "ann")
	t.leave(ch, conn, "ann", true)
}

func checkTwoNodes(t *presenceTest) {
	ch := t.channel("presence-room")
	gone, stays := t.conn("a"), t.conn("b")
	t.join(ch, gone, "ann", true)
	t.join(ch, stays, "ann", false)
	t.join(ch, t.conn("a"), "bob", true)
	t.renew("a", short)
	t.renew("b", time.Hour)
	requireDeparted(t, t.expireUntil(short, 1), ch, "bob")
	t.requireUsers(ch, "ann")
	require.True(t, t.lastSeen(ch, "ann").IsZero(), "LastSeen of a member with a connection to another node")
	t.leaveNothing(ch, gone)
	t.leave(ch, stays, "ann", true)
	t.requireUsers(ch)
}
