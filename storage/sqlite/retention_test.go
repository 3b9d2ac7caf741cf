package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

// rows counts the rows of a table.
func rows(t testing.TB, st *Store, table string) (n int) {
	t.Helper()
	require.NoError(t, st.DB().QueryRowContext(t.Context(), `SELECT count(*) FROM `+table).Scan(&n))
	return n
}

func awaitRows(t testing.TB, st *Store, table string, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return rows(t, st, table) == n }, 30*time.Second, 10*time.Millisecond,
		"%d rows in %s", n, table)
}

// What the retention does not keep leaves the file in the background, whoever
// publishes or not, and what it keeps stays.
func TestRetentionEmptiesTheFile(t *testing.T) {
	var c clock
	st := open(t, onClock(&c))
	counted, aged, deleted, none := room, storage.ChannelID{App: "app", Name: "aged"}, storage.ChannelID{App: "app", Name: "deleted"}, storage.ChannelID{App: "app", Name: "none"}
	for i := range 300 {
		appendTo(t, st, counted, strconv.Itoa(i), keep(10))
		appendTo(t, st, aged, strconv.Itoa(i), storage.AppendOptions{Retention: storage.Retention{Events: 1000, Age: time.Minute}})
		appendTo(t, st, deleted, strconv.Itoa(i), keep(1000))
		appendTo(t, st, none, strconv.Itoa(i), storage.AppendOptions{IdempotencyKey: strconv.Itoa(i)})
	}
	require.Less(t, rows(t, st, "carillon_event"), 600+300, "a busy channel is trimmed as it grows")
	require.NoError(t, st.Delete(t.Context(), deleted))
	latest, err := st.Latest(t.Context(), []storage.ChannelID{counted, aged, deleted, none})
	require.NoError(t, err)
	require.Equal(t, 300, rows(t, st, "carillon_key"))
	c.advance(10 * time.Minute)
	awaitRows(t, st, "carillon_event", 10)
	awaitRows(t, st, "carillon_key", 0)
	require.Equal(t, []string{"290", "291", "292", "293", "294", "295", "296", "297", "298", "299"}, texts(t, st, counted))
	again, err := st.Latest(t.Context(), []storage.ChannelID{counted, aged, deleted, none})
	require.NoError(t, err)
	require.Equal(t, latest, again, "positions outlive events")

	c.advance(2 * DefaultForgetAfter)
	awaitRows(t, st, "carillon_channel", 1)
	again, err = st.Latest(t.Context(), []storage.ChannelID{counted, aged, deleted, none})
	require.NoError(t, err)
	for i, ch := range []storage.ChannelID{aged, deleted, none} {
		require.True(t, again[i+1].After(latest[i+1]), "a channel that is forgotten begins anew")
		require.Zero(t, again[i+1].Offset)
		_, err := st.Read(t.Context(), ch, storage.ReadOptions{From: latest[i+1]})
		require.ErrorIs(t, err, storage.ErrGap)
		before := latest[i+1]
		before.Offset = 0
		_, err = st.Read(t.Context(), ch, storage.ReadOptions{From: before})
		require.ErrorIs(t, err, storage.ErrGap, "there were events after the beginning of that epoch")
	}
	require.Len(t, texts(t, st, counted), 10)
}

// A channel in which nothing was published keeps its positions over restarts, so that
// its subscribers need not be told of a gap.
func TestEmptyChannelsContinue(t *testing.T) {
	st := open(t)
	before, err := storage.LatestOf(t.Context(), st, room)
	require.NoError(t, err)
	require.NoError(t, st.Close())
	st = openFile(t, st.path)
	page, err := st.Read(t.Context(), room, storage.ReadOptions{From: before})
	require.NoError(t, err)
	require.Empty(t, page.Events)
	appendTo(t, st, room, "1", keep(1))
	page, err = st.Read(t.Context(), room, storage.ReadOptions{From: before})
	require.NoError(t, err)
	require.Len(t, page.Events, 1)
}

// A channel of many epochs keeps those only from which somebody can continue.
func TestErasLeaveTheFile(t *testing.T) {
	var c clock
	st := open(t, onClock(&c))
	for i := range 20 {
		floor := keep(3)
		latest, err := storage.LatestOf(t.Context(), st, room)
		require.NoError(t, err)
		floor.Floor = latest
		floor.Floor.Offset += 100
		appendTo(t, st, room, strconv.Itoa(i), floor)
	}
	require.Equal(t, 19, rows(t, st, "carillon_era"))
	c.advance(2 * storage.FillAge)
	awaitRows(t, st, "carillon_event", 3)
	require.Equal(t, 3, rows(t, st, "carillon_era"), "the last one before the first event that is kept, and those of the others")
	require.Equal(t, []string{"17", "18", "19"}, texts(t, st, room))
}

// A trim that is too much for one transaction goes on in the next.
func TestTrimIsBounded(t *testing.T) {
	var c clock
	st := open(t, onClock(&c))
	batch := make([]storage.AppendRequest, 5*trimRows)
	for i := range batch {
		batch[i] = storage.AppendRequest{Channel: room, Event: &storage.Event{ID: strconv.Itoa(i)}, Options: keep(len(batch))}
	}
	for _, r := range st.AppendBatch(t.Context(), batch) {
		require.NoError(t, r.Err)
	}
	ch, _, err := readChannel(st)
	require.NoError(t, err)
	require.Equal(t, int64(len(batch)), ch.last)
	appendTo(t, st, room, "last", keep(1))
	c.advance(2 * storage.FillAge)
	awaitRows(t, st, "carillon_event", 1)
	require.Equal(t, []string{"last"}, texts(t, st, room))
}

func readChannel(st *Store) (c channel, first int64, err error) {
	err = st.readers.with(context.Background(), func(s *session) (err error) {
		var release func() error
		if c, release, err = s.look(room); err != nil {
			return err
		}
		return release()
	})
	return c, c.first, err
}

func TestReplacedFile(t *testing.T) {
	for name, replace := range map[string]func(t *testing.T, path string){
		"removed": func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) },
		"another": func(t *testing.T, path string) {
			other := filepath.Join(t.TempDir(), "other.db")
			require.NoError(t, openFile(t, other).Close())
			require.NoError(t, os.Rename(other, path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			st := open(t)
			appendTo(t, st, room, "1", keep(1))
			replace(t, st.path)
			require.Eventually(t, func() bool {
				_, err := st.Append(t.Context(), room, &storage.Event{}, keep(1))
				return err != nil
			}, 30*time.Second, 10*time.Millisecond)
			_, err := st.Append(t.Context(), room, &storage.Event{}, keep(1))
			require.ErrorIs(t, err, ErrReplaced)
			_, err = st.Read(t.Context(), room, storage.ReadOptions{})
			require.ErrorIs(t, err, ErrReplaced)
		})
	}
}

// After a clock that was ahead, what was appended then and since goes late, and not early.
func TestAClockThatWasAhead(t *testing.T) {
	var c clock
	st := open(t, onClock(&c))
	opts := storage.AppendOptions{Retention: storage.Retention{Events: 10, Age: time.Minute}}
	c.advance(time.Hour)
	appendTo(t, st, room, "ahead", opts)
	c.advance(-time.Hour)
	appendTo(t, st, room, "right", opts)
	require.Equal(t, []string{"ahead", "right"}, texts(t, st, room))
	c.advance(time.Hour + 30*time.Second)
	require.Equal(t, []string{"ahead", "right"}, texts(t, st, room))
	c.advance(time.Minute)
	require.Empty(t, texts(t, st, room))
}
