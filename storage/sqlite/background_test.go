package sqlite

import (
	"bytes"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

// logged is what was logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// What cannot be removed is logged, once, and holds up nobody.
func TestWhatCannotBeRemovedIsLogged(t *testing.T) {
	var l logged
	st := open(t, WithLogger(slog.New(slog.NewTextHandler(&l, nil))))
	appendTo(t, st, room, "first", keep(1))
	_, err := st.DB().ExecContext(t.Context(), `CREATE TRIGGER stop BEFORE DELETE ON carillon_event BEGIN SELECT RAISE(ABORT, 'not now'); END`)
	require.NoError(t, err)
	for i := range 4 * slack {
		appendTo(t, st, room, strconv.Itoa(i), keep(1))
	}
	require.Eventually(t, func() bool { return l.count("not now") > 0 }, 10*time.Second, time.Millisecond)
	appendTo(t, st, room, "last", keep(1))
	require.Equal(t, 1, l.count("not now"))
	require.Equal(t, []string{"last"}, texts(t, st, room))
}

// What is removed can be found in the file as long as its pages are not used again, unless
// it is to be erased.
func TestErasing(t *testing.T) {
	for name, opts := range map[string][]Option{"kept": nil, "erased": {WithErasing()}} {
		t.Run(name, func(t *testing.T) {
			var c clock
			st := open(t, append(opts, onClock(&c))...)
			const secret = "nobody is to know"
			appendTo(t, st, room, strings.Repeat(secret, 2000), keep(1))
			checkpoint(t, st)
			// An amendment erases in any case, and does not end that.
			other := storage.ChannelID{App: "app", Name: "other"}
			_, err := st.Append(t.Context(), other, &storage.Event{ID: "a"}, keep(1))
			require.NoError(t, err)
			_, err = st.Amend(t.Context(), other, storage.Amendment{Kind: storage.Edit, Target: "a", Event: &storage.Event{ID: "b"}, Options: keep(1)})
			require.NoError(t, err)
			appendTo(t, st, room, "short", keep(1))
			c.advance(time.Hour) // it is no longer kept for fills
			awaitRows(t, st, "carillon_event WHERE length(data) > 1000", 0)
			checkpoint(t, st)
			file, err := os.ReadFile(st.path)
			require.NoError(t, err)
			require.Equal(t, len(opts) == 0, bytes.Contains(file, []byte(secret)))
		})
	}
}

// The application's own tables are in the file, too.
func TestErasingOfOtherTables(t *testing.T) {
	for name, opts := range map[string][]Option{"as SQLite does": nil, "erased": {WithErasing()}} {
		t.Run(name, func(t *testing.T) {
			st := open(t, opts...)
			const secret = "nobody is to know"
			_, err := st.DB().ExecContext(t.Context(), `CREATE TABLE note (text TEXT)`)
			require.NoError(t, err)
			_, err = st.DB().ExecContext(t.Context(), `INSERT INTO note VALUES (?)`, strings.Repeat(secret, 2000))
			require.NoError(t, err)
			checkpoint(t, st)
			_, err = st.DB().ExecContext(t.Context(), `DELETE FROM note`)
			require.NoError(t, err)
			checkpoint(t, st)
			file, err := os.ReadFile(st.path)
			require.NoError(t, err)
			require.Equal(t, len(opts) == 0, bytes.Contains(file, []byte(secret)))
		})
	}
}
