package sqlite

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

// maxPages bounds the file, as a disk would.
func maxPages(t testing.TB, st *Store, n int) {
	t.Helper()
	require.NoError(t, st.write(t.Context(), &task{events: 1, do: func(w *writer) error {
		return w.session.conn.Exec(fmt.Sprintf(`PRAGMA max_page_count = %d`, n))
	}}))
}

// A file that may not grow refuses what has no room, and nothing else: it is read, what
// fits is still taken, and so is the rest when there is room again.
func TestFullFile(t *testing.T) {
	st := open(t)
	appendTo(t, st, room, "first", keep(1000))
	maxPages(t, st, 100)
	big := strings.Repeat("x", 20_000)
	want := []string{"first"}
	var full error
	for i := 0; full == nil && i < 100; i++ {
		text := fmt.Sprint(i, big)
		_, full = st.Append(t.Context(), room, &storage.Event{Data: []byte(text)}, keep(1000))
		if full == nil {
			want = append(want, text)
		}
	}
	require.ErrorIs(t, full, ErrFull)
	require.NotErrorIs(t, full, storage.ErrOutcomeUnknown, "it was full before the commit")
	results := st.AppendBatch(t.Context(), []storage.AppendRequest{
		{Channel: room, Event: &storage.Event{Data: []byte(big)}, Options: keep(1000)},
	})
	require.ErrorIs(t, results[0].Err, ErrFull)
	require.Equal(t, want, texts(t, st, room))
	appendTo(t, st, room, "fits", keep(1000))
	maxPages(t, st, 1000)
	appendTo(t, st, room, big, keep(1000))
	want = append(want, "fits", big)
	require.Equal(t, want, texts(t, st, room))
	require.NoError(t, st.Close())
	require.Equal(t, want, texts(t, openFile(t, st.path), room))
}
