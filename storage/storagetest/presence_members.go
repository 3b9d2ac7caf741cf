package storagetest

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

func checkEmptyChannel(t *presenceTest) {
	ch := t.channel("presence-nobody")
	t.requireUsers(ch)
	require.False(t, t.isMember(ch, "ann"))
	require.True(t, t.lastSeen(ch, "ann").IsZero(), "LastSeen of a user who was never there")
	t.leaveNothing(ch, t.conn("a"))
	require.Empty(t, t.expire())
}

func checkUsers(t *presenceTest) {
	for _, name := range []string{"presence-room", ""} {
		ch := t.channel(name)
		c := []storage.Connection{t.conn("a"), t.conn("a"), t.conn("b")}
		t.join(ch, c[0], "ann", true)
		t.join(ch, c[1], "ann", false)
		t.join(ch, c[2], "ann", false)
		t.requireUsers(ch, "ann")
		other := t.conn("a")
		t.join(ch, other, "bob", true)
		t.requireUsers(ch, "ann", "bob")

		t.leave(ch, c[1], "ann", false)
		t.leave(ch, c[0], "ann", false)
		t.requireUsers(ch, "ann", "bob")
		t.leave(ch, c[2], "ann", true)
		t.requireUsers(ch, "bob")
		require.False(t, t.isMember(ch, "ann"))
		t.join(ch, c[0], "ann", true)
		t.leave(ch, c[0], "ann", true)
		t.leave(ch, other, "bob", true)
		t.requireUsers(ch)
	}
}

func checkJoinTwice(t *presenceTest) {
	ch, conn := t.channel("presence-room"), t.conn("a")
	t.join(ch, conn, "ann", true)
	t.join(ch, conn, "ann", false)
	t.requireUsers(ch, "ann")
	t.leave(ch, conn, "ann", true)
	t.requireUsers(ch)
}

func checkLeaveTwice(t *presenceTest) {
	ch, conn, other := t.channel("presence-room"), t.conn("a"), t.conn("a")
	t.join(ch, conn, "ann", true)
	t.join(ch, other, "ann", false)
	t.leave(ch, conn, "ann", false)
	t.leaveNothing(ch, conn)
	t.requireUsers(ch, "ann")
	t.leaveNothing(ch, t.conn("a"))
	t.leave(ch, other, "ann", true)
	t.leaveNothing(ch, other)
}

func checkOrder(t *presenceTest) {
	ch := t.channel("presence-room")
	conns := make(map[string]storage.Connection)
	users := []string{"mia", "zoe", "ann", "bob", "eve"}
	for _, id := range users {
		conns[id] = t.conn("a")
		t.join(ch, conns[id], id, true)
	}
	t.requireUsers(ch, users...)

	more := t.conn("b")
	t.join(ch, more, "mia", false)
	t.requireUsers(ch, users...)
	t.leave(ch, conns["mia"], "mia", false)
	t.requireUsers(ch, users...)

	t.leave(ch, conns["ann"], "ann", true)
	t.requireUsers(ch, "mia", "zoe", "bob", "eve")
	t.join(ch, conns["ann"], "ann", true)
	t.requireUsers(ch, "mia", "zoe", "bob", "eve", "ann")
	t.leave(ch, more, "mia", true)
	t.leave(ch, conns["ann"], "ann", true)
	t.requireUsers(ch, "zoe", "bob", "eve")
}

func checkMemberFields(t *presenceTest) {
	ch := t.channel("presence-room")
	members := []storage.Member{
		{UserID: "1", Info: []byte(`{"name":"Ann", "b":1,"a":[1,2.50]}`)},
		{UserID: "user/1:2 %_*'\"\\", Info: []byte(`"text"`)},
		{UserID: "世界", Info: []byte(`{"name":"世界\u2028"}`)},
		{UserID: strings.Repeat("x", 128), Info: bytes.Repeat([]byte("1"), 4096)},
		{UserID: "A"}, {UserID: "a"},
	}
	conns := make([]storage.Connection, len(members))
	for i, m := range members {
		conns[i] = t.conn("a")
		joined, err := t.store.Join(t.ctx, ch, conns[i], m, storage.JoinOptions{})
		require.NoError(t, err)
		require.True(t, joined.First, "user %q is new", m.UserID)
	}
	got := t.members(ch)
	require.Len(t, got, len(members))
	for i, want := range members {
		requireSameMember(t, want, got[i])
		require.True(t, t.isMember(ch, want.UserID), "AreMembers of %q", want.UserID)
		requireSameMember(t, want, t.leave(ch, conns[i], want.UserID, true).Member)
	}
}

// requireSameMember compares members; empty info is like none.
func requireSameMember(t require.TestingT, want, got storage.Member) {
	require.Equal(t, want.UserID, got.UserID)
	require.Equal(t, string(want.Info), string(got.Info), "Info of %q", want.UserID)
}

func checkFirstInfo(t *presenceTest) {
	ch := t.channel("presence-room")
	one, two := t.conn("a"), t.conn("b")
	first := storage.Member{UserID: "ann", Info: []byte(`{"tab":1}`)}
	second := storage.Member{UserID: "ann", Info: []byte(`{"tab":2}`)}
	join := func(conn storage.Connection, m storage.Member) {
		_, err := t.store.Join(t.ctx, ch, conn, m, storage.JoinOptions{})
		require.NoError(t, err)
	}
	join(one, first)
	join(two, second)
	requireSameMember(t, first, t.members(ch)[0])
	requireSameMember(t, first, t.leave(ch, one, "ann", false).Member)
	requireSameMember(t, first, t.members(ch)[0])
	requireSameMember(t, first, t.leave(ch, two, "ann", true).Member)

	join(two, second)
	requireSameMember(t, second, t.members(ch)[0])
}

func checkMembersCopy(t *presenceTest) {
	ch := t.channel("presence-room")
	t.join(ch, t.conn("a"), "ann", true)
	t.join(ch, t.conn("a"), "bob", true)
	got := t.members(ch)
	got[0], got[1] = got[1], storage.Member{UserID: "eve"}
	t.requireUsers(ch, "ann", "bob")
}

func checkMemberLimit(t *presenceTest) {
	ch := t.channel("presence-room")
	const limit = 3
	join := func(conn storage.Connection, userID string, limit int) (bool, error) {
		joined, err := t.store.Join(t.ctx, ch, conn, storage.Member{UserID: userID}, storage.JoinOptions{MaxMembers: limit})
		return joined.First, err
	}
	conns := make([]storage.Connection, limit)
	for i := range conns {
		conns[i] = t.conn("a")
		first, err := join(conns[i], strconv.Itoa(i), limit)
		require.NoError(t, err, "member %d of %d", i+1, limit)
		require.True(t, first)
	}
	for _, limit := range []int{3, 2, 1} {
		first, err := join(t.conn("a"), "late", limit)
		require.ErrorIs(t, err, storage.ErrMemberLimit)
		var full *storage.MemberLimitError
		require.ErrorAs(t, err, &full)
		require.Equal(t, storage.MemberLimitError{Channel: ch, Limit: limit}, *full)
		require.False(t, first)
	}
	more := t.conn("b")
	first, err := join(more, "0", 1)
	require.NoError(t, err, "another connection of a member takes no room")
	require.False(t, first)
	_, err = join(conns[0], "0", 1)
	require.NoError(t, err, "a connection that is there takes no room")

	t.leave(ch, conns[0], "0", false)
	_, err = join(t.conn("a"), "late", limit)
	require.ErrorIs(t, err, storage.ErrMemberLimit, "the member has another connection")
	t.leave(ch, more, "0", true)
	first, err = join(t.conn("a"), "late", limit)
	require.NoError(t, err, "a member who has left makes room")
	require.True(t, first)
	t.requireUsers(ch, "1", "2", "late")
}

func checkRefusedJoin(t *presenceTest) {
	ch := t.channel("presence-room")
	first, refused := t.conn("a"), t.conn("a")
	t.join(ch, first, "ann", true)
	_, err := t.store.Join(t.ctx, ch, refused, storage.Member{UserID: "bob"}, storage.JoinOptions{MaxMembers: 1})
	require.ErrorIs(t, err, storage.ErrMemberLimit)

	t.requireUsers(ch, "ann")
	require.False(t, t.isMember(ch, "bob"))
	t.leaveNothing(ch, refused)
	require.True(t, t.lastSeen(ch, "bob").IsZero(), "LastSeen of a user who was refused")
	t.join(ch, refused, "bob", true)
}

func checkNoLimit(t *presenceTest) {
	ch := t.channel("presence-room")
	for i := range 150 {
		limit := -(i % 2)
		joined, err := t.store.Join(t.ctx, ch, t.conn("a"), storage.Member{UserID: strconv.Itoa(i)}, storage.JoinOptions{MaxMembers: limit})
		require.NoError(t, err, "a limit of %d is none", limit)
		require.True(t, joined.First)
	}
	require.Len(t, t.members(ch), 150)
}

func checkPresenceIsolation(t *presenceTest) {
	// One connection may be on all of these; the last is the set of users who are online.
	conn := t.conn("a")
	channels := append(alike(t.app), storage.ChannelID{App: t.app}, storage.ChannelID{App: t.app + "2"})
	for _, ch := range channels {
		t.join(ch, conn, "ann", true)
		t.join(ch, t.conn("a"), ch.String(), true)
	}
	for i, ch := range channels {
		t.requireUsers(ch, "ann", ch.String())
		t.leave(ch, conn, "ann", true)
		require.False(t, t.lastSeen(ch, "ann").IsZero())
		for _, other := range channels[i+1:] {
			require.True(t, t.isMember(other, "ann"), "AreMembers of %v after Leave of %v", other, ch)
			require.True(t, t.lastSeen(other, "ann").IsZero(), "LastSeen of %v after Leave of %v", other, ch)
		}
	}
}

// requireSeen requires that the user was last seen at that time, as exactly as
// databases keep it.
func (t *presenceTest) requireSeen(want time.Time, ch storage.ChannelID, userID string) {
	t.Helper()
	require.WithinDuration(t, want, t.lastSeen(ch, userID), time.Millisecond, "LastSeen is the Departure's Time")
}

func checkLastSeen(t *presenceTest) {
	ch := t.channel("presence-room")
	one, two := t.conn("a"), t.conn("a")
	t.join(ch, one, "ann", true)
	t.join(ch, two, "ann", false)
	require.True(t, t.lastSeen(ch, "ann").IsZero(), "LastSeen of a member")
	t.leave(ch, one, "ann", false)
	require.True(t, t.lastSeen(ch, "ann").IsZero(), "LastSeen of a member with another connection")
	left := t.leave(ch, two, "ann", true)
	t.requireSeen(left.Time, ch, "ann")
	require.True(t, t.lastSeen(t.channel("presence-other"), "ann").IsZero(), "LastSeen on another channel")
	require.True(t, t.lastSeen(ch, "bob").IsZero(), "LastSeen of another user")

	if t.clock.exact() {
		t.clock.advance(time.Minute)
		t.requireSeen(left.Time, ch, "ann")
	}
	t.join(ch, one, "ann", true)
	require.True(t, t.lastSeen(ch, "ann").IsZero(), "LastSeen of a member who has returned")
	again := t.leave(ch, one, "ann", true)
	t.requireSeen(again.Time, ch, "ann")
	if t.clock.exact() {
		require.WithinDuration(t, left.Time.Add(time.Minute), again.Time, time.Second, "Departure.Time goes with the clock")
	}
}

func checkLastSeenExpired(t *presenceTest) {
	ch := t.channel("presence-room")
	t.join(ch, t.conn("a"), "ann", true)
	t.renew("a", short)
	departures := t.expireUntil(short, 1)
	t.requireSeen(departures[0].Time, ch, "ann")
	t.join(ch, t.conn("b"), "ann", true)
	require.True(t, t.lastSeen(ch, "ann").IsZero(), "LastSeen of a member who has returned")
}
