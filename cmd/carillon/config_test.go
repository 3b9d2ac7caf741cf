package main

import (
	"flag"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
)

func TestConfigDefaults(t *testing.T) {
	c, err := readConfig(nil, func(string) string { return "" }, io.Discard)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:6001", c.addr)
	require.Equal(t, []string{"1", "app-key", "app-secret"}, []string{c.app.ID, c.app.Key, c.app.Secret})
	require.True(t, c.defaultSecret)
	require.Equal(t, pusher.DefaultActivityTimeout, c.activityTimeout)
	require.Contains(t, c.app.AllowedOrigins, "http://localhost:*")
	require.Empty(t, c.app.Webhooks)
}

func TestDefaultSecretIsWarnedOf(t *testing.T) {
	c, err := readConfig([]string{"-addr", "127.0.0.1:0"}, func(string) string { return "" }, io.Discard)
	require.NoError(t, err)
	f := startWith(t, c, &http.Transport{})
	require.Contains(t, f.log.String(), "level=WARN")
	require.Contains(t, f.log.String(), "app-secret")

	f = start(t)
	require.NotContains(t, f.log.String(), "level=WARN")
	require.NotContains(t, f.log.String(), "secret=")
}

func TestConfigOfEveryFlag(t *testing.T) {
	c, err := readConfig([]string{
		"-addr", ":1", "-prefix", "realtime/", "-origins", "https://a.example, https://b.example",
		"-encryption-master-key", masterKey, "-webhook", "http://a.example/", "-webhook", "http://b.example/",
		"-webhook-events", "member_added", "-webhook-channels", "presence-", "-webhook-batch",
		"-history", "news-*=10,1h", "-history", "chat=5", "-rewind", "7", "-leave-grace", "3s",
		"-activity-timeout", "30s", "-authorization-timeout", "5s", "-subscription-counts", "-no-client-events",
		"-max-connections", "9", "-client-events-per-second", "20", "-presence-members", "50", "-event-bytes", "1000",
		"-connections-per-ip", "1", "-publishes-per-second", "2", "-subscribes-per-second", "3",
		"-trusted-proxies", "10.0.0.0/8,unix,::1", "-debug", "-hosts", "c.example,d.example:8443",
		"-storage", "sqlite:a:b.db",
	}, environment, io.Discard)
	require.NoError(t, err)
	require.Equal(t, ":1", c.addr)
	require.Equal(t, "/realtime", c.prefix)
	require.False(t, c.defaultSecret)
	require.True(t, c.debug)
	require.Equal(t, "a:b.db", c.database)
	require.Equal(t, []string{"https://a.example", "https://b.example"}, c.app.AllowedOrigins)
	require.Len(t, c.app.EncryptionMasterKey, 32)
	require.Equal(t, []pusher.Webhook{
		{URL: "http://a.example/", Events: []string{"member_added"}, ChannelPrefix: "presence-", Batch: true},
		{URL: "http://b.example/", Events: []string{"member_added"}, ChannelPrefix: "presence-", Batch: true},
	}, c.app.Webhooks)
	require.Equal(t, "news-*", c.rules[0].Pattern)
	require.Equal(t, 10, c.rules[0].History.Events)
	require.Equal(t, time.Hour, c.rules[0].History.Age)
	require.Equal(t, []int{7, 5}, []int{c.rules[0].Rewind, c.rules[1].Rewind})
	require.Equal(t, broker.ChannelRule{Pattern: "*", LeaveGrace: 3 * time.Second}, c.rules[2])
	require.Equal(t, 30*time.Second, c.activityTimeout)
	require.Equal(t, 5*time.Second, c.app.AuthorizationTimeout)
	require.True(t, c.app.SubscriptionCounts)
	require.True(t, c.app.DisableClientEvents)
	require.Equal(t, 9, c.app.MaxConnections)
	require.Equal(t, pusher.Limits{ClientEventsPerSecond: 20, PresenceMembers: 50, EventBytes: 1000, RequestBytes: 1 << 20}, c.app.Limits)
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}, c.trustedProxies)
	require.True(t, c.trustUnix)
	require.Equal(t, []string{"c.example", "d.example:8443"}, c.app.Hosts)
	require.NotNil(t, c.limits)
}

func TestConfigErrors(t *testing.T) {
	for flags, want := range map[string]string{
		"-nonsense":                               "-nonsense",
		"extra":                                   `unexpected argument "extra"`,
		"-tls-cert cert.pem":                      "-tls-cert and -tls-key belong together",
		"-tls-key key.pem":                        "-tls-cert and -tls-key belong together",
		"-tls-cert none.pem -tls-key none.pem":    "-tls-cert and -tls-key: .*none.pem",
		"-encryption-master-key !":                "-encryption-master-key is not base64",
		"-encryption-master-key c2hvcnQ=":         "-encryption-master-key: .*32",
		"-trusted-proxies 10.0.0":                 "-trusted-proxies.*10.0.0",
		"-addr nowhere":                           `-addr "nowhere" is not host:port`,
		"-prefix /up{":                            `-prefix "/up{"`,
		"-prefix /a/../b":                         `-prefix "/a/../b"`,
		"-metrics 9090":                           `-metrics "9090" is not host:port`,
		"-history news":                           `-history: "news" has no number of events after a =`,
		"-history news=many":                      "-history: number of events.*many",
		"-history news=-1":                        "-history: number of events: -1",
		"-history news=1,long":                    "-history: age.*long",
		"-history news=1,-1s":                     "-history: age: -1s",
		"-history [=1":                            `-history: "\[" is not a pattern`,
		"-history =1":                             `-history: "" is not a pattern`,
		"-history news=1,":                        "-history: age",
		"-history news=9999 -rewind 8193":         "-rewind 8193 is more than 8192",
		"-rewind 3":                               "-rewind 3 needs -history",
		"-storage sqlite:":                        `-storage "sqlite:" is neither memory nor sqlite:FILE`,
		"-storage redis:x":                        `-storage "redis:x" is neither`,
		"-history news=1 -rewind -1":              "-rewind -1",
		"-leave-grace -1s":                        "-leave-grace -1s",
		"-activity-timeout -1s":                   "-activity-timeout -1s",
		"-webhook ftp://a.example":                "-webhook: .*ftp://a.example",
		"-webhook http://a -webhook-events other": "-webhook-events: .*other",
		"-webhook http://a -webhook-channels p-*": `-webhook-channels: .*"p-\*"`,
		"-max-connections -2":                     "-2",
		"-webhook-batch":                          "need -webhook",
		"-origins example.com":                    "-origins: .*example.com",
		"-hosts https://example.com":              "-hosts: .*example.com",
		"-max-connections -1":                     "-max-connections: .*negative",
		"-max-connections few":                    "few.*-max-connections",
		"-event-bytes -1":                         "-event-bytes -1",
		"-event-bytes 0":                          "-event-bytes 0",
		"-event-bytes 1048577":                    "-event-bytes 1048577 is more than 1048576",
		"-presence-members -1":                    "-presence-members -1",
		"-client-events-per-second 0":             "-client-events-per-second 0",
		"-authorization-timeout -1s":              "-authorization-timeout: .*negative",
		"-compress -1":                            "-compress -1 is negative",
		"-connections-per-ip NaN":                 "-connections-per-ip NaN",
		"-publishes-per-second -1":                "-publishes-per-second -1",
		"-subscribes-per-second 1e10":             `-subscribes-per-second 1e\+10`,
	} {
		t.Run(flags, func(t *testing.T) {
			var output strings.Builder
			_, err := readConfig(strings.Fields(flags), environment, &output)
			require.Regexp(t, want, err)
			require.ErrorIs(t, err, errUsage)
			require.Empty(t, output.String(), "the help would bury the error")
		})
	}
}

func TestAddressErrors(t *testing.T) {
	c, err := readConfig([]string{"-addr", "127.0.0.1:99999"}, environment, io.Discard)
	require.NoError(t, err)
	require.ErrorContains(t, runAndStop(t, c), "-addr 127.0.0.1:99999")
}

func TestConfigOfTheEnvironment(t *testing.T) {
	for name, c := range map[string]struct{ id, want string }{
		"not a number": {"app", `PUSHER_APP_ID "app" is not a number`},
		"zero":         {"0", "PUSHER_APP_ID is 0"},
		"negative":     {"-1", "is not a number"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readConfig(nil, func(name string) string {
				if name == "PUSHER_APP_ID" {
					return c.id
				}
				return environment(name)
			}, io.Discard)
			require.ErrorContains(t, err, c.want)
		})
	}
	_, err := readConfig([]string{"-max-connections", "-1"}, environment, io.Discard)
	require.NotContains(t, err.Error(), "secret")
}

func TestHelp(t *testing.T) {
	var text strings.Builder
	_, err := readConfig([]string{"-help"}, environment, &text)
	require.ErrorIs(t, err, flag.ErrHelp)
	for _, name := range []string{"PUSHER_APP_KEY", "-addr", "-prefix", "-origins", "-webhook ", "-history", "-rewind", "-storage"} {
		require.Contains(t, text.String(), name)
	}
	require.NotContains(t, text.String(), "secret")
}
