package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

// editOf is an amendment as a broker prepares it.
func editOf(id string, version uint64, kind storage.AmendKind, data string) storage.Prepared {
	ev := &storage.Event{ID: fmt.Sprintf("%v-%s-%d", kind, id, version), Name: "carillon:edited", Data: []byte(data), Time: time.Now(),
		Amends: kind, Target: id, Version: version + 1}
	opts := storage.AppendOptions{Retention: storage.Retention{Events: 1000}}
	return storage.Prepared{Channel: room, Event: ev, Options: opts,
		Amendment: &storage.Amendment{Kind: kind, Target: id, Version: version, Data: []byte(data), Event: ev, Options: opts}}
}

func currentOf(t testing.TB, st *Store) (data []string) {
	t.Helper()
	page, err := st.Read(t.Context(), room, storage.ReadOptions{Current: true})
	require.NoError(t, err)
	for _, ev := range page.Events {
		data = append(data, fmt.Sprintf("%s/%d", ev.Data, ev.Version))
	}
	return data
}

func TestAppendTxAmends(t *testing.T) {
	st := withTable(t)
	tx := begin(t, st)
	_, err := st.AppendTx(t.Context(), tx, prepared("a"), editOf("a", 0, storage.Edit, "one"))
	require.NoError(t, err, "an event and an amendment of it in one transaction")
	assert.Empty(t, kept(t, st))
	require.NoError(t, tx.Commit())
	assert.Equal(t, []string{"one/1"}, currentOf(t, st))

	tx = begin(t, st)
	out, err := st.AppendTx(t.Context(), tx, editOf("a", 1, storage.Extend, " two"))
	require.NoError(t, err)
	assert.EqualValues(t, 3, out[0].Position.Offset)
	_, err = tx.Exec(`INSERT INTO note VALUES ('x')`)
	require.NoError(t, err)
	require.NoError(t, tx.Rollback())
	assert.Equal(t, []string{"one/1"}, currentOf(t, st), "what is rolled back changes nothing")
	assert.Zero(t, notes(t, st))

	tx = begin(t, st)
	_, err = st.AppendTx(t.Context(), tx, editOf("a", 1, storage.Edit, "three"), editOf("a", 1, storage.Edit, "four"))
	require.ErrorIs(t, err, storage.ErrStaleVersion)
	_, err = st.AppendTx(t.Context(), tx, editOf("b", 0, storage.Edit, "x"))
	require.ErrorIs(t, err, storage.ErrNoTarget)
	_, err = st.AppendTx(t.Context(), tx, editOf("a", 1, storage.Extend, " two"))
	require.NoError(t, err, "the transaction goes on after an error")
	require.NoError(t, tx.Commit())
	assert.Equal(t, []string{"one two/2"}, currentOf(t, st))
	assert.Equal(t, []string{"a", "edit-a-0", "extend-a-1"}, kept(t, st))
}

// A caller within its own transaction learns of the target of an amendment, also where
// nothing of the channel has been amended yet.
func TestTargetWithinTransaction(t *testing.T) {
	st := open(t)
	for _, id := range []string{"a", "b", "a"} {
		_, err := st.Append(t.Context(), room, prepared(id).Event, prepared(id).Options)
		require.NoError(t, err)
	}
	for version := range uint64(2) {
		require.NoError(t, st.InTx(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			_, err := st.Target(ctx, room, "c")
			require.ErrorIs(t, err, storage.ErrNoTarget)
			ev, err := st.Target(ctx, room, "a")
			require.NoError(t, err)
			require.Equal(t, version, ev.Version)
			require.EqualValues(t, 3, ev.Position.Offset, "the latest of those with the ID")
			_, err = st.AppendTx(ctx, tx, editOf("a", version, storage.Edit, "new"))
			return err
		}))
	}
}

// The first amendment of a channel with very many events lets others write meanwhile.
func TestManyEventsAreNamedInParts(t *testing.T) {
	st := open(t)
	const many = 3*nameRows - 1
	batch := make([]storage.AppendRequest, many)
	for i := range batch {
		batch[i] = storage.AppendRequest{Channel: room, Event: &storage.Event{ID: fmt.Sprint(i), Name: "message"}, Options: keep(2 * many)}
	}
	for _, result := range st.AppendBatch(t.Context(), batch) {
		require.NoError(t, result.Err)
	}
	before := st.taken.Load()
	ev, err := st.Target(t.Context(), room, "0")
	require.NoError(t, err)
	assert.EqualValues(t, 1, ev.Position.Offset)
	assert.EqualValues(t, 3, st.taken.Load()-before)
	for _, i := range []int{0, nameRows - 1, nameRows, 2*nameRows - 1, 2 * nameRows, many - 1} {
		ev, err := st.Target(t.Context(), room, fmt.Sprint(i))
		require.NoError(t, err)
		assert.EqualValues(t, i+1, ev.Position.Offset)
	}
	assert.Equal(t, many, rows(t, st, "carillon_named"))
	assert.EqualValues(t, 3, st.taken.Load()-before)
}

// Other connections on the file see what is amended, and amend themselves.
func TestTwoStoresAmend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "carillon.db")
	one := openFile(t, path)
	two := openFile(t, path)
	_, err := one.Append(t.Context(), room, prepared("a").Event, prepared("a").Options)
	require.NoError(t, err)
	for i := range uint64(6) {
		st := []*Store{one, two}[i%2]
		ev, err := st.Target(t.Context(), room, "a")
		require.NoError(t, err)
		require.Equal(t, i, ev.Version)
		_, err = st.Amend(t.Context(), room, *editOf("a", i, storage.Edit, fmt.Sprint(i)).Amendment)
		require.NoError(t, err)
	}
	assert.Equal(t, []string{"5/6"}, currentOf(t, one))
	assert.Equal(t, []string{"5/6"}, currentOf(t, two))
}

// What was retracted is not in the file any more, wherever one looks.
func TestRetractedDataIsOverwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "carillon.db")
	st := openFile(t, path)
	secret := func(n int) string { return fmt.Sprintf("secret-%d-%s", n, bytes.Repeat([]byte("x"), 3000)) }
	ev := prepared("a").Event
	ev.Data = []byte(secret(0))
	_, err := st.Append(t.Context(), room, ev, prepared("a").Options)
	require.NoError(t, err)
	for i := range uint64(3) {
		_, err = st.Amend(t.Context(), room, *editOf("a", i, storage.Edit, secret(int(i+1))).Amendment)
		require.NoError(t, err)
	}
	_, err = st.Amend(t.Context(), room, *editOf("a", 3, storage.Retract, "").Amendment)
	require.NoError(t, err)
	_, err = st.DB().ExecContext(t.Context(), `PRAGMA wal_checkpoint(TRUNCATE)`)
	require.NoError(t, err)
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + suffix)
		require.NoError(t, err)
		assert.False(t, bytes.Contains(content, []byte("secret-")), suffix)
	}
}

// A channel whose events were partly removed before the first amendment of one.
func TestAmendAfterRetention(t *testing.T) {
	st := open(t)
	opts := storage.AppendOptions{Retention: storage.Retention{Events: 3}}
	for i := range 10 {
		_, err := st.Append(t.Context(), room, &storage.Event{ID: fmt.Sprint(i), Data: []byte(fmt.Sprint(i))}, opts)
		require.NoError(t, err)
	}
	amend := func(id string, version uint64) error {
		a := editOf(id, version, storage.Edit, "e"+id).Amendment
		a.Options = opts
		_, err := st.Amend(t.Context(), room, *a)
		return err
	}
	require.ErrorIs(t, amend("6", 0), storage.ErrNoTarget)
	require.NoError(t, amend("7", 0))
	require.NoError(t, amend("9", 0))
	assert.Equal(t, []string{"e7/1", "8/0", "e9/1"}, currentOf(t, st))
	_, err := st.Append(t.Context(), room, &storage.Event{ID: "10", Data: []byte("10")}, opts)
	require.NoError(t, err)
	assert.Equal(t, []string{"8/0", "e9/1", "10/0"}, currentOf(t, st))
	require.ErrorIs(t, amend("7", 1), storage.ErrNoTarget)
}

// A target that there is not is no fault of the file: its error says nothing of that, and
// the connection is used again.
func TestNoTargetIsNoFaultOfTheFile(t *testing.T) {
	st := open(t)
	_, err := st.Append(t.Context(), room, prepared("a").Event, prepared("a").Options)
	require.NoError(t, err)
	for range 2 {
		_, err = st.Target(t.Context(), room, "b")
		require.ErrorIs(t, err, storage.ErrNoTarget)
		assert.NotContains(t, err.Error(), st.path)
		st.readers.mu.Lock()
		assert.Len(t, st.readers.idle, 1)
		st.readers.mu.Unlock()
	}
}
