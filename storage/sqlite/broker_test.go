package sqlite

import (
	"context"
	"database/sql"
	"log/slog"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/storage"
)

// brokerOn returns a broker on a store.
func brokerOn(t testing.TB, st *Store) *brokertest.Kit {
	t.Helper()
	return brokertest.New(t, broker.WithHistory(st), broker.WithLogger(slog.New(slog.DiscardHandler)),
		broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 1000}}))
}

// TestBrokersShareAFile publishes through two brokers on one file, and within a
// transaction, and has a subscriber of each see everything in the same order.
func TestBrokersShareAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "carillon.db")
	first, second := openFile(t, path), openFile(t, path)
	stores, kits := []*Store{first, second}, []*brokertest.Kit{brokerOn(t, first), brokerOn(t, second)}
	const rounds = 20
	var subs []*broker.Subscription
	for _, kit := range kits {
		sub, err := kit.App.Subscribe(t.Context(), "room")
		require.NoError(t, err)
		defer sub.Close()
		subs = append(subs, sub)
	}
	for i := range rounds {
		for n, kit := range kits {
			_, err := kit.App.Publish(t.Context(), "room", "published", []byte(strconv.Itoa(i)))
			require.NoError(t, err)
			p, err := kit.App.Prepare(t.Context(), "room", "prepared", []byte(strconv.Itoa(i)))
			require.NoError(t, err)
			require.NoError(t, stores[n].InTx(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
				_, err := kit.App.Publish(ctx, "room", "refused", nil)
				require.ErrorIs(t, err, ErrInTransaction)
				_, err = stores[n].AppendTx(ctx, tx, p)
				return err
			}))
		}
	}
	want := keptOf(t, first, storage.ChannelID{App: kits[0].App.ID(), Name: "room"})
	require.Len(t, want, 4*rounds)
	for _, sub := range subs {
		var got []string
		for ev, err := range sub.Events() {
			require.NoError(t, err)
			if got = append(got, ev.ID); len(got) == len(want) {
				break
			}
		}
		require.Equal(t, want, got)
	}
}
