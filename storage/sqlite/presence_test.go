package sqlite

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

func TestLastSeenLimit(t *testing.T) {
	for limit, remembered := range map[int][]bool{
		0: {false, false, false}, 1: {true, false, false}, 2: {true, false, true}, 3: {true, true, true},
	} {
		st := open(t, WithLastSeenLimit(limit))
		ch, conn := storage.ChannelID{App: "app", Name: "presence-room"}, storage.Connection{Node: "node", ID: "1"}
		for _, id := range []string{"ann", "bob", "eve", "ann"} {
			_, err := st.Join(t.Context(), ch, conn, storage.Member{UserID: id}, storage.JoinOptions{})
			require.NoError(t, err)
			_, err = st.Leave(t.Context(), ch, conn)
			require.NoError(t, err)
		}
		for i, id := range []string{"ann", "bob", "eve"} {
			seen, err := st.LastSeen(t.Context(), ch, []string{id})
			require.NoError(t, err)
			require.Equal(t, remembered[i], !seen[0].IsZero(), "limit %d: %s", limit, id)
		}
	}
}

// What nobody needs any more leaves the file.
func TestPresenceIsBounded(t *testing.T) {
	var c clock
	st := open(t, onClock(&c))
	ctx := t.Context()
	stays := storage.ChannelID{App: "app", Name: "presence-busy"}
	_, err := st.Join(ctx, stays, storage.Connection{Node: "stays", ID: "0"}, storage.Member{UserID: "stays"}, storage.JoinOptions{})
	require.NoError(t, err)
	for i := range 3 * keptChanges {
		conn := storage.Connection{Node: "stays", ID: "x"}
		_, err := st.Join(ctx, stays, conn, storage.Member{UserID: strconv.Itoa(i)}, storage.JoinOptions{})
		require.NoError(t, err)
		_, err = st.Leave(ctx, stays, conn)
		require.NoError(t, err)
	}
	require.LessOrEqual(t, rows(t, st, "carillon_change"), keptChanges+storage.FillEvents)

	// More than one transaction takes away, on a channel for each.
	const many = expireConnections + 10
	for i := range many {
		ch := storage.ChannelID{App: "app", Name: "presence-" + strconv.Itoa(i)}
		_, err := st.Join(ctx, ch, storage.Connection{Node: "goes", ID: strconv.Itoa(i)}, storage.Member{UserID: "ann"}, storage.JoinOptions{})
		require.NoError(t, err)
	}
	_, err = st.Renew(ctx, "goes", time.Minute)
	require.NoError(t, err)
	c.advance(2 * time.Minute)
	departures, err := st.Expire(ctx)
	require.NoError(t, err)
	require.Len(t, departures, many)
	require.Equal(t, 1, rows(t, st, "carillon_roster"))
	require.Equal(t, 1, rows(t, st, "carillon_member"))
	require.Equal(t, 1, rows(t, st, "carillon_connection"))
	require.Equal(t, 1, rows(t, st, "carillon_node"))
	c.advance(2 * nodeMemory)
	_, err = st.Renew(ctx, "comes", time.Minute)
	require.NoError(t, err)
	require.Equal(t, 1, rows(t, st, "carillon_node"), "a node that went long ago")
}
