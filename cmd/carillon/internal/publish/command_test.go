package publish

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/cmd/carillon/internal/client"
	"github.com/carillon-rt/carillon/cmd/carillon/internal/servertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run runs the command against a server and returns what it printed.
func run(t *testing.T, url, stdin string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	variables := map[string]string{"PUSHER_APP_ID": servertest.ID, "PUSHER_APP_KEY": servertest.Key, "PUSHER_APP_SECRET": servertest.Secret}
	err := Run(t.Context(), append([]string{"-url", url}, args...), client.Environment{
		Getenv: func(name string) string { return variables[name] }, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &out})
	return out.String(), err
}

// subscribed returns what reads the next events of a channel.
func subscribed(t *testing.T, b *broker.Broker, channel string) func() string {
	t.Helper()
	sub, err := b.App(servertest.ID).Subscribe(t.Context(), channel)
	require.NoError(t, err)
	t.Cleanup(sub.Close)
	return func() string {
		for e, err := range sub.Events() {
			require.NoError(t, err)
			return e.Name + " " + string(e.Data)
		}
		return ""
	}
}

func TestPublish(t *testing.T) {
	url, b := servertest.Ours(t)
	a, other, sealed := subscribed(t, b, "a"), subscribed(t, b, "b"), subscribed(t, b, "private-encrypted-a")
	out, err := run(t, url, "", "a", "-event", "hello", "b", "-data", `{"x":1}`)
	require.NoError(t, err)
	assert.Equal(t, "{}\n", out)
	assert.Equal(t, `hello {"x":1}`, a())
	assert.Equal(t, `hello {"x":1}`, other())

	_, err = run(t, url, "[1]", "a", "-event", "in", "-data", "-")
	require.NoError(t, err)
	assert.Equal(t, "in [1]", a())
	_, err = run(t, url, "", "a", "-event", "raw", "-data", "no JSON", "-raw")
	require.NoError(t, err)
	assert.Equal(t, "raw no JSON", a())
	out, err = run(t, url, "", "a", "-event", "e", "-data", "1", "-info", "subscription_count", "-exclude", "1.1")
	require.NoError(t, err)
	assert.Equal(t, `{"channels":{"a":{"subscription_count":0}}}`+"\n", out)

	_, err = run(t, url, "", "private-encrypted-a", "-event", "e", "-data", "7", "-encryption-master-key", servertest.MasterKey)
	require.NoError(t, err)
	assert.Equal(t, "e 7", sealed(), "which the broker opens for code in its process")
}

func TestCommandLines(t *testing.T) {
	for says, args := range map[string][]string{
		"name the channels":   {"-event", "e", "-data", "1"},
		"-event":              {"a", "-data", "1"},
		"-data":               {"a", "-event", "e"},
		"not JSON":            {"a", "-event", "e", "-data", "hello"},
		"a key of its own":    {"a", "private-encrypted-a", "-event", "e", "-data", "1"},
		"PUSHER_ENCRYPTION_":  {"private-encrypted-a", "-event", "e", "-data", "1"},
		"from its lines":      {"a", "-batch", "-"},
		"more than 100":       append(strings.Split(strings.Repeat("a ", 101), " ")[:101], "-event", "e", "-data", "1"),
		"provided but not":    {"-nonsense"},
		"not like https://rt": {"a", "-url", "nonsense"},
	} {
		_, err := run(t, "http://127.0.0.1:1", "", args...)
		assert.ErrorIs(t, err, client.ErrUsage, says)
		assert.ErrorContains(t, err, says)
	}
	_, err := run(t, "http://127.0.0.1:1", strings.Repeat(" ", maxInput+1), "a", "-event", "e", "-data", "-")
	assert.ErrorContains(t, err, "more than 2097152 bytes")
}

func TestLines(t *testing.T) {
	url, b := servertest.Ours(t)
	a := subscribed(t, b, "a")
	var lines strings.Builder
	for i := range 25 {
		lines.WriteString(`{"type":"event","channel":"a","event":"e","data":` + strings.Repeat("1", i+1) + "}\n")
		lines.WriteString(`{"type":"gap","channel":"a"}` + "\n\n")
	}
	out, err := run(t, url, lines.String(), "-batch", "-")
	require.NoError(t, err)
	assert.Equal(t, "published 25 events\n", out)
	for i := range 25 {
		assert.Equal(t, "e "+strings.Repeat("1", i+1), a())
	}

	// As tail -json prints them, and as the HTTP API has them.
	out, err = run(t, url, `{"channel":"a","name":"n","data":"text"}`+"\n"+`{"channel":"a","event":"n","data":"\"json\""}`+"\n"+
		`{"channel":"a","event":"n","data": { "a": [1, "<"] } ,"socket_id":"1.2"}`, "-batch", "-", "-info", "subscription_count")
	require.NoError(t, err)
	assert.Contains(t, out, `{"batch":[{"subscription_count":0}`)
	assert.Equal(t, "n text", a())
	assert.Equal(t, `n "json"`, a())
	assert.Equal(t, `n {"a":[1,"<"]}`, a())
}

func TestLinesThatAreWrong(t *testing.T) {
	url, b := servertest.Ours(t)
	a := subscribed(t, b, "a")
	good := `{"channel":"a","event":"e","data":1}` + "\n"
	for line, says := range map[string]string{
		"nonsense": "line 2: not a JSON object", `{"event":"e","data":1}`: "line 2: no channel", `{"channel":"a","data":1}`: "line 2: no event",
		`{"channel":"a","event":"e"}`: "line 2: no data", `[]`: "line 2: not a JSON object",
		`{"channel":"private-encrypted-a","event":"e","data":1}`: "line 2: private-encrypted-a is encrypted",
		strings.Repeat("x", maxLine+1):                           "line 2 is longer than",
	} {
		_, err := run(t, url, good+line+"\n"+good, "-batch", "-")
		require.ErrorContains(t, err, says)
		assert.ErrorContains(t, err, "(1 events were published before)")
		assert.Equal(t, "e 1", a())
	}
	_, err := run(t, url, good+`{"channel":"no channel","event":"e","data":1}`, "-batch", "-")
	assert.ErrorContains(t, err, "up to line 2: the server answered 400")
	_, err = run(t, url, "", "-batch", "/nonexistent")
	assert.ErrorContains(t, err, "/nonexistent")
}
