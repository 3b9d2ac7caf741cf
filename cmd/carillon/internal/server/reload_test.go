package server

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	sdk "github.com/pusher/pusher-http-go/v5"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/config"
)

const (
	firstApp = `
[[apps]]
id = "7"
key = "key"
secret = "0123456789abcdef0123"
`
	secondApp = `
[[apps]]
id = "8"
key = "other"
secret = "0123456789abcdef4567"
`
)

// reloadingServer is a server with a file that a test changes.
type reloadingServer struct {
	*fixture
	file    string
	signals chan os.Signal
}

func startWithFile(t *testing.T, text string) *reloadingServer {
	t.Helper()
	r := &reloadingServer{file: filepath.Join(t.TempDir(), "carillon.toml"), signals: make(chan os.Signal)}
	r.write(t, text)
	read := func() (*config.Config, error) {
		return config.Read([]string{"-config", r.file, "-addr", "127.0.0.1:0"}, none, os.Stdout)
	}
	c, err := read()
	require.NoError(t, err)
	r.fixture = startAs(t, c, &http.Transport{}, process{sockets: sockets{env: none}, signals: r.signals, read: read})
	return r
}

func (r *reloadingServer) write(t *testing.T, text string) {
	require.NoError(t, os.WriteFile(r.file, []byte(text), 0o600))
}

// reload has the server read a file, and returns when it has.
func (r *reloadingServer) reload(text string) string {
	before := len(r.log.String())
	r.write(r.t, text)
	r.signals <- syscall.SIGHUP
	r.signals <- syscall.SIGUSR2 // taken once the other is done with; nobody takes over here
	return r.log.String()[before:]
}

func (r *reloadingServer) app(id, key, secret string) *sdk.Client {
	return &sdk.Client{AppID: id, Key: key, Secret: secret, Host: r.url.Host, HTTPClient: r.http}
}

func TestReload(t *testing.T) {
	r := startWithFile(t, firstApp+secondApp)
	stays := r.dial()
	stays.subscribe("news", "")
	goes := r.dialKey("other")
	old := r.app("7", "key", "0123456789abcdef0123")

	// Mistakes change nothing, and each is said with its line.
	said := r.reload("prefix = 1\n" + firstApp + "secrets = 1\n")
	require.Contains(t, said, `the old one stays: line 1: prefix: has to be text`)
	require.Contains(t, said, `the old one stays: line 7: apps.secrets: there is no such setting`)
	require.NoError(t, r.app("8", "other", "0123456789abcdef4567").Trigger("news", "e", "still"))

	// One goes, one comes, one stays with another secret beside its own.
	said = r.reload(firstApp + "other_secrets = [\"0123456789abcdef9999\"]\n" + strings.NewReplacer("8", "9", "other", "third").Replace(secondApp) + "[log]\nlevel = \"debug\"\n")
	require.Contains(t, said, `apps_added=[9] apps_changed=[7] apps_removed=[8] connections_closed=1`)
	require.EqualValues(t, 4001, goes.closeCode())
	require.Error(t, r.app("8", "other", "0123456789abcdef4567").Trigger("news", "e", "gone"))
	require.NoError(t, old.Trigger("news", "by", "the old secret"))
	require.Equal(t, "the old secret", stays.expect("by").text(t))
	require.NoError(t, r.app("7", "key", "0123456789abcdef9999").Trigger("news", "by", "the new secret"))
	require.Equal(t, "the new secret", stays.expect("by").text(t))
	third := r.dialKey("third")
	require.NotContains(t, said, "need a restart")

	// One is switched off.
	said = r.reload(firstApp + "enabled = false\n" + strings.NewReplacer("8", "9", "other", "third").Replace(secondApp))
	require.Contains(t, said, "connections_closed=1")
	require.EqualValues(t, 4003, stays.closeCode())
	third.subscribe("news", "")

	// Nor does a file that is just being written.
	require.Contains(t, r.reload(""), "the old one stays: it names no app")
	third.subscribe("more", "")

	// What cannot be taken over is said each time.
	said = r.reload("node = \"n\"\nlimits.feeds = 5\n" + firstApp + "[apps.limits]\nevent_bytes = 100_000\n[[apps.channels]]\npattern = \"*\"\nhistory = 1\n")
	for _, key := range []string{"node", "limits.feeds", "channels", "limits.message_bytes"} {
		require.Regexp(t, `need a restart, which SIGUSR2 makes" settings=".*`+key, said)
	}
	require.NotContains(t, r.log.String(), "0123456789abcdef", "a secret")
}

// What the console has one copy as a command reaches the API, with the secret of now.
func TestTheConsoleSignsForTheAppsOfNow(t *testing.T) {
	admin := "admin = \"127.0.0.1:0\"\nprefix = \"/rt\"\n"
	r := startWithFile(t, admin+firstApp)
	said := r.reload(admin + strings.Replace(firstApp, "0123456789abcdef0123", "another secret of the app", 1) + secondApp)
	require.Contains(t, said, "apps_added=[8] apps_changed=[7]")
	for _, app := range []string{"7", "8"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.adminURL()+"/console/api/curl",
			strings.NewReader(`{"app":"`+app+`","channel":"news","event":"e","data":"1"}`))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-Carillon-Console", "1")
		res, err := r.http.Do(req)
		require.NoError(t, err)
		var answer struct{ Curl string }
		require.NoError(t, json.NewDecoder(res.Body).Decode(&answer))
		require.NoError(t, res.Body.Close())
		words := strings.Split(answer.Curl, "'")
		require.Len(t, words, 7, answer.Curl)
		res, err = r.http.Post(words[1], "application/json", strings.NewReader(words[5]))
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusOK, res.StatusCode, words[1])
	}
}
