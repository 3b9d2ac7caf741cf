package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Every attack runs, against a server of this tree, and has its line.
func TestEveryAttack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "carillon")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "github.com/carillon-rt/carillon/cmd/carillon").CombinedOutput()
	require.NoError(t, err, string(out))
	var table, log bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-server", "this=" + path, "-for", "400ms", "-scale", "100"}, &table, &log))
	lines := strings.Split(strings.TrimSpace(table.String()), "\n")
	require.Len(t, lines, 2+len(attacks()), table.String())
	for i, a := range attacks() {
		assert.True(t, strings.HasPrefix(lines[2+i], "| "+a.name+" | this | "), lines[2+i])
		assert.Equal(t, strings.Count(lines[0], "|"), strings.Count(lines[2+i], "|"), lines[2+i])
		assert.Contains(t, log.String(), a.what)
	}
}

func TestArgumentsThatAreNotValid(t *testing.T) {
	for _, args := range [][]string{
		{}, {"-server", "path"}, {"-server", "a=b", "more"}, {"-server", "a=b", "-attacks", "none"},
		{"-server", "a=b", "-scale", "0"}, {"-server", "a=b", "-for", "0s"},
	} {
		assert.Error(t, run(t.Context(), args, &bytes.Buffer{}, &bytes.Buffer{}), "%q", args)
	}
}
