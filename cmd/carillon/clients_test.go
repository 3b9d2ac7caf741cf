package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

	_, errors, code := said(t, "publish", "-config", one, "a", "-event", "e", "-data", "1")
	assert.Equal(t, 1, code)
	assert.Contains(t, errors, "nothing listens at 127.0.0.1:6199")
}

// TestServerOfEnvironment holds that carillon health asks where carillon run listens, which
// in a container is told by the same variables.
func TestServerOfEnvironment(t *testing.T) {
	folder := t.TempDir()
	cert, key, file := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem"), filepath.Join(folder, "carillon.toml")
	servertest.WriteCertificate(t, cert, key, time.Now().Add(time.Hour))
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "listen = \"127.0.0.1:6299\"\nprefix = \"/realtime\"\n[tls]\ncert = %q\nkey = %q\n", cert, key), 0o600))
	half := filepath.Join(folder, "half.toml") // somebody is writing it, and the server goes on with the old one
	require.NoError(t, os.WriteFile(half, []byte("nod = 1\nlisten =\n[[apps"), 0o600))
	for want, variables := range map[string]map[string]string{
		"http://127.0.0.1:6001":           {},
		"http://127.0.0.1:6002":           {"ADDR": "0.0.0.0:6002"},
		"http://127.0.0.1:6003":           {"ADDR": "unix:/run/s,:6003"},
		"http://127.0.0.1:6004":           {"ADDR": "0.0.0.0:6001", "CARILLON_ADDR": "[::]:6004"},
		"https://127.0.0.1:6005":          {"ADDR": "0.0.0.0:6005", "CARILLON_TLS_CERT": cert, "CARILLON_TLS_KEY": key},
		"https://127.0.0.1:6006/realtime": {"ADDR": "0.0.0.0:6006", "CARILLON_CONFIG": file},
		"https://127.0.0.1:6299/realtime": {"CARILLON_CONFIG": file},
		"http://127.0.0.1:6007":           {"ADDR": "0.0.0.0:6007", "CARILLON_CONFIG": half, "PUSHER_APP_ID": "7"},
	} {
		where, err := serverURL(func(name string) string { return variables[name] })
		require.NoError(t, err)
		assert.Equal(t, want, where)
	}
	for wrong, variables := range map[string]map[string]string{
		"/nonexistent":  {"CARILLON_CONFIG": "/nonexistent"},
		"-url":          {"ADDR": "unix:/run/s"},
		"say with -url": {"ADDR": "nonsense"},
	} {
		_, err := serverURL(func(name string) string { return variables[name] })
		assert.ErrorContains(t, err, wrong)
	}
}
