package sqlite

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/words"
)

// A ranked search returns what sorting all hits by their scores does, page by page, although
// it reads few of them.
func TestRankedSearchIsExact(t *testing.T) {
	st := open(t, WithSearch())
	some := rapid.SampledFrom([]string{"tea", "tea", "teapot", "te", "milk", "世界", "世", "界世界世", "much more than that", "tea tea tea", strings.Repeat("x", 60)})
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		ch := storage.ChannelID{App: fmt.Sprint("app", runs), Name: "room"}
		text := func(name string) []byte {
			return []byte(strings.Join(rapid.SliceOfN(some, 1, 8).Draw(t, name), " "))
		}
		keep := storage.AppendOptions{Retention: storage.Retention{Events: rapid.IntRange(1, 40).Draw(t, "keep")}}
		for i := range rapid.IntRange(0, 40).Draw(t, "events") {
			_, err := st.Append(t.Context(), ch, &storage.Event{ID: fmt.Sprint(i), Data: text("text")}, keep)
			require.NoError(t, err)
			if rapid.IntRange(0, 9).Draw(t, "edited") == 0 {
				_, err := st.Amend(t.Context(), ch, storage.Amendment{Kind: storage.Edit, Target: fmt.Sprint(i), Data: text("new text"),
					Event: &storage.Event{ID: fmt.Sprint(i, "edited"), Name: "edited"}, Options: keep})
				require.NoError(t, err)
			}
		}
		query := rapid.SampledFrom([]string{"tea", "te*", "t*", "teap*", "tea milk", "世界", "世", "界世界", "x*", strings.Repeat("x", 60), "that tea"}).Draw(t, "query")
		q, err := words.Parse(query)
		require.NoError(t, err)
		page, err := st.Read(t.Context(), ch, storage.ReadOptions{Current: true, Backward: true})
		require.NoError(t, err)
		want := slices.DeleteFunc(append([]storage.Event{}, page.Events...), func(ev storage.Event) bool { return len(q.Find(ev.Data).Spans) == 0 })
		slices.SortStableFunc(want, func(a, b storage.Event) int {
			switch x, y := q.Find(a.Data).Score, q.Find(b.Data).Score; {
			case x > y:
				return -1
			case x < y:
				return 1
			}
			return 0
		})
		size := rapid.IntRange(1, 10).Draw(t, "page")
		got := []storage.Event{}
		for next := ""; ; {
			found, err := st.Search(t.Context(), storage.SearchQuery{App: ch.App, Text: query, Ranked: true, MaxHits: size, Next: next})
			require.NoError(t, err)
			for _, hit := range found.Hits {
				got = append(got, hit.Event)
				require.Equal(t, q.Find(hit.Event.Data).Spans, hit.Highlights)
			}
			if next = found.Next; next == "" {
				break
			}
			require.Len(t, found.Hits, size)
		}
		require.Equal(t, want, got)
	})
}

// An index without outlines, as files had before, is made anew by whoever opens the file.
func TestAnIndexWithoutOutlinesIsMadeAnew(t *testing.T) {
	st := open(t, WithSearch())
	p := prepared("a")
	_, err := st.Append(t.Context(), room, p.Event, p.Options)
	require.NoError(t, err)
	_, err = st.DB().ExecContext(t.Context(), dropIndex+`;
		CREATE TABLE carillon_doc (id INTEGER PRIMARY KEY, event INTEGER NOT NULL UNIQUE);
		CREATE VIRTUAL TABLE carillon_words USING fts5 (words);
		CREATE TRIGGER carillon_doc_amended AFTER INSERT ON carillon_state BEGIN SELECT 1; END;
		CREATE TRIGGER carillon_doc_again AFTER UPDATE ON carillon_state BEGIN SELECT 1; END;
		CREATE TRIGGER carillon_doc_retracted AFTER UPDATE ON carillon_event BEGIN SELECT 1; END;
		CREATE TRIGGER carillon_doc_gone AFTER DELETE ON carillon_event BEGIN SELECT 1; END`)
	require.NoError(t, err)
	require.NoError(t, st.Close())
	st = openFile(t, st.path) // not even with WithSearch
	p = prepared("b")
	_, err = st.Append(t.Context(), room, p.Event, p.Options)
	require.NoError(t, err)
	assert.Equal(t, []string{"b", "a"}, foundIn(t, st, "data"))
}

// A page that is nobody's is empty.
func TestRankedPagesEnd(t *testing.T) {
	st := open(t, WithSearch())
	p := prepared("a")
	_, err := st.Append(t.Context(), room, p.Event, p.Options)
	require.NoError(t, err)
	for _, next := range []int64{1, 2, 1<<63 - 1} {
		page, err := st.Search(t.Context(), storage.SearchQuery{App: room.App, Text: "data", Ranked: true, Next: nextText("r", next)})
		require.NoError(t, err)
		assert.Empty(t, page.Hits)
		assert.Empty(t, page.Next)
	}
	p = prepared("b")
	_, err = st.Append(t.Context(), room, p.Event, p.Options)
	require.NoError(t, err)
	page, err := st.Search(t.Context(), storage.SearchQuery{App: room.App, Text: "data", Ranked: true, MaxHits: math.MaxInt, Next: nextText("r", 1)})
	require.NoError(t, err)
	assert.Len(t, page.Hits, 1)
	assert.Empty(t, page.Next)
}
