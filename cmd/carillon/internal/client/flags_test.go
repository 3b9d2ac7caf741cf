package client

import (
	"bytes"
	"flag"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func environment(out *bytes.Buffer) Environment {
	return Environment{Getenv: func(string) string { return "" }, Stdout: out, Stderr: out}
}

// resolved parses flags with an environment.
func resolved(t *testing.T, env map[string]string, stored Stored, args ...string) (App, error) {
	t.Helper()
	var out bytes.Buffer
	e := environment(&out)
	set := e.FlagSet("try", "", "Tries.")
	var f Flags
	f.Register(set)
	others, err := set.Arguments(args)
	require.NoError(t, err)
	require.Empty(t, others)
	return f.App(func(name string) string { return env[name] }, func(string, string) (Stored, error) { return stored, nil })
}

func TestWhereTheServerIs(t *testing.T) {
	for name, c := range map[string]struct {
		args        []string
		env         map[string]string
		stored      Stored
		api, socket string
	}{
		"here":                                  {api: "http://127.0.0.1:6001"},
		"a URL":                                 {args: []string{"-url", "https://rt.example.com/realtime/"}, api: "https://rt.example.com/realtime"},
		"a URL of a WebSocket":                  {args: []string{"-url", "wss://rt.example.com"}, api: "https://rt.example.com"},
		"a host":                                {args: []string{"-host", "rt.example.com"}, api: "https://rt.example.com"},
		"a host without TLS":                    {args: []string{"-host", "rt.example.com", "-scheme", "http", "-port", "8080"}, api: "http://rt.example.com:8080"},
		"a port here":                           {args: []string{"-port", "8080"}, api: "http://127.0.0.1:8080"},
		"localhost":                             {args: []string{"-host", "localhost", "-port", "6002"}, api: "http://localhost:6002"},
		"this machine with TLS":                 {args: []string{"-host", "localhost", "-port", "443"}, api: "https://localhost:443"},
		"an IPv6 address":                       {args: []string{"-host", "::1", "-port", "6001"}, api: "http://[::1]:6001"},
		"a cluster":                             {args: []string{"-cluster", "eu"}, api: "https://api-eu.pusher.com", socket: "https://ws-eu.pusher.com"},
		"the environment":                       {env: map[string]string{"PUSHER_HOST": "rt.example.com", "PUSHER_PORT": "443", "PUSHER_SCHEME": "https"}, api: "https://rt.example.com:443"},
		"Laravel's with an empty host":          {env: map[string]string{"PUSHER_HOST": "", "PUSHER_PORT": "443", "PUSHER_SCHEME": "https"}, api: "https://127.0.0.1:443"},
		"flags before the environment":          {args: []string{"-port", "7000"}, env: map[string]string{"PUSHER_HOST": "rt.example.com", "PUSHER_SCHEME": "https"}, api: "http://127.0.0.1:7000"},
		"the file before the environment":       {args: []string{"-config", "f"}, stored: Stored{URL: "http://127.0.0.1:7001"}, env: map[string]string{"PUSHER_HOST": "rt.example.com"}, api: "http://127.0.0.1:7001"},
		"flags before the file":                 {args: []string{"-config", "f", "-url", "http://127.0.0.1:7002"}, stored: Stored{URL: "http://127.0.0.1:7001"}, api: "http://127.0.0.1:7002"},
		"a file that does not say, environment": {args: []string{"-config", "f"}, env: map[string]string{"PUSHER_HOST": "rt.example.com"}, api: "https://rt.example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := resolved(t, c.env, c.stored, c.args...)
			require.NoError(t, err)
			assert.Equal(t, c.api, a.API.String())
			if c.socket == "" {
				c.socket = c.api
			}
			assert.Equal(t, c.socket, a.Socket.String())
		})
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	for _, args := range [][]string{
		{"-url", "rt.example.com"}, {"-url", "ftp://rt.example.com"}, {"-url", "http://a/?b=c"}, {"-url", "http://a:b@c"}, {"-url", "http://%zz"},
		{"-host", "https://rt.example.com"}, {"-port", "0"}, {"-port", "65536"}, {"-port", "http"}, {"-scheme", "ws"},
		{"-cluster", "evil.example/"}, {"-encryption-master-key", "x"}, {"-encryption-master-key", "AAAA"}, {"-app", "1"},
	} {
		_, err := resolved(t, nil, Stored{}, args...)
		assert.Error(t, err, args)
	}
}

func TestCredentials(t *testing.T) {
	env := map[string]string{"PUSHER_APP_ID": "1", "PUSHER_APP_KEY": "k", "PUSHER_APP_SECRET": "s", "PUSHER_VERIFY_PEER": "false"}
	a, err := resolved(t, env, Stored{})
	require.NoError(t, err)
	assert.Equal(t, []string{"1", "k", "s"}, []string{a.ID, a.Key, a.Secret})
	assert.True(t, a.SkipVerify)

	a, err = resolved(t, env, Stored{ID: "2", Key: "k2", Secret: "s2"}, "-config", "f", "-secret", "s3")
	require.NoError(t, err)
	assert.Equal(t, []string{"2", "k2", "s3"}, []string{a.ID, a.Key, a.Secret})

	a, err = resolved(t, nil, Stored{})
	require.NoError(t, err)
	assert.False(t, a.SkipVerify)
	for name, flag := range map[string]string{"id": "-app-id", "key": "-key", "secret": "-secret"} {
		assert.ErrorContains(t, a.Require(name), flag)
	}
}

func TestFlagsAmongArguments(t *testing.T) {
	var out bytes.Buffer
	env := environment(&out)
	set := env.FlagSet("try", "CHANNEL…", "Tries.")
	event := set.String("event", "", "a `name`")
	others, err := set.Arguments([]string{"a", "-event", "e", "b", "--", "-c"})
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b", "-c"}, others)
	assert.Equal(t, "e", *event)

	_, err = set.Arguments([]string{"a", "-nonsense"})
	assert.ErrorIs(t, err, ErrUsage)
	assert.Empty(t, out.String(), "help that nobody asked for")
	_, err = set.Arguments([]string{"a", "-help"})
	assert.ErrorIs(t, err, flag.ErrHelp)
	assert.Contains(t, out.String(), "carillon try [flags] CHANNEL…")
	assert.Contains(t, out.String(), "-event name")
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain, ünïcode 日本 🙂": "plain, ünïcode 日本 🙂", "a\x1b[2Jb": `a\x1b[2Jb`, "a\nb\r\t": `a\nb\r\t`, "\xff": `\xff`,
		"a\u202eb": `a\u202eb`, "\u2028": `\u2028`, "\u0085": `\u0085`, "": "", "\u00a0": "\u00a0", "\ufffd": "\ufffd",
	} {
		assert.Equal(t, want, Printable(in))
	}
}
