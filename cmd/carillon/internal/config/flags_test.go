package config

import (
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
)

const masterKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

// environment is what the variables say in tests.
func environment(name string) string {
	return map[string]string{"ADDR": "127.0.0.1:0", "PUSHER_APP_ID": "7", "PUSHER_APP_KEY": "key", "PUSHER_APP_SECRET": "secret"}[name]
}

func readFlags(t *testing.T, flags string) *Config {
	t.Helper()
	c, err := Read(strings.Fields(flags), environment, io.Discard)
	require.NoError(t, err)
	return c
}

func TestDefaults(t *testing.T) {
	c, err := Read(nil, nothing, io.Discard)
	require.NoError(t, err)
	require.Equal(t, []string{"127.0.0.1:6001"}, c.Listen)
	require.Len(t, c.PusherApps, 1)
	a := c.PusherApps[0]
	require.Equal(t, []string{"1", "app-key", "app-secret"}, []string{a.ID, a.Key, a.Secret})
	require.Equal(t, pusher.DefaultActivityTimeout, c.ActivityTimeout)
	require.Contains(t, a.AllowedOrigins, "http://localhost:*")
	require.Empty(t, a.Webhooks)
	require.Empty(t, c.ChannelRules)
	require.Equal(t, "PUSHER_APP_SECRET: is app-secret, which EVERYBODY KNOWS: carillon apps new makes others", c.Warnings[0].String())
	_, err = pusher.NewApps(c.PusherApps...)
	require.NoError(t, err)
}

func TestEveryFlag(t *testing.T) {
	c := readFlags(t, "-addr :1,unix:/tmp/s -unix-mode 0600 -prefix realtime/ -admin 127.0.0.1:2 -admin-token 0123456789abcdef"+
		" -origins https://a.example,,https://b.example -hosts c.example,d.example:8443"+
		" -encryption-master-key "+masterKey+" -webhook http://a.example/ -webhook http://b.example/"+
		" -webhook-events member_added -webhook-channels presence- -webhook-batch"+
		" -history news-*=10,1h -history chat=5 -rewind 7 -leave-grace 3s"+
		" -activity-timeout 30s -authorization-timeout 5s -subscription-counts -client-events=false -enabled=false -require-tls"+
		" -max-connections 9 -client-events-per-second 20 -presence-members 50 -event-bytes 1000"+
		" -connections-per-ip 1 -publishes-per-second 2 -subscribes-per-second 3"+
		" -trusted-proxies 10.0.0.0/8,unix,::1 -debug -storage sqlite:a:b.db -sqlite-readers 2 -log-format json")
	require.Equal(t, []string{":1", "unix:/tmp/s"}, c.Listen)
	require.EqualValues(t, 0o600, c.Mode)
	require.Equal(t, "/realtime", c.Prefix)
	require.Equal(t, Log{"debug", "json"}, c.Log)
	require.Equal(t, "sqlite:a:b.db", c.Storage)
	require.Equal(t, 2, c.SQLite.Readers)
	a := c.PusherApps[0]
	require.Equal(t, []string{"https://a.example", "https://b.example"}, a.AllowedOrigins)
	require.Equal(t, []string{"c.example", "d.example:8443"}, a.Hosts)
	require.Len(t, a.EncryptionMasterKey, 32)
	require.Equal(t, []pusher.Webhook{
		{URL: "http://a.example/", Events: []string{"member_added"}, ChannelPrefix: "presence-", Batch: true},
		{URL: "http://b.example/", Events: []string{"member_added"}, ChannelPrefix: "presence-", Batch: true},
	}, a.Webhooks)
	require.Equal(t, "news-*", c.ChannelRules[0].Pattern)
	require.Equal(t, 10, c.ChannelRules[0].History.Events)
	require.Equal(t, time.Hour, c.ChannelRules[0].History.Age)
	require.Equal(t, []int{7, 5}, []int{c.ChannelRules[0].Rewind, c.ChannelRules[1].Rewind})
	require.Equal(t, broker.ChannelRule{Pattern: "*", LeaveGrace: 3 * time.Second, CacheTTL: broker.DefaultCacheTTL}, c.ChannelRules[2])
	require.Equal(t, 30*time.Second, c.ActivityTimeout)
	require.Equal(t, 5*time.Second, a.AuthorizationTimeout)
	require.True(t, a.SubscriptionCounts && a.DisableClientEvents && a.Disabled && a.RequireTLS)
	require.Equal(t, 9, a.MaxConnections)
	require.Equal(t, pusher.Limits{ClientEventsPerSecond: 20, PresenceMembers: 50, EventBytes: 1000, RequestBytes: 1 << 20}, a.Limits)
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}, c.Proxies)
	require.True(t, c.TrustUnix)
	require.Len(t, c.Rates, 3)
}

func TestFlagErrors(t *testing.T) {
	for flags, want := range map[string]string{
		"-nonsense":                               "-nonsense",
		"extra":                                   `unexpected argument "extra"`,
		"-tls-cert cert.pem":                      "-tls-cert: certificate and key belong together",
		"-tls-key key.pem":                        "-tls-key: certificate and key belong together",
		"-tls-cert none.pem -tls-key none.pem":    "-tls-cert: .*none.pem",
		"-encryption-master-key !":                "-encryption-master-key: is not base64",
		"-encryption-master-key c2hvcnQ=":         "-encryption-master-key: .*32",
		"-trusted-proxies 10.0.0":                 "-trusted-proxies.*10.0.0",
		"-addr nowhere":                           `-addr: "nowhere" is not host:port`,
		"-prefix /a/../b":                         `-prefix: "/a/../b"`,
		"-admin 9090":                             `-admin: "9090" is not host:port`,
		"-admin 127.0.0.1:1 -admin-token short":   "-admin-token: has less than 16",
		"-history news":                           `-history: "news" has no number of events after a =`,
		"-history news=many":                      "-history: number of events.*many",
		"-history news=-1":                        "-history: number of events: \"-1\"",
		"-history news=1,long":                    "-history: age.*long",
		"-history news=1,-1s":                     "-history: age: \"-1s\"",
		"-history [=1":                            `-history: "\[" is not a pattern`,
		"-history =1":                             `pattern is missing`,
		"-history news=1,":                        "-history: age",
		"-history news=9999 -rewind 8193":         "-rewind: 8193 is more than 8192",
		"-rewind 3":                               "-rewind: 3 needs -history",
		"-history news=1 -rewind -1":              "-rewind: -1",
		"-leave-grace -1s":                        "-leave-grace: .*negative",
		"-storage sqlite:":                        `-storage: "sqlite:" is neither memory nor sqlite:FILE`,
		"-webhook ftp://a.example":                "-webhook: .*ftp://a.example",
		"-webhook http://a -webhook-events other": "-webhook-events: .*other",
		"-webhook http://a -webhook-channels p-*": `-webhook-channels: .*"p-\*"`,
		"-webhook-batch":                          "need -webhook",
		"-origins example.com":                    "-origins: .*example.com",
		"-hosts https://example.com":              "-hosts: .*example.com",
		"-max-connections -1":                     "-max-connections: .*negative",
		"-max-connections few":                    `-max-connections: "few" is not a whole number`,
		"-enabled=maybe":                          `-enabled: "maybe" is not true or false`,
		"-activity-timeout long":                  `-activity-timeout: "long" is not a time`,
		"-connections-per-ip x":                   `-connections-per-ip: "x" is not a number`,
		"-event-bytes 0":                          "-event-bytes: 0",
		"-event-bytes 1048577":                    "-event-bytes: 1048577 is more than 1048576",
		"-client-events-per-second 0":             "-client-events-per-second: 0",
		"-config /nowhere.toml":                   "/nowhere.toml",
		"-env-file /nowhere.env":                  "-env-file: .*/nowhere.env",
		"-event-bytes 0 -presence-members 0":      "(?s)-event-bytes.*-presence-members",
	} {
		t.Run(flags, func(t *testing.T) {
			var output strings.Builder
			_, err := Read(strings.Fields(flags), environment, &output)
			require.Regexp(t, want, err)
			require.Empty(t, output.String(), "the help would bury the error")
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

// Flags go before the environment, and that before the file.
func TestWhatGoesBeforeWhat(t *testing.T) {
	file := filepath.Join(t.TempDir(), "carillon.toml")
	require.NoError(t, os.WriteFile(file, []byte(`
listen = "127.0.0.1:1"
activity_timeout = "1s"
node = "file"
storage_timeout = "3s"
[[apps]]
id = "7"
key = "of the file"
secret = "0123456789abcdef0123"
max_connections = 1
subscription_counts = true
[[apps]]
id = "8"
key = "other"
secret = "0123456789abcdef0124"
[[channels]]
pattern = "*"
history = 3
`), 0o600))
	variables := map[string]string{"CARILLON_CONFIG": file, "ADDR": "127.0.0.1:2", "CARILLON_ACTIVITY_TIMEOUT": "2s", "CARILLON_NODE": "environment",
		"CARILLON_MAX_CONNECTIONS": "2", "PUSHER_APP_ID": "7", "PUSHER_APP_SECRET": "of the environment"}
	env := func(name string) string { return variables[name] }
	c, err := Read([]string{"-node", "flag", "-max-connections", "3", "-history", "news=1"}, env, io.Discard)
	require.NoError(t, err)
	require.Equal(t, []string{"127.0.0.1:2"}, c.Listen)
	require.Equal(t, 2*time.Second, c.ActivityTimeout)
	require.Equal(t, 3*time.Second, c.StorageTimeout)
	require.Equal(t, "flag", c.Node)
	require.Len(t, c.PusherApps, 2)
	require.Equal(t, "of the environment", c.PusherApps[0].Secret)
	require.Equal(t, "of the file", c.PusherApps[0].Key)
	require.Equal(t, []int{3, 3}, []int{c.PusherApps[0].MaxConnections, c.PusherApps[1].MaxConnections})
	require.Equal(t, []bool{true, false}, []bool{c.PusherApps[0].SubscriptionCounts, c.PusherApps[1].SubscriptionCounts})
	require.Equal(t, []string{"news", "*"}, []string{c.ChannelRules[0].Pattern, c.ChannelRules[1].Pattern})

	variables["CARILLON_ADDR"] = "127.0.0.1:3"
	variables["PUSHER_APP_ID"] = "9"
	c, err = Read(nil, env, io.Discard)
	require.NoError(t, err)
	require.Equal(t, []string{"127.0.0.1:3"}, c.Listen, "its own name goes before another")
	require.Len(t, c.PusherApps, 3, "an app that the file does not have is one more")
	require.Equal(t, "9", c.PusherApps[2].ID)

	variables["CARILLON_NODE"], variables["CARILLON_MAX_CONNECTIONS"] = "", "many"
	_, err = Read(nil, env, io.Discard)
	require.EqualError(t, err, `CARILLON_MAX_CONNECTIONS: "many" is not a whole number`)
	_, err = Load(file, env)
	require.NoError(t, err, "the file alone")
}

func TestEnvFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), ".env")
	require.NoError(t, os.WriteFile(file, []byte("PUSHER_APP_ID=5\nPUSHER_APP_KEY=\"of the file\"\nPUSHER_APP_SECRET=0123456789abcdef0123\n"), 0o600))
	c, err := Read([]string{"-env-file", file}, func(name string) string {
		return map[string]string{"PUSHER_APP_ID": "6"}[name]
	}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, []string{"6", "of the file"}, []string{c.PusherApps[0].ID, c.PusherApps[0].Key})
}

// The secret that everybody knows is for whoever says nothing at all.
func TestAppWithoutSecret(t *testing.T) {
	for _, variables := range []map[string]string{
		{"PUSHER_APP_ID": "7"},
		{"PUSHER_APP_KEY": "key"},
		{"PUSHER_APP_ID": "7", "PUSHER_APP_KEY": "key"},
	} {
		_, err := Read(nil, func(name string) string { return variables[name] }, io.Discard)
		require.ErrorContains(t, err, "PUSHER_APP_SECRET: is missing, or empty")
	}
	_, err := Read(nil, nothing, io.Discard)
	require.NoError(t, err)
}

// An .env has the passwords of everything else, too: none of it gets into an error.
func TestMistakesInEnvFile(t *testing.T) {
	for text, line := range map[string]int{
		"# .env\nPUSHER_APP_ID=5\n\nAPP-NAME=shop\nDB_PASSWORD=hunter2\n": 4,
		"KEY=\"two\nlines\"\nDB_PASSWORD=\"hunter2\nPUSHER_APP_ID=5\n":    3,
		"DB_PASSWORD='hunter2": 1,
		"PUSHER_APP_ID=5\nbase64 hunter2/+==\n" + strings.Repeat("PASSWORD=hunter2\n", 5) + "x\n": 2,
	} {
		file := filepath.Join(t.TempDir(), ".env")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		_, err := Read([]string{"-env-file", file}, nothing, io.Discard)
		require.ErrorContains(t, err, fmt.Sprintf("-env-file: %s: line %d is not NAME=value", file, line), text)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestHelp(t *testing.T) {
	var text strings.Builder
	_, err := Read([]string{"-help"}, environment, &text)
	require.ErrorIs(t, err, flag.ErrHelp)
	for _, name := range []string{"PUSHER_APP_KEY", "-addr", "-prefix", "-origins", "-webhook ", "-history", "-rewind", "-storage", "-config"} {
		require.Contains(t, text.String(), name)
	}
	require.NotContains(t, text.String(), "\"secret\"")
}
