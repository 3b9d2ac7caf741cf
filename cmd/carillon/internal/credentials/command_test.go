package credentials

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/client"
	"github.com/carillon-rt/carillon/pusher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNew(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		c, err := New(true)
		require.NoError(t, err)
		id, err := strconv.ParseUint(c.ID, 10, 32)
		require.NoError(t, err)
		assert.GreaterOrEqual(t, id, uint64(minID))
		assert.Len(t, c.Key, 20)
		assert.Len(t, c.Secret, 40)
		for _, s := range []string{c.Key, c.Secret, c.MasterKey} {
			assert.False(t, seen[s])
			seen[s] = true
		}
		app := pusher.App{ID: c.ID, Key: c.Key, Secret: c.Secret}
		assert.NoError(t, app.Check())
	}
}

// TestEnv has what it prints for Laravel read by the other commands.
func TestEnv(t *testing.T) {
	var out bytes.Buffer
	env := client.Environment{Stdout: &out, Stderr: &out}
	require.NoError(t, Run(t.Context(), []string{"-url", "https://rt.example.com/realtime", "-encrypted"}, env))
	variables := map[string]string{}
	for line := range strings.Lines(out.String()) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && strings.HasPrefix(name, "PUSHER_") {
			variables[name] = value
		}
	}
	set := env.FlagSet("try", "", "")
	var flags client.Flags
	flags.Register(set)
	app, err := flags.App(func(name string) string { return variables[name] }, nil)
	require.NoError(t, err)
	assert.Equal(t, "https://rt.example.com:443", app.API.String())
	assert.Len(t, app.MasterKey, 32)
	assert.NoError(t, app.Require("id", "key", "secret"))
	assert.Contains(t, out.String(), `new Pusher("`+app.Key+`", {`)
	assert.Contains(t, out.String(), `wsPath: "/realtime",`)
	_, page, found := strings.Cut(out.String(), "// A page")
	require.True(t, found)
	assert.NotContains(t, page, app.Secret)
}

func TestCommandLines(t *testing.T) {
	var out bytes.Buffer
	for _, args := range [][]string{{"-url", "nonsense"}, {"-url", "ftp://a"}, {"-url", "http://a\nb"}, {"one"}, {"-x"}} {
		assert.ErrorIs(t, Run(t.Context(), args, client.Environment{Stdout: &out, Stderr: &out}), client.ErrUsage)
	}
	assert.Empty(t, out.String())
}
