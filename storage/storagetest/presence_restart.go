package storagetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

// presenceRestartChecks are those of a store that can be ended and opened again.
func presenceRestartChecks(h hooks) []check[*presenceTest] {
	var checks []check[*presenceTest]
	if h.restart != nil {
		checks = append(checks, check[*presenceTest]{"RestartIsSeen", func(t *presenceTest) { t.checkReopen(h.restart) }})
	}
	if h.crash != nil {
		checks = append(checks, check[*presenceTest]{"CrashIsSeen", func(t *presenceTest) { t.checkReopen(h.crash) }})
	}
	return checks
}

// checkReopen ends a store that has members. One that is durable has them still;
// another does not, and says so with a revision that nobody knows.
func (t *presenceTest) checkReopen(hook func(testing.TB, Store) Store) {
	ch := t.channel("presence-room")
	stays, leaves, expires := t.conn("a"), t.conn("a"), t.conn("b")
	t.renew("a", time.Hour)
	t.renew("b", short)
	t.join(ch, stays, "stays", true)
	t.join(ch, leaves, "leaves", true)
	t.join(ch, expires, "expires", true)
	gone := t.conn("a")
	t.join(ch, gone, "gone", true)
	left := t.leave(ch, gone, "gone", true)

	store, ok := hook(t.TB, t.store).(storage.Presence)
	require.True(t, ok, "what was opened again is a storage.Presence")
	t.store = store
	revision := t.roster(ch).Revision
	require.False(t, revision.Before(left.Revision), "revisions do not go back: %v after %v", revision, left.Revision)
	if !t.caps.Durable {
		t.requireUsers(ch)
		require.True(t, revision.After(left.Revision), "a new revision says that all members are gone: %v after %v", revision, left.Revision)
		return
	}
	t.requireUsers(ch, "stays", "leaves", "expires")
	t.requireSeen(left.Time, ch, "gone")
	t.leave(ch, leaves, "leaves", true)
	requireDeparted(t, t.expireUntil(2*short, 1), ch, "expires")
	t.requireUsers(ch, "stays")
	d := t.leave(ch, stays, "stays", true)
	require.True(t, d.Vacated())
	require.True(t, d.Revision.After(left.Revision))
}
