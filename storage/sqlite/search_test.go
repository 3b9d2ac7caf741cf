package sqlite

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/storagetest"
)

func TestStoreWithSearch(t *testing.T) {
	var c clock
	storagetest.Run(t, func(t *testing.T) storagetest.Store { return open(t, onClock(&c), WithSearch()) }, storagetest.WithAdvance(c.advance))
}

func foundIn(t testing.TB, st *Store, text string) (ids []string) {
	t.Helper()
	page, err := st.Search(t.Context(), storage.SearchQuery{App: room.App, Text: text, MaxHits: 100})
	require.NoError(t, err)
	for _, hit := range page.Hits {
		ids = append(ids, hit.Event.ID)
	}
	return ids
}

// An index is made once, of what there is, and kept up by whoever opens the file.
func TestTheIndexStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "carillon.db")
	st := openFile(t, path)
	add := func(st *Store, id string) {
		_, err := st.Append(t.Context(), room, prepared(id).Event, prepared(id).Options)
		require.NoError(t, err)
	}
	add(st, "a")
	add(st, "b")
	_, err := st.Amend(t.Context(), room, *editOf("a", 0, storage.Edit, "edited").Amendment)
	require.NoError(t, err)
	add(st, "c")
	_, err = st.Amend(t.Context(), room, *editOf("c", 0, storage.Retract, "").Amendment)
	require.NoError(t, err)
	_, err = st.Search(t.Context(), storage.SearchQuery{App: room.App, Text: "data"})
	require.ErrorIs(t, err, errors.ErrUnsupported)
	assert.ErrorContains(t, err, "WithSearch")

	indexing := openFile(t, path, WithSearch())
	assert.Equal(t, []string{"b"}, foundIn(t, indexing, "data"))
	assert.Equal(t, []string{"a"}, foundIn(t, indexing, "edited"))
	add(st, "d") // by one that was open before there was an index
	assert.Equal(t, []string{"d", "b"}, foundIn(t, indexing, "data"))
	assert.Equal(t, []string{"d", "b"}, foundIn(t, st, "data"))
	require.NoError(t, indexing.Close())
	require.NoError(t, st.Close())

	st = openFile(t, path)
	add(st, "e")
	tx := begin(t, st)
	_, err = st.AppendTx(t.Context(), tx, prepared("f"), editOf("b", 0, storage.Edit, "other"))
	require.NoError(t, err)
	assert.Equal(t, []string{"e", "d", "b"}, foundIn(t, st, "data"), "nothing of a transaction that has not committed")
	require.NoError(t, tx.Commit())
	assert.Equal(t, []string{"f", "e", "d"}, foundIn(t, st, "data"))
	tx = begin(t, st)
	_, err = st.AppendTx(t.Context(), tx, prepared("g"))
	require.NoError(t, err)
	require.NoError(t, tx.Rollback())
	assert.Equal(t, []string{"f", "e", "d"}, foundIn(t, st, "data"))
	require.NoError(t, st.Close())
	assert.Equal(t, []string{"f", "e", "d"}, foundIn(t, openFile(t, path, WithSearch()), "data"))
}

// What leaves the file leaves the index.
func TestTheIndexForgets(t *testing.T) {
	st := open(t, WithSearch())
	for i := range 20 {
		_, err := st.Append(t.Context(), room, prepared(fmt.Sprint(i)).Event, prepared("").Options)
		require.NoError(t, err)
	}
	_, err := st.DB().ExecContext(t.Context(), `DELETE FROM carillon_event WHERE id & 274877906943 <= 15`) // as the retention does
	require.NoError(t, err)
	var docs int
	require.NoError(t, st.DB().QueryRowContext(t.Context(), `SELECT count(*) FROM carillon_doc`).Scan(&docs))
	assert.Equal(t, 5, docs)
	assert.Len(t, foundIn(t, st, "data"), 5)
	_, err = st.DB().ExecContext(t.Context(), `INSERT INTO carillon_words (carillon_words) VALUES ('integrity-check')`)
	require.NoError(t, err)
}

// Of more channels than the index is asked for, all are searched.
func TestSearchInManyChannels(t *testing.T) {
	st := open(t, WithSearch())
	for i := range 3 * maxChannelTokens {
		for _, kind := range []string{"a", "b"} {
			p := prepared(fmt.Sprint(kind, i))
			_, err := st.Append(t.Context(), storage.ChannelID{App: room.App, Name: fmt.Sprint(kind, "-", i)}, p.Event, p.Options)
			require.NoError(t, err)
		}
	}
	found := 0
	q := storage.SearchQuery{App: room.App, Text: "data", Channels: []string{"a-*"}}
	for {
		page, err := st.Search(t.Context(), q)
		require.NoError(t, err)
		for _, hit := range page.Hits {
			assert.Equal(t, "a", hit.Event.Channel[:1])
			found++
		}
		if q.Next = page.Next; q.Next == "" {
			break
		}
	}
	assert.Equal(t, 3*maxChannelTokens, found)
}

// A pattern that begins with a star is not worth a look at every channel: of many, what is
// found says which are meant.
func TestSearchByTheEndOfANameInManyChannels(t *testing.T) {
	st := open(t, WithSearch())
	var batch []storage.AppendRequest
	for i := range maxVisits + 100 {
		p := prepared(fmt.Sprint(i))
		p.Channel.Name = fmt.Sprintf("room-%d", i)
		batch = append(batch, storage.AppendRequest{Channel: p.Channel, Event: p.Event, Options: p.Options})
	}
	for _, r := range st.AppendBatch(t.Context(), batch) {
		require.NoError(t, r.Err)
	}
	for _, ranked := range []bool{false, true} {
		page, err := st.Search(t.Context(), storage.SearchQuery{App: room.App, Text: "data", Channels: []string{"*-1099", "no*", "room-7", "*om-8"}, Ranked: ranked})
		require.NoError(t, err)
		var found []string
		for _, hit := range page.Hits {
			found = append(found, hit.Event.Channel)
		}
		assert.Equal(t, []string{"room-1099", "room-8", "room-7"}, found)
	}
}
