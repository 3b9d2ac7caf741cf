package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/servertest"
)

func TestClientCommands(t *testing.T) {
	url, _ := servertest.Ours(t)
	app := []string{"-url", url, "-app-id", servertest.ID, "-key", servertest.Key, "-secret", servertest.Secret}
	for _, c := range []struct {
		args     []string
		code     int
		out, err string
	}{
		{append([]string{"publish", "a", "-event", "e", "-data", "1"}, app...), 0, `^{}\n$`, `^$`},
		{append([]string{"publish", "a", "-event", "e", "-data", "1"}, append(app, "-secret", "x")...), 1, `^$`, `^carillon: the server answered 401 `},
		{[]string{"publish", "a"}, 2, `^$`, `^carillon: the app's id is missing: give -app-id`},
		{[]string{"publish", "-help"}, 0, `^carillon publish \[flags\] CHANNEL…\n`, `^$`},
		{append([]string{"tail", "private-a"}, append(app, "-secret", "x")...), 1, `^$`, `carillon: subscription to private-a: .*invalid signature`},
		{append([]string{"tail"}, app...), 2, `^$`, `^carillon: name the channels`},
		{[]string{"apps", "new"}, 0, `\nsecret = "[0-9a-f]{40}"\n`, `^$`},
		{[]string{"apps"}, 2, `^$`, `apps new makes`},
		{[]string{"apps", "new", "-x"}, 2, `^$`, `-x`},
	} {
		out, err, code := said(t, c.args...)
		assert.Equal(t, c.code, code, c.args)
		assert.Regexp(t, c.out, out)
		assert.Regexp(t, c.err, err)
	}
}

// TestAppOfFile publishes with what apps new has made, from the file that the server reads.
func TestAppOfFile(t *testing.T) {
	made, _, code := said(t, "apps", "new", "-encrypted")
	require.Zero(t, code)
	toml, _, found := strings.Cut(made, "\n# .env")
	require.True(t, found)
	write := func(text string) string {
		name := filepath.Join(t.TempDir(), "carillon.toml")
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
		return name
	}
	one := write("listen = [\"unix:carillon.sock\", \"0.0.0.0:6199\"]\nprefix = \"/realtime\"\n" + toml)
	s, err := stored(one, "")
	require.NoError(t, err)
	assert.Equal(t, "http://127.0.0.1:6199/realtime", s.URL)
	for _, value := range []string{s.ID, s.Key, s.Secret, s.MasterKey} {
		assert.NotEmpty(t, value)
		assert.Contains(t, toml, value)
	}
	again, err := stored(one, s.Key)
	require.NoError(t, err)
	assert.Equal(t, s, again)
	where, err := serverURL(one)
	require.NoError(t, err)
	assert.Equal(t, s.URL, where)

	other, _, _ := said(t, "apps", "new")
	other, _, _ = strings.Cut(other, "\n# .env")
	_, err = stored(write(toml+other), "")
	assert.ErrorContains(t, err, "has 2 apps: name one with -app")
	_, err = stored(one, "nobody")
	assert.ErrorContains(t, err, `no app with the ID or key "nobody"`)
	_, err = stored(write("listen = \"unix:carillon.sock\"\n"+toml), "")
	assert.ErrorContains(t, err, "-url")
	_, err = stored(write("nonsense"), "")
	assert.ErrorContains(t, err, "TOML")
	_, err = serverURL("/nonexistent")
	assert.ErrorContains(t, err, "/nonexistent")

	_, errors, code := said(t, "publish", "-config", one, "a", "-event", "e", "-data", "1")
	assert.Equal(t, 1, code)
	assert.Contains(t, errors, "nothing listens at 127.0.0.1:6199")
}
