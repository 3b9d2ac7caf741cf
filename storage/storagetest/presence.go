package storagetest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

// presenceTest is what one check of a Presence works with.
type presenceTest struct {
	testing.TB
	ctx   context.Context
	store storage.Presence
	caps  storage.Capabilities
	clock clock
	app   string
}

func newPresenceTest(t testing.TB, store storage.Presence, c clock) *presenceTest {
	return &presenceTest{TB: t, ctx: t.Context(), store: store, caps: storage.CapabilitiesOf(store), clock: c, app: unique("app")}
}

func presenceChecks() []check[*presenceTest] {
	return []check[*presenceTest]{
		{"EmptyChannel", checkEmptyChannel},
		{"MembersAreUsersNotConnections", checkUsers},
		{"JoiningTwiceChangesNothing", checkJoinTwice},
		{"LeavingTwiceChangesNothing", checkLeaveTwice},
		{"OrderOfJoining", checkOrder},
		{"EveryUserAndInfoIsKept", checkMemberFields},
		{"InfoOfFirstConnectionIsKept", checkFirstInfo},
		{"ListOfMembersIsTheCallers", checkMembersCopy},
		{"MemberLimit", checkMemberLimit},
		{"RefusedJoinLeavesNoTrace", checkRefusedJoin},
		{"NoLimit", checkNoLimit},
		{"ChannelsAndAppsAreApart", checkPresenceIsolation},
		{"LastSeen", checkLastSeen},
		{"LastSeenAfterExpiry", checkLastSeenExpired},
		{"BatchesOfLookUps", checkLookUps},

		{"EveryChangeHasARevision", checkRevisions},
		{"JoinAnswersMembers", checkJoinMembers},
		{"ChangesSinceARevision", checkChanges},
		{"ExpiredChangesHaveRevisions", checkExpiredRevisions},
		{"ConcurrentChangesHaveOneOrder", checkConcurrentRevisions},
		{"OccupiedAndVacatedTakeTurns", checkOccupancy},
		{"WatchTellsOfChanges", checkWatchPresence},

		{"LeaseEnds", checkLeaseEnds},
		{"LeaseIsRenewed", checkLeaseRenewed},
		{"ShorterLeaseReplacesLonger", checkLeaseShortened},
		{"RenewSaysWhetherTheLeaseWasHeld", checkLeaseHeld},
		{"NodeWithoutLeaseStays", checkNoLease},
		{"LeaseOfZeroEndsAtOnce", checkZeroLease},
		{"LeaseCoversLaterJoins", checkLeaseLaterJoins},
		{"JoinAfterLeaseExpires", checkJoinAfterLease},
		{"NodeReturns", checkNodeReturns},
		{"UserOnTwoNodesStays", checkTwoNodes},

		{"ConcurrentJoinsHaveOneFirst", checkConcurrentJoins},
		{"ConcurrentLeavesHaveOneLast", checkConcurrentLeaves},
		{"FirstAndLastTakeTurns", checkTurns},
		{"ConcurrentJoinsKeepLimit", checkConcurrentLimit},
		{"ConcurrentExpiresShareDepartures", checkConcurrentExpires},
		{"LeaveOrExpireDepartsOnce", checkLeaveOrExpire},
		{"DoneContext", checkPresenceContext},
		{"Model", checkPresenceModel},
	}
}

// channel returns a channel of the check's own app.
func (t *presenceTest) channel(name string) storage.ChannelID {
	return storage.ChannelID{App: t.app, Name: name}
}

// node returns a node of the check's own.
func (t *presenceTest) node(name string) string { return t.app + "-" + name }

// conn returns a new connection to a node of the check's own.
func (t *presenceTest) conn(node string) storage.Connection {
	return storage.Connection{Node: t.node(node), ID: unique("conn")}
}

// join adds a connection of the user and requires that first is as expected.
func (t *presenceTest) join(ch storage.ChannelID, conn storage.Connection, userID string, first bool) {
	t.Helper()
	got, err := t.store.Join(t.ctx, ch, conn, storage.Member{UserID: userID}, storage.JoinOptions{})
	require.NoError(t, err, "Join of %q to %v", userID, ch)
	require.Equal(t, first, got.First, "First of the Join of %q to %v", userID, ch)
}

// leave takes a connection away and requires that it was one of the user.
func (t *presenceTest) leave(ch storage.ChannelID, conn storage.Connection, userID string, last bool) storage.Departure {
	t.Helper()
	d, err := t.store.Leave(t.ctx, ch, conn)
	require.NoError(t, err, "Leave of %q from %v", userID, ch)
	require.Equal(t, userID, d.Member.UserID, "Departure.Member.UserID")
	require.Equal(t, ch, d.Channel, "Departure.Channel")
	require.Equal(t, last, d.Last, "Departure.Last of %q", userID)
	require.False(t, d.Time.IsZero(), "Departure.Time is set")
	return d
}

// leaveNothing requires that the connection is not on the channel.
func (t *presenceTest) leaveNothing(ch storage.ChannelID, conn storage.Connection) {
	t.Helper()
	d, err := t.store.Leave(t.ctx, ch, conn)
	require.NoError(t, err)
	require.Zero(t, d, "Departure of a connection that is not there")
}

func (t *presenceTest) members(ch storage.ChannelID) []storage.Member {
	t.Helper()
	return t.roster(ch).Members
}

func (t *presenceTest) roster(ch storage.ChannelID) storage.Roster {
	t.Helper()
	roster, err := t.store.Members(t.ctx, ch)
	require.NoError(t, err, "Members of %v", ch)
	require.False(t, roster.Revision.IsZero(), "Roster.Revision")
	return roster
}

// requireUsers requires that exactly these users are on the channel, in the order
// they joined.
func (t *presenceTest) requireUsers(ch storage.ChannelID, userIDs ...string) {
	t.Helper()
	var got []string
	for _, m := range t.members(ch) {
		got = append(got, m.UserID)
	}
	require.Equal(t, userIDs, got, "members of %v in the order they joined", ch)
	require.Equal(t, len(userIDs), t.count(ch).Members, "Counts of %v", ch)
	for _, id := range userIDs {
		require.True(t, t.isMember(ch, id), "AreMembers of %q", id)
	}
}

func (t *presenceTest) count(ch storage.ChannelID) storage.Count {
	t.Helper()
	counts, err := t.store.Counts(t.ctx, []storage.ChannelID{ch})
	require.NoError(t, err, "Counts of %v", ch)
	require.Len(t, counts, 1)
	return counts[0]
}

func (t *presenceTest) isMember(ch storage.ChannelID, userID string) bool {
	t.Helper()
	are, err := t.store.AreMembers(t.ctx, ch, []string{userID})
	require.NoError(t, err, "AreMembers of %q on %v", userID, ch)
	require.Len(t, are, 1)
	return are[0]
}

func (t *presenceTest) lastSeen(ch storage.ChannelID, userID string) time.Time {
	t.Helper()
	seen, err := t.store.LastSeen(t.ctx, ch, []string{userID})
	require.NoError(t, err, "LastSeen of %q on %v", userID, ch)
	require.Len(t, seen, 1)
	return seen[0]
}

func (t *presenceTest) renew(node string, lease time.Duration) {
	t.Helper()
	t.renewHeld(node, lease)
}

// renewHeld reports whether the node held a lease before.
func (t *presenceTest) renewHeld(node string, lease time.Duration) bool {
	t.Helper()
	held, err := t.store.Renew(t.ctx, t.node(node), lease)
	require.NoError(t, err, "Renew of %q", node)
	return held
}

// own returns the departures from channels of the check. A store that outlives
// the process may hold connections of earlier runs.
func (t *presenceTest) own(departures []storage.Departure) []storage.Departure {
	var own []storage.Departure
	for _, d := range departures {
		if strings.HasPrefix(d.Channel.App, t.app) {
			own = append(own, d)
		}
	}
	return own
}

// expire calls Expire once.
func (t *presenceTest) expire() []storage.Departure {
	t.Helper()
	departures, err := t.store.Expire(t.ctx)
	require.NoError(t, err, "Expire")
	return t.own(departures)
}

// expireUntil lets d pass, after which Expire must have returned n departures.
func (t *presenceTest) expireUntil(d time.Duration, n int) []storage.Departure {
	t.Helper()
	var all []storage.Departure
	t.clock.until(t, d, "departed with the end of the lease", func() bool {
		all = append(all, t.expire()...)
		return len(all) >= n
	})
	require.Len(t, all, n, "departures")
	for _, departure := range all {
		require.True(t, departure.Last, "Departure.Last")
		require.False(t, departure.Time.IsZero(), "Departure.Time is set")
	}
	require.Empty(t, t.expire(), "a departure is returned once")
	return all
}
