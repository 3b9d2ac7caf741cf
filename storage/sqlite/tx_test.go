package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3/driver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

var room = storage.ChannelID{App: "app", Name: "room"}

// prepared is an event as a broker prepares it.
func prepared(id string) storage.Prepared {
	return storage.Prepared{
		Channel: room,
		Event:   &storage.Event{ID: id, Name: "message", Data: []byte("data of " + id), Time: time.Now()},
		Options: storage.AppendOptions{Retention: storage.Retention{Events: 1 << 20}},
	}
}

// withTable is a store with a table of the caller's own.
func withTable(t testing.TB, opts ...Option) *Store {
	t.Helper()
	st := open(t, opts...)
	_, err := st.DB().ExecContext(t.Context(), `CREATE TABLE note (text TEXT)`)
	require.NoError(t, err)
	return st
}

func begin(t testing.TB, st *Store) *sql.Tx {
	t.Helper()
	tx, err := st.DB().BeginTx(t.Context(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

func notes(t testing.TB, st *Store) (n int) {
	t.Helper()
	require.NoError(t, st.DB().QueryRowContext(t.Context(), `SELECT count(*) FROM note`).Scan(&n))
	return n
}

// kept returns the IDs of the room's events.
func kept(t testing.TB, st *Store) []string { return keptOf(t, st, room) }

func keptOf(t testing.TB, st *Store, ch storage.ChannelID) []string {
	t.Helper()
	ids := []string{}
	page, err := st.Read(t.Context(), ch, storage.ReadOptions{})
	require.NoError(t, err)
	for i := range page.Events {
		ids = append(ids, page.Events[i].ID)
		require.EqualValues(t, i+1, page.Events[i].Position.Offset)
	}
	return ids
}

// watch returns what the store notifies of, but for the zero Commit that comes first.
func watch(t testing.TB, st *Store) <-chan storage.Commit {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	told, ended := make(chan storage.Commit, 1000), make(chan error)
	go func() { ended <- st.Watch(ctx, func(c storage.Commit) { told <- c }) }()
	t.Cleanup(func() {
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
	require.Equal(t, storage.Commit{}, <-told)
	return told
}

// toldOf waits for a notification of an event.
func toldOf(t testing.TB, told <-chan storage.Commit) storage.Commit {
	t.Helper()
	for {
		if c := <-told; c.Event != nil {
			return c
		}
	}
}

func TestAnEventGoesOutIfItsTransactionCommits(t *testing.T) {
	st := withTable(t)
	told := watch(t, st)
	tx := begin(t, st)
	_, err := tx.ExecContext(t.Context(), `INSERT INTO note VALUES ('lost')`)
	require.NoError(t, err)
	out, err := st.AppendTx(t.Context(), tx, prepared("lost"))
	require.NoError(t, err)
	require.EqualValues(t, 1, out[0].Position.Offset)
	require.NoError(t, tx.Rollback())
	require.Empty(t, kept(t, st))
	require.Zero(t, notes(t, st))

	tx = begin(t, st)
	_, err = tx.ExecContext(t.Context(), `INSERT INTO note VALUES ('kept')`)
	require.NoError(t, err)
	out, err = st.AppendTx(t.Context(), tx, prepared("1"), prepared("2"))
	require.NoError(t, err)
	require.Len(t, out, 2)
	require.EqualValues(t, 1, out[0].Position.Offset, "what was rolled back leaves no hole")
	more, err := st.AppendTx(t.Context(), tx, prepared("3"))
	require.NoError(t, err)
	out = append(out, more...)
	require.Empty(t, kept(t, st), "before the commit")
	require.NoError(t, tx.Commit())
	require.Equal(t, []string{"1", "2", "3"}, kept(t, st))
	require.Equal(t, 1, notes(t, st))

	page, err := st.Read(t.Context(), room, storage.ReadOptions{})
	require.NoError(t, err)
	for i, want := range page.Events {
		c := toldOf(t, told)
		assert.Equal(t, out[i].Position, c.Latest)
		assert.Equal(t, room, c.Channel)
		assert.Equal(t, want.ID, c.Event.ID)
		assert.Equal(t, want.Data, c.Event.Data)
		assert.Equal(t, want.Position, c.Event.Position)
	}
	after, err := st.Append(t.Context(), room, prepared("4").Event, prepared("4").Options)
	require.NoError(t, err)
	require.EqualValues(t, 4, after.Position.Offset)
	require.Equal(t, "4", toldOf(t, told).Event.ID, "nothing was told of what was rolled back")
}

// TestSavepointsOfTheCaller rolls a part of a transaction back after its events were
// appended.
func TestSavepointsOfTheCaller(t *testing.T) {
	st := withTable(t)
	told := watch(t, st)
	tx := begin(t, st)
	appendOne := func(id string) {
		_, err := st.AppendTx(t.Context(), tx, prepared(id))
		require.NoError(t, err)
	}
	exec := func(text string) {
		_, err := tx.ExecContext(t.Context(), text)
		require.NoError(t, err)
	}
	appendOne("1")
	exec(`SAVEPOINT part`)
	appendOne("lost")
	appendOne("lost, too")
	exec(`ROLLBACK TO part`)
	appendOne("2")
	require.NoError(t, tx.Commit())
	require.Equal(t, []string{"1", "2"}, kept(t, st))
	require.Equal(t, "1", toldOf(t, told).Event.ID)
	require.Equal(t, "2", toldOf(t, told).Event.ID)
}

// TestARolledBackEpoch has a transaction begin an epoch, which a floor asks for, and
// lose it.
func TestARolledBackEpoch(t *testing.T) {
	st := withTable(t)
	high := prepared("1")
	high.Options.Floor = storage.Position{Epoch: storage.NewEpoch(storage.Epoch{Number: 1 << 50}), Offset: 7}
	var positions []storage.Position
	for range 2 {
		tx := begin(t, st)
		out, err := st.AppendTx(t.Context(), tx, high)
		require.NoError(t, err)
		require.True(t, out[0].Position.After(high.Options.Floor))
		positions = append(positions, out[0].Position)
		if len(positions) == 1 {
			require.NoError(t, tx.Rollback())
		} else {
			require.NoError(t, tx.Commit())
		}
	}
	page, err := st.Read(t.Context(), room, storage.ReadOptions{})
	require.NoError(t, err)
	require.Equal(t, positions[1], page.Latest)
	require.NotEqual(t, positions[0], positions[1])
}

func TestAppendTxIsAllOrNothing(t *testing.T) {
	st := withTable(t)
	first := prepared("first")
	first.Options.IdempotencyKey = "k"
	first.Options.RequestHash = [32]byte{1}
	_, err := st.Append(t.Context(), room, first.Event, first.Options)
	require.NoError(t, err)

	tx := begin(t, st)
	_, err = tx.ExecContext(t.Context(), `INSERT INTO note VALUES ('kept')`)
	require.NoError(t, err)
	reused := prepared("reused")
	reused.Options.IdempotencyKey = "k"
	_, err = st.AppendTx(t.Context(), tx, prepared("not alone"), reused)
	require.ErrorIs(t, err, storage.ErrKeyReused)
	retried := prepared("retried")
	retried.Options = first.Options
	out, err := st.AppendTx(t.Context(), tx, retried, prepared("second"))
	require.NoError(t, err)
	require.True(t, out[0].Duplicate)
	require.EqualValues(t, 1, out[0].Position.Offset)
	require.EqualValues(t, 2, out[1].Position.Offset)
	require.NoError(t, tx.Commit())
	require.Equal(t, []string{"first", "second"}, kept(t, st))
	require.Equal(t, 1, notes(t, st))

	tx = begin(t, st)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = st.AppendTx(ctx, tx, prepared("late"))
	require.ErrorIs(t, err, context.Canceled)
	unkept := prepared("unkept")
	unkept.Options.Retention = storage.Retention{}
	_, err = st.AppendTx(t.Context(), tx, unkept)
	require.ErrorContains(t, err, "keeps")
}

func TestTransactionsThatTakeNoEvents(t *testing.T) {
	st := withTable(t)
	for name, db := range map[string]func() *sql.DB{
		"of another store": func() *sql.DB { return withTable(t).DB() },
		"of another handle": func() *sql.DB {
			db, err := driver.Open("file:" + filepath.ToSlash(st.path))
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, db.Close()) })
			return db
		},
	} {
		t.Run(name, func(t *testing.T) {
			tx, err := db().BeginTx(t.Context(), nil)
			require.NoError(t, err)
			_, err = st.AppendTx(t.Context(), tx, prepared("1"))
			require.ErrorIs(t, err, ErrTransaction)
			require.NoError(t, tx.Rollback())
		})
	}
	t.Run("read-only", func(t *testing.T) {
		tx, err := st.DB().BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
		require.NoError(t, err)
		_, err = st.AppendTx(t.Context(), tx, prepared("1"))
		require.ErrorIs(t, err, ErrTransaction)
		require.NoError(t, tx.Commit())
	})
	t.Run("ended", func(t *testing.T) {
		tx := begin(t, st)
		require.NoError(t, tx.Commit())
		_, err := st.AppendTx(t.Context(), tx, prepared("1"))
		require.ErrorIs(t, err, sql.ErrTxDone)
	})
	require.Empty(t, kept(t, st))
}

// TestWritesWithinATransaction calls what would wait for the caller's own transaction.
func TestWritesWithinATransaction(t *testing.T) {
	st := withTable(t, WithBusyTimeout(20*time.Millisecond))
	appendOne := func(ctx context.Context) error {
		_, err := st.Append(ctx, room, prepared("1").Event, prepared("1").Options)
		return err
	}
	require.NoError(t, st.InTx(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		require.ErrorIs(t, appendOne(ctx), ErrInTransaction)
		require.ErrorIs(t, st.InTx(ctx, nil), ErrInTransaction)
		require.ErrorIs(t, appendOne(t.Context()), ErrLocked, "a context that does not tell")
		_, err := st.AppendTx(ctx, tx, prepared("1"))
		return err
	}))
	require.Equal(t, []string{"1"}, kept(t, st))

	tx := begin(t, st)
	var busy *BusyError
	require.ErrorAs(t, appendOne(t.Context()), &busy)
	require.Positive(t, busy.Waited)
	require.ErrorIs(t, st.InTx(t.Context(), nil), ErrLocked)
	require.NoError(t, tx.Rollback())
	require.NoError(t, appendOne(t.Context()))
}

func TestInTxRollsBack(t *testing.T) {
	st := withTable(t)
	failed := errors.New("failed")
	insert := func(ctx context.Context, tx *sql.Tx) {
		_, err := tx.ExecContext(ctx, `INSERT INTO note VALUES ('lost')`)
		require.NoError(t, err)
		_, err = st.AppendTx(ctx, tx, prepared("lost"))
		require.NoError(t, err)
	}
	require.ErrorIs(t, st.InTx(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		insert(ctx, tx)
		return failed
	}), failed)
	require.PanicsWithValue(t, "at the disco", func() {
		_ = st.InTx(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			insert(ctx, tx)
			panic("at the disco")
		})
	})
	require.Zero(t, notes(t, st))
	require.Empty(t, kept(t, st))
}

// TestCommitsOfOthers has another store on the file, as another process has, append in
// each way, while the caller's own tables are written to.
func TestCommitsOfOthers(t *testing.T) {
	st := withTable(t)
	other := openFile(t, st.path)
	told := watch(t, st)
	for len(told) > 0 {
		<-told
	}
	anything := func() {
		t.Helper()
		for (<-told != storage.Commit{}) {
		}
	}
	_, err := other.Append(t.Context(), room, prepared("1").Event, prepared("1").Options)
	require.NoError(t, err)
	anything()
	require.NoError(t, other.InTx(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		_, err := other.AppendTx(ctx, tx, prepared("2"))
		return err
	}))
	anything()
	_, err = st.DB().ExecContext(t.Context(), `INSERT INTO note VALUES ('own')`)
	require.NoError(t, err)
	_, err = other.Append(t.Context(), room, prepared("3").Event, prepared("3").Options)
	require.NoError(t, err)
	anything()
	require.Equal(t, []string{"1", "2", "3"}, kept(t, st))
}
