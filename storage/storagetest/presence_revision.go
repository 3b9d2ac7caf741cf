package storagetest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

// checkLookUps asks for many at once, in an order and with repeats that a store
// may lose.
func checkLookUps(t *presenceTest) {
	var channels []storage.ChannelID
	var want []int
	for i := range 10 {
		ch := t.channel("presence-" + strconv.Itoa(i))
		channels, want = append(channels, ch), append(want, i%4)
		for n := range i % 4 {
			t.join(ch, t.conn("a"), strconv.Itoa(n), true)
		}
	}
	channels, want = append(channels, channels[3]), append(want, want[3])
	counts, err := t.store.Counts(t.ctx, channels)
	require.NoError(t, err)
	require.Len(t, counts, len(channels))
	for i, n := range want {
		require.Equal(t, n, counts[i].Members, "count %d", i)
		require.False(t, counts[i].Revision.IsZero(), "Count.Revision")
	}

	ch := t.channel("")
	users := []string{"zoe", "ann", "nobody", "bob", "ann", "eve"}
	gone := map[string]time.Time{}
	for _, id := range []string{"ann", "bob", "eve", "zoe"} {
		conn := t.conn("a")
		t.join(ch, conn, id, true)
		if id == "eve" || id == "zoe" {
			if t.clock.exact() {
				t.clock.advance(time.Minute)
			}
			gone[id] = t.leave(ch, conn, id, true).Time
		}
	}
	are, err := t.store.AreMembers(t.ctx, ch, users)
	require.NoError(t, err)
	require.Equal(t, []bool{false, true, false, true, true, false}, are)
	seen, err := t.store.LastSeen(t.ctx, ch, users)
	require.NoError(t, err)
	require.Len(t, seen, len(users))
	for i, id := range users {
		require.WithinDuration(t, gone[id], seen[i], time.Millisecond, "LastSeen of %q", id)
	}

	counts, err = t.store.Counts(t.ctx, nil)
	require.NoError(t, err)
	require.Empty(t, counts)
	are, err = t.store.AreMembers(t.ctx, ch, nil)
	require.NoError(t, err)
	require.Empty(t, are)
	seen, err = t.store.LastSeen(t.ctx, ch, nil)
	require.NoError(t, err)
	require.Empty(t, seen)
}

func checkRevisions(t *presenceTest) {
	ch := t.channel("presence-room")
	one, two, three := t.conn("a"), t.conn("b"), t.conn("b")
	join := func(conn storage.Connection, userID string) storage.Joined {
		t.Helper()
		joined, err := t.store.Join(t.ctx, ch, conn, storage.Member{UserID: userID}, storage.JoinOptions{})
		require.NoError(t, err)
		require.Equal(t, joined.Revision, t.roster(ch).Revision, "Roster.Revision")
		require.Equal(t, joined.Revision, t.count(ch).Revision, "Count.Revision")
		require.Equal(t, joined.Count, t.count(ch).Members)
		require.Nil(t, joined.Members, "nobody has asked")
		return joined
	}
	first := join(one, "ann")
	require.True(t, first.Revision.After(first.Prev), "%v after %v", first.Revision, first.Prev)
	require.True(t, first.Occupied())
	second := join(two, "bob")
	require.Equal(t, first.Revision, second.Prev, "a change names the one before")
	require.True(t, second.Revision.After(second.Prev))
	require.Equal(t, 2, second.Count)
	require.False(t, second.Occupied())
	for _, same := range []storage.Joined{join(three, "ann"), join(one, "ann")} {
		require.Equal(t, storage.Joined{Count: 2, Revision: second.Revision, Prev: second.Revision}, same, "nobody came")
	}

	d := t.leave(ch, one, "ann", false)
	require.Equal(t, []any{2, second.Revision, second.Revision}, []any{d.Count, d.Revision, d.Prev}, "nobody left")
	d = t.leave(ch, three, "ann", true)
	require.Equal(t, second.Revision, d.Prev, "a change names the one before")
	require.True(t, d.Revision.After(d.Prev))
	require.Equal(t, 1, d.Count)
	require.False(t, d.Vacated())
	require.Equal(t, d.Revision, t.roster(ch).Revision)
	last := t.leave(ch, two, "bob", true)
	require.Equal(t, d.Revision, last.Prev)
	require.True(t, last.Vacated())

	require.False(t, t.roster(ch).Revision.Before(last.Revision), "revisions do not go back where nobody is")
	again := join(one, "ann")
	require.True(t, again.Revision.After(last.Revision), "%v after %v", again.Revision, last.Revision)
	require.True(t, again.Occupied())
}

func checkJoinMembers(t *presenceTest) {
	ch := t.channel("presence-room")
	join := func(userID string, known storage.Position, want ...string) storage.Joined {
		t.Helper()
		joined, err := t.store.Join(t.ctx, ch, t.conn("a"), storage.Member{UserID: userID, Info: []byte(`"` + userID + `"`)},
			storage.JoinOptions{Members: true, Known: known})
		require.NoError(t, err)
		var got []string
		for _, m := range joined.Members {
			require.Equal(t, `"`+m.UserID+`"`, string(m.Info))
			got = append(got, m.UserID)
		}
		require.Equal(t, want, got, "members that a join answers")
		return joined
	}
	first := join("ann", storage.Position{}, "ann")
	second := join("bob", storage.Position{}, "ann", "bob")
	join("cleo", second.Prev, "ann", "bob", "cleo")
	known := t.roster(ch).Revision
	third := join("dora", known)
	require.Equal(t, known, third.Prev)
	join("dora", third.Revision)
	join("dora", first.Revision, "ann", "bob", "cleo", "dora")
	_, err := t.store.Join(t.ctx, ch, t.conn("a"), storage.Member{UserID: "eve"}, storage.JoinOptions{MaxMembers: 4, Members: true})
	require.ErrorIs(t, err, storage.ErrMemberLimit)
	require.Equal(t, third.Revision, t.roster(ch).Revision, "who is refused changes nothing")
}

// requireChanges requires that a store tells these changes since a revision. One
// that is not shared, or has forgotten, says that it cannot.
func (t *presenceTest) requireChanges(tb require.TestingT, ch storage.ChannelID, since storage.Position, want []storage.PresenceChange) {
	changes, err := t.store.Changes(t.ctx, ch, since)
	if len(want) > 0 && errors.Is(err, storage.ErrGap) {
		emptied := slices.ContainsFunc(want, func(c storage.PresenceChange) bool { return c.Count == 0 || c.Prev != since && c.Count == 1 })
		require.True(tb, !t.caps.Shared || emptied || len(want) > storage.FillEvents || !t.clock.exact(), "the changes since %v: %v", since, err)
		return
	}
	if err != nil && len(want) == 0 {
		// Nobody is there, and the store remembers nothing of the channel.
		require.ErrorIs(tb, err, storage.ErrGap)
		require.Empty(tb, t.members(ch), "a gap since the latest revision")
		return
	}
	require.NoError(tb, err)
	require.Len(tb, changes, len(want), "changes since %v", since)
	for i, c := range changes {
		require.Equal(tb, want[i].Channel, c.Channel)
		requireSameMember(tb, want[i].Member, c.Member)
		require.Equal(tb, want[i].Joined, c.Joined)
		require.Equal(tb, want[i].Count, c.Count)
		require.Equal(tb, want[i].Revision, c.Revision)
		require.Equal(tb, want[i].Prev, c.Prev)
		require.False(tb, c.Time.IsZero())
	}
}

func checkChanges(t *presenceTest) {
	ch := t.channel("presence-room")
	var all []storage.PresenceChange
	conns := map[string]storage.Connection{}
	// Somebody stays, or the store may forget the channel.
	for i, id := range []string{"stays", "ann", "bob", "-ann", "cleo", "-bob", "ann"} {
		if userID := id[1:]; id[0] == '-' {
			all = append(all, t.leave(ch, conns[userID], userID, true).Change())
		} else {
			conns[id] = t.conn("a")
			m := storage.Member{UserID: id, Info: []byte(strconv.Itoa(i))}
			joined, err := t.store.Join(t.ctx, ch, conns[id], m, storage.JoinOptions{})
			require.NoError(t, err)
			all = append(all, storage.PresenceChange{Channel: ch, Member: m, Joined: true, Count: joined.Count, Revision: joined.Revision, Prev: joined.Prev})
		}
		if i > 0 {
			require.Equal(t, all[i-1].Revision, all[i].Prev, "a change names the one before")
		}
	}
	for i := range all {
		t.requireChanges(t, ch, all[i].Revision, all[i+1:])
	}
	for _, since := range []storage.Position{ahead(last(revisions(all)), 1000), elsewhere(all[0].Revision), {}} {
		changes, err := t.store.Changes(t.ctx, ch, since)
		require.ErrorIs(t, err, storage.ErrGap, "the changes since %v, which is no revision: %v", since, changes)
		var gap *storage.GapError
		require.ErrorAs(t, err, &gap)
		require.Equal(t, last(revisions(all)), gap.Latest, "GapError.Latest")
	}
}

func revisions(changes []storage.PresenceChange) (all []storage.Position) {
	for _, c := range changes {
		all = append(all, c.Revision)
	}
	return all
}

func checkExpiredRevisions(t *presenceTest) {
	ch := t.channel("presence-room")
	t.join(ch, t.conn("b"), "stays", true)
	for i := range 5 {
		t.join(ch, t.conn("a"), strconv.Itoa(i), true)
	}
	before := t.roster(ch).Revision
	t.renew("a", short)
	t.renew("b", time.Hour)
	var changes []storage.PresenceChange
	for _, d := range t.expireUntil(short, 5) {
		changes = append(changes, d.Change())
	}
	slices.SortFunc(changes, func(a, b storage.PresenceChange) int { return a.Revision.Compare(b.Revision) })
	for i, c := range changes {
		require.Equal(t, before, c.Prev, "a change names the one before")
		require.Equal(t, 5-i, c.Count, "PresenceChange.Count")
		before = c.Revision
	}
	require.Equal(t, before, t.roster(ch).Revision)
	t.requireChanges(t, ch, changes[1].Revision, changes[2:])
}

// checkConcurrentRevisions has what many callers are told be one chain, from which
// all members follow.
func checkConcurrentRevisions(t *presenceTest) {
	ch := t.channel("presence-room")
	t.join(ch, t.conn("a"), "stays", true)
	before := t.roster(ch).Revision
	conns := t.conns(callers)
	var mu sync.Mutex
	var all []storage.PresenceChange
	require.NoError(t, together(callers, func(i int) error {
		for range 10 {
			m := storage.Member{UserID: strconv.Itoa(i % 5)}
			joined, err := t.store.Join(t.ctx, ch, conns[i], m, storage.JoinOptions{})
			if err != nil {
				return err
			}
			d, err := t.store.Leave(t.ctx, ch, conns[i])
			if err != nil {
				return err
			}
			mu.Lock()
			if joined.First {
				all = append(all, storage.PresenceChange{Channel: ch, Member: m, Joined: true, Count: joined.Count, Revision: joined.Revision, Prev: joined.Prev})
			}
			if d.Last {
				all = append(all, d.Change())
			}
			mu.Unlock()
		}
		return nil
	}))
	slices.SortFunc(all, func(a, b storage.PresenceChange) int { return a.Revision.Compare(b.Revision) })
	there := map[string]bool{"stays": true}
	for _, c := range all {
		require.Equal(t, before, c.Prev, "a change names the one before")
		require.NotEqual(t, c.Joined, there[c.Member.UserID], "%q comes and goes in turn", c.Member.UserID)
		if c.Joined {
			there[c.Member.UserID] = true
		} else {
			delete(there, c.Member.UserID)
		}
		require.Equal(t, len(there), c.Count)
		before = c.Revision
	}
	require.Equal(t, before, t.roster(ch).Revision)
	t.requireUsers(ch, "stays")
}

// checkOccupancy counts who is told that a channel is occupied, and vacant.
func checkOccupancy(t *presenceTest) {
	ch, conns := t.channel("presence-room"), t.conns(callers)
	var occupied, vacated atomic.Int64
	require.NoError(t, together(callers, func(i int) error {
		for range 10 {
			joined, err := t.store.Join(t.ctx, ch, conns[i], storage.Member{UserID: strconv.Itoa(i)}, storage.JoinOptions{})
			if err != nil {
				return err
			}
			if joined.Occupied() {
				occupied.Add(1)
			}
			d, err := t.store.Leave(t.ctx, ch, conns[i])
			if err != nil {
				return err
			}
			if d.Vacated() {
				vacated.Add(1)
			}
		}
		return nil
	}))
	require.Positive(t, occupied.Load())
	require.Equal(t, occupied.Load(), vacated.Load(), "a channel that is occupied becomes vacant once")
	t.requireUsers(ch)

	for i, conn := range conns {
		t.join(ch, conn, strconv.Itoa(i), true)
	}
	for _, node := range []string{"0", "1", "2"} {
		t.renew(node, 0)
	}
	var last []storage.Departure
	for _, d := range t.expireUntil(0, callers) {
		if d.Vacated() {
			last = append(last, d)
		}
	}
	require.Len(t, last, 1, "of those that expire together, the last one leaves the channel vacant")
}

// checkWatchPresence is for stores that implement storage.WatchPresence.
func checkWatchPresence(t *presenceTest) {
	store, ok := t.store.(storage.WatchPresence)
	if !ok {
		return
	}
	ctx, cancel := context.WithCancel(t.ctx)
	told, ended := make(chan storage.PresenceChange, 1000), make(chan error, 1)
	go func() {
		ended <- store.WatchPresence(ctx, func(c storage.PresenceChange) {
			select {
			case told <- c:
			default: // hints may be lost
			}
		})
	}()
	defer func() {
		cancel()
		require.Error(t, <-ended, "WatchPresence says why it ended")
	}()
	anything := func(c storage.PresenceChange) bool { return c.Channel == storage.ChannelID{} }
	await := func(what string, ch storage.ChannelID, userID string, joined bool, revision storage.Position) {
		t.Helper()
		late := time.After(30 * time.Second)
		for {
			select {
			case c := <-told:
				if anything(c) {
					return
				}
				if c.Channel != ch || !c.Revision.IsZero() && c.Revision != revision {
					continue
				}
				if c.Member.UserID != "" {
					require.Equal(t, userID, c.Member.UserID)
					require.Equal(t, joined, c.Joined)
					require.True(t, c.Revision.After(c.Prev))
				}
				return
			case <-late:
				t.Fatalf("not told of %s", what)
			}
		}
	}
	select {
	case c := <-told:
		require.True(t, anything(c), "the beginning comes first")
	case <-time.After(30 * time.Second):
		t.Fatalf("not told of the beginning")
	}
	for _, ch := range append(alike(t.app), t.channel("")) {
		conn := t.conn("a")
		joined, err := t.store.Join(t.ctx, ch, conn, storage.Member{UserID: "ann"}, storage.JoinOptions{})
		require.NoError(t, err)
		await("a join to "+ch.String(), ch, "ann", true, joined.Revision)
		d := t.leave(ch, conn, "ann", true)
		await("a leave from "+ch.String(), ch, "ann", false, d.Revision)
	}
	ch := t.channel("presence-expired")
	t.join(ch, t.conn("b"), "bob", true)
	t.renew("b", 0)
	d := t.expireUntil(0, 1)[0]
	await("an expiry", ch, "bob", false, d.Revision)
}
