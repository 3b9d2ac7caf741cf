package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func web(t *testing.T) string {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "index.html"), []byte("page"), 0o600))
	return dir
}

// started runs the program until the test ends it, and returns what it prints.
func started(t *testing.T, args ...string) (lines []string, end func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, append([]string{"-addr", "127.0.0.1:0"}, args...), w) }()
	out := bufio.NewScanner(r)
	for out.Scan() {
		lines = append(lines, out.Text())
		if strings.HasPrefix(out.Text(), "Open a private window") {
			break
		}
	}
	return lines, func() error { cancel(); return <-done }
}

func TestRun(t *testing.T) {
	data := filepath.Join(t.TempDir(), "new", "folder")
	lines, end := started(t, "-web", web(t), "-data", data)
	require.Len(t, lines, 5, "%q", lines)
	assert.Regexp(t, `^Carillon chat: http://127\.0\.0\.1:\d+$`, lines[0])
	assert.Equal(t, "Data folder: "+data, lines[1])
	assert.Regexp(t, `^To become a teacher: http://127\.0\.0\.1:\d+/invite/[A-Z2-7]{26}$`, lines[2])
	assert.Regexp(t, `^To become an admin: http`, lines[3])
	url := strings.TrimPrefix(lines[0], "Carillon chat: ")
	token := lines[3][strings.LastIndex(lines[3], "/")+1:]

	s := &site{t: t, url: url}
	root := s.visitor()
	var answer struct{ User user }
	root.must(http.StatusCreated, "POST", "/api/session", object{"name": "Root", "passphrase": passphrase, "invite": token}, &answer)
	assert.Equal(t, "admin", answer.User.Role)
	root.say(lobby, "survives")
	root.client.CloseIdleConnections()
	require.NoError(t, end())

	for _, name := range []string{"keys.json", "chat.db"} {
		info, err := os.Stat(filepath.Join(data, name))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
	}

	// After a restart the cookie is good, and everything is there.
	lines, end = started(t, "-web", web(t), "-data", data)
	require.Len(t, lines, 3, "there is an admin: %q", lines)
	s.url = strings.TrimPrefix(lines[0], "Carillon chat: ")
	assert.Equal(t, []string{"survives"}, root.texts(lobby))
	root.client.CloseIdleConnections()
	require.NoError(t, end())
}

func TestRunInMemory(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	lines, end := started(t, "-web", web(t), "-storage", "memory", "-url", "https://chat.example.com/")
	assert.Equal(t, "Carillon chat: https://chat.example.com", lines[0])
	require.NoError(t, end())
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestOptionsAreChecked(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	good := web(t)
	for want, args := range map[string][]string{
		"make chat":                        {"-web", t.TempDir()},
		"-messages 0":                      {"-web", good, "-messages", "0"},
		"-room-size 1":                     {"-web", good, "-room-size", "1"},
		"-url example.com":                 {"-web", good, "-url", "example.com"},
		"-url https://x/y":                 {"-web", good, "-url", "https://x/y"},
		"-storage redis":                   {"-web", good, "-storage", "redis"},
		"leave -data out":                  {"-web", good, "-storage", "memory", "-data", "x"},
		"-words":                           {"-web", good, "-words", "/does/not/exist"},
		`"extra" is no option`:             {"-web", good, "extra"},
		"-addr (or ADDR) 127.0.0.1:-1":     {"-web", good, "-addr", "127.0.0.1:-1"},
		"not a Carillon":                   {"-web", good, "-storage", "sqlite:" + filepath.Join(good, "index.html")},
		"flag provided but not defined: -": {"-nonsense"},
	} {
		err := run(t.Context(), args, io.Discard)
		if want == "not a Carillon" { // the store has its own words for it
			assert.Error(t, err)
			continue
		}
		assert.ErrorContains(t, err, want)
	}
}

func TestKeysAreMadeOnce(t *testing.T) {
	dir := t.TempDir()
	first, err := loadKeys(dir)
	require.NoError(t, err)
	again, err := loadKeys(dir)
	require.NoError(t, err)
	assert.Equal(t, first, again)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "keys.json"), []byte("{}"), 0o600))
	_, err = loadKeys(dir)
	assert.ErrorContains(t, err, "a key is missing")
}

func TestWordsAreRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "words")
	require.NoError(t, os.WriteFile(file, []byte("Darn\n\n  HECK \n"), 0o600))
	words, err := readWords(file)
	require.NoError(t, err)
	assert.Equal(t, map[string]bool{"darn": true, "heck": true}, words)
}

func TestFilesOfEarlierVersionsAreRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "chat.db")
	store, err := openStore(t.Context(), file)
	require.NoError(t, err)
	_, err = store.DB().ExecContext(t.Context(), `DROP TRIGGER push_of_ended; DROP INDEX push_by_session; ALTER TABLE push_subscriptions DROP COLUMN session_id`)
	require.NoError(t, err)
	require.NoError(t, store.Close())
	_, err = openStore(t.Context(), file)
	assert.ErrorContains(t, err, "move it away to begin anew")
}
