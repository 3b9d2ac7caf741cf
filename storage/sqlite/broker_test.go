package sqlite

import (
	"context"
	"database/sql"
	"errors"
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

// TestPreparedAmendmentsGoOut amends an event in each way within transactions of the
// caller, of which every other one is rolled back.
func TestPreparedAmendmentsGoOut(t *testing.T) {
	st := open(t)
	kit := brokerOn(t, st)
	sub, err := kit.App.Subscribe(t.Context(), "room")
	require.NoError(t, err)
	defer sub.Close()
	published, err := kit.App.Publish(t.Context(), "room", "message", []byte("hello"))
	require.NoError(t, err)
	for _, a := range []struct {
		prepare func(ctx context.Context) (storage.Prepared, error)
		want    string
	}{
		{func(ctx context.Context) (storage.Prepared, error) {
			return kit.App.PrepareEdit(ctx, "room", published.ID, []byte("good"))
		}, "good"},
		{func(ctx context.Context) (storage.Prepared, error) {
			return kit.App.PrepareAppend(ctx, "room", published.ID, []byte("bye"))
		}, "goodbye"},
		{func(ctx context.Context) (storage.Prepared, error) {
			return kit.App.PrepareRetract(ctx, "room", published.ID)
		}, ""},
	} {
		for _, outcome := range []error{errors.New("rolled back"), nil} {
			require.ErrorIs(t, st.InTx(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
				p, err := a.prepare(ctx)
				require.NoError(t, err)
				_, err = st.AppendTx(ctx, tx, p)
				require.NoError(t, err)
				return outcome
			}), outcome)
		}
		page, err := st.Read(t.Context(), storage.ChannelID{App: kit.App.ID(), Name: "room"}, storage.ReadOptions{Current: true})
		require.NoError(t, err)
		require.Len(t, page.Events, 1)
		require.Equal(t, a.want, string(page.Events[0].Data))
		require.Equal(t, a.want == "", page.Events[0].Retracted)
	}
	var got []storage.AmendKind
	for ev, err := range sub.Events() {
		require.NoError(t, err)
		if got = append(got, ev.Amends); len(got) == 4 {
			break
		}
	}
	require.Equal(t, []storage.AmendKind{0, storage.Edit, storage.Extend, storage.Retract}, got)
}
