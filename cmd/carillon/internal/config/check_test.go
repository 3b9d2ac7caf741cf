package config

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/servertest"
)

// parseText reads the text of a file alone.
func parseText(text []byte, env func(string) string) (*Config, error) {
	c := &Config{Settings: Default()}
	n := &notes{origins: make(map[any]origin)}
	doc := c.decode(text, n, env)
	return c.finish(n, doc.broken)
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func nothing(string) string { return "" }

// app is the beginning of a file with one app that nothing is warned of; what follows is
// of the app, from line 6 on.
const app = `[[apps]]
id = "1"
key = "key"
secret = "0123456789abcdef0123"
origins = "https://example.com"
`

// TestMistakes holds that every mistake is named, all of them at once, each with its
// line. What is to be found stands behind a comment in the line itself.
func TestMistakes(t *testing.T) {
	for name, text := range map[string]string{
		"server": `
listen = ["nowhere", "127.0.0.1:99999", "unix:", "127.0.0.1:1", "127.0.0.1:1"] #! "nowhere" is not host:port #! has no port from 0 to 65535 #! "unix:" is not unix: #! is there twice
unix_mode = "rw" #! is not a file's permissions in octal
prefix = "/up{" #! "/up{" is not a path
admin = "0.0.0.0:9601" #! can be reached from other machines
storage = "redis:x" #! is neither memory nor sqlite:FILE
storage_timeout = "0s" #! 0s is not above 0
node = "" #! is empty
trusted_proxies = [
  "10.0.0.0/8",
  "10.0.0", #! "10.0.0" is neither an address nor a CIDR block
]
activity_timeout = "999ms" #! 999ms is less than 1s
shutdown_timeout = "1" #! "1" is no time: write a number and a unit
drain_window = "-1s" #! -1s is negative
compress_from = -1 #! -1 is negative
compres_from = 1 #! there is no such setting: did you mean compress_from?
amendment_events.edited = "" #! amendment_events.edited
[log]
level = "loud" #! "loud" is none of debug, info, warn, error
format = "xml" #! "xml" is neither text nor json
[tls]
cert = "none.pem" #! only one is given
[sqlite]
readers = 0 #! 0 is less than 1
queue_events = 0 #! 0 is less than 1
queue_bytes = -1 #! -1 is less than 1
busy_timeout = "-1s" #! -1s is negative
forget_after = "-1s" #! -1s is negative
last_seen_limit = -1 #! -1 is less than 0
[limits]
connections = 0 #! 0 is less than 1
fallback_sessions = 0 #! 0 is less than 1
feeds = 0 #! 0 is less than 1
connections_per_address = 0 #! 0 is less than 1
connections_per_ip = -1 #! -1 is not a rate
publishes_per_second = nan #! NaN is not a rate
subscribes_per_second = 1e10 #! is not a rate
queue_messages = 0 #! 0 is less than 1
queue_bytes = 0 #! 0 is less than 1
queue_budget = 0 #! leave it out
message_bytes = 0 #! leave it out
`,
		"types": `
listen = 1 #! has to be text, in quotes, or a list of texts, and is a whole number
unix_mode = 0o660 #! has to be text, in quotes, and is a whole number
activity_timeout = 45 #! has to be a time with its unit
compress_from = "1" #! has to be a whole number, and is text
trusted_proxies = ["::1", 2] #! and is a whole number
log = "debug" #! has to be a table, [log], and is text
channels = "x" #! has to be a list of tables, each under [[channels]], and is text
limits.connections_per_ip = true #! has to be a number, and is true or false
limits.feeds = 1.5 #! has to be a whole number, and is a number with a point
tls.cert = 2026-11-26 #! has to be text, in quotes, and is a date or a time
tls.key = { a = 1 } #! and is a table
apps = { id = "1" } #! has to be a list of tables
`,
		"an app": app + `
enabled = "yes" #! has to be true or false, and is text
max_connections = -1 #! -1 is negative
authorization_timeout = "-1s" #! -1s is negative
hosts = ["https://example.com"] #! https://example.com
other_secrets = ["", "0123456789abcdef0123"] #! is empty #! is the secret itself
encryption_master_key = "!" #! is not base64
colour = "red" #! there is no such setting
[apps.limits]
event_bytes = 0 #! 0 is less than 1
event_name_chars = 201 #! is too large: 201, the limit is 200
presence_members = -1 #! -1 is less than 1
client_events_per_second = 0 #! 0 would let nothing pass
event_byte = 1 #! did you mean event_bytes?
[[apps.webhooks]]
url = "ftp://a.example/" #! is not an http or https URL: "ftp://a.example"
events = ["member_aded", "other"] #! did you mean member_added? #! "other" is none of
channel_prefix = "p*" #! is not how a channel's name may begin
headers = { "a b" = "c", d = 1 } #! is not a valid header #! has to be text
[[apps.webhooks]] #! url is missing
batch = true
[[apps.channels]] #! pattern is missing
history = 1
[[apps.channels]]
pattern = "a-[" #! is not a pattern
app = "2" #! leave it out
history = -1 #! is negative
rewind = 9000 #! 9000 is more than 8192
readers = "nobody" #! is none of all, users, none
publishers = "nobody" #! is none of all, server, clients
cache_ttl = "-1s" #! is negative
leave_grace = "-1s" #! is negative
max_members = -1 #! is negative
max_subscribers = -1 #! is negative
reach_events = -1 #! is negative
reach_age = "-1s" #! is negative
`,
		"names of an app": `
[[apps]]
id = "a/b" #! has a character that a URL's path cannot hold
key = "a:b" #! cannot hold
secret = "" #! is empty
origins = ["example.com", "https://*"] #! "example.com"
encryption_master_key = "c2hvcnQ=" #! has not the 32 bytes
[[apps]] #! id is missing #! key is missing #! secret is missing
`,
		"two apps": app + `
[[apps]]
id = "1" #! "1" is that of another app too, on line 2
key = "key" #! "key" is that of another app too, on line 3
secret = "0123456789abcdef0124"
`,
		"limits that do not fit": app + `
[apps.limits]
event_bytes = 2097152 #! 2097152 is more than 1048576
authorized_channels_per_connection = 10 #! is more than authorized_channels_per_connection
`,
		"a small request": app + `
[apps.limits]
event_bytes = 20000 #! is more than request_bytes: 20000, the limit is 10000
request_bytes = 10000
`,
		"channels": app + `
[[channels]]
pattern = "a"
app = "7" #! there is no app with the ID "7"
history_age = "1h" #! keeps nothing without history
[[channels]]
pattern = "b"
history = 2
rewind = 3 #! is more than the history keeps: 3, the limit is 2
`,
		"rate limits": app + `
[[rate_limits]] #! name is missing
action = "fly" #! action "fly" is none of
rate = 0 #! is 0 tokens per second
by = ["nose"] #! "nose" is none of
cost = "much" #! is neither one nor bytes
channels = "[" #! is not a pattern
[[rate_limits]] #! action "" is none of #! rate is 0
name = "x"
[[rate_limits]]
name = "x" #! "x" is the name of another too, on line 14
action = "publish"
rate = 1
burst = -1 #! burst is -1
`,
		"syntax, and more behind it": `
listen =  #! is not valid TOML
prefix = "/a //b" #! is not a path
node = "a" b #! is not valid TOML
activity_timeout = "0s" #! 0s is less than 1s
[[apps]]
id = "1
secret = "x"
`,
		"a key twice": `
prefix = "/a"
prefix = "/b" #! is not valid TOML
`,
		"references": `
prefix = "${PREFIX}" #! the environment variable PREFIX is not set
node = "${file:/nowhere/node}" #! no such file
admin_token = "${file:/}" #! is no file
`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseText([]byte(text), nothing)
			var all Mistakes
			require.ErrorAs(t, err, &all)
			found := make(map[int][]string)
			for _, p := range all {
				found[p.Line] = append(found[p.Line], p.String())
			}
			for i, line := range strings.Split(text, "\n") {
				parts := strings.Split(line, "#!")
				said := strings.Join(found[i+1], "\n")
				for _, want := range parts[1:] {
					require.Contains(t, said, strings.TrimSpace(want), "line %d: %s\nall:\n%v", i+1, line, err)
				}
				if name != "syntax, and more behind it" {
					require.Len(t, found[i+1], len(parts)-1, "line %d: %s\n%s", i+1, line, said)
				}
			}
			require.NotContains(t, err.Error(), "0123456789", "a secret")
		})
	}
}

func TestWarnings(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"nothing": {app, nil},
		"no app":  {"", []string{`there is no app under \[\[apps\]\]`}},
		"an app ID of soketi": {strings.Replace(app, `"1"`, `"app-id"`, 1),
			[]string{`line 2: apps.id: "app-id" is not a number: it is served, but`}},
		"a secret that everybody knows": {strings.Replace(app, "0123456789abcdef0123", "app-secret", 1), []string{"line 4: .*EVERYBODY KNOWS"}},
		"a short secret":                {strings.Replace(app, "0123456789abcdef0123", "short", 1), []string{"line 4: .*can be guessed"}},
		"other secrets":                 {app + `other_secrets = ["short"]`, []string{"line 6: .*can be guessed"}},
		"one secret for two": {app + strings.NewReplacer(`"1"`, `"2"`, `"key"`, `"key2"`).Replace(app),
			[]string{"line 9: .*secret of another app too, on line 4"}},
		"webhooks through the open network": {app + "[[apps.webhooks]]\nurl = \"http://hooks.example.com/?token=t\"\n[[apps.webhooks]]\nurl = \"http://laravel.test/\"\n",
			[]string{"line 7: .*use https for hooks.example.com$"}},
		"webhooks of what never happens": {app + "client_events = false\n[[apps.webhooks]]\nurl = \"https://a.example\"\nevents = [\"client_event\", \"subscription_count\"]\n",
			[]string{"line 9: .*client_events is false", "line 9: .*subscription_counts is false"}},
		"pages of everybody":  {strings.Replace(app, "https://example.com", "*", 1), []string{"line 5: .*everybody"}},
		"no origins":          {strings.Replace(app, "origins", "hosts = []\nrequire_tls = true\n#", 1), []string{"line 1: .*only pages of this machine"}},
		"proxies":             {app + "[unused]", nil},
		"silence":             {"activity_timeout = \"2m\"\n" + app, []string{"line 1: .*proxies close connections"}},
		"everybody a proxy":   {"trusted_proxies = \"0.0.0.0/0\"\n" + app, []string{"line 1: .*is everybody"}},
		"a token for nothing": {"admin_token = \"0123456789abcdef\"\n" + app, []string{"line 1: .*opens nothing"}},
		"sqlite":              {app + "[sqlite]\nreaders = 2", []string{"line 6: sqlite: does nothing: storage is memory"}},
		"hidden rules": {app + "[[apps.channels]]\npattern = \"a\"\n[[apps.channels]]\npattern = \"a\"\n[[channels]]\npattern = \"*\"\n[[channels]]\npattern = \"b\"\n",
			[]string{"line 9: .*decides nothing.*line 7", "line 13: .*decides nothing.*line 11"}},
	} {
		t.Run(name, func(t *testing.T) {
			made, err := parseText([]byte(c.text), nothing)
			if strings.Contains(c.text, "[unused]") {
				require.ErrorContains(t, err, "unused: there is no such setting")
				return
			}
			require.NoError(t, err)
			require.Len(t, made.Warnings, len(c.want), "%v", made.Warnings)
			for i, want := range c.want {
				require.Regexp(t, regexp.MustCompile(want), made.Warnings[i].String())
				require.NotContains(t, made.Warnings[i].String(), "token=t")
			}
		})
	}
}

func TestSecretsNeedNotBeInTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(file, []byte("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"), 0o600))
	text := strings.Replace(app, `"0123456789abcdef0123"`, `"${SECRET}"`, 1) + fmt.Sprintf("encryption_master_key = \"${file:%s}\"\nother_secrets = [\"${OLD}\"]\n", file)
	c, err := parseText([]byte(text), func(name string) string {
		return map[string]string{"SECRET": "from the environment", "OLD": "the one before that"}[name]
	})
	require.NoError(t, err)
	require.Equal(t, "from the environment", c.PusherApps[0].Secret)
	require.Equal(t, []string{"the one before that"}, c.PusherApps[0].OtherSecrets)
	require.Len(t, c.PusherApps[0].EncryptionMasterKey, 32)
}

func TestAFileThatIsTooLong(t *testing.T) {
	_, err := parseText(make([]byte, MaxFileBytes+1), nothing)
	require.ErrorContains(t, err, "the limit is 4194304")
}

func TestWebhooksStaySecret(t *testing.T) {
	for _, url := range []string{"admin:hunter2@example.com/hook", "hooks.example.com/services/hunter2", "ftp://admin:hunter2@example.com/hunter2?hunter2", "%zz:hunter2"} {
		_, err := parseText(fmt.Appendf([]byte(app), "[[apps.webhooks]]\nurl = %q\n", url), nothing)
		require.ErrorContains(t, err, "line 7: apps.webhooks.url: is not an http or https URL")
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestWarnsOfTheEndOfACertificate(t *testing.T) {
	cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for want, left := range map[string]time.Duration{
		"":                              365 * 24 * time.Hour,
		"the certificate ends on ":      24 * time.Hour,
		"the certificate HAS ENDED, on": -time.Hour,
	} {
		servertest.WriteCertificate(t, cert, key, time.Now().Add(left))
		c, err := parseText(fmt.Appendf([]byte(app), "[tls]\ncert = %q\nkey = %q\n", cert, key), nothing)
		require.NoError(t, err)
		if want == "" {
			require.Empty(t, c.Warnings)
			continue
		}
		require.Len(t, c.Warnings, 1)
		require.Contains(t, c.Warnings[0].String(), "line 7: tls.cert: "+want)
	}
}
