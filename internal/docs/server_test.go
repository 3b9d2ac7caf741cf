package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// buildServer compiles the server and returns its path.
func buildServer(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "carillon")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./cmd/carillon")
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// pages are the documents that are about running the server.
var pages = []string{"README.md", "docs/pusher.md", "docs/soketi-reverb.md", "docs/laravel.md", "docs/mobile.md", "docs/operations.md"}

// TestServerOfPages holds what the pages say of the server to the server: each flag is
// one that it has, each configuration one that it takes.
func TestServerOfPages(t *testing.T) {
	server := buildServer(t)
	help, err := exec.CommandContext(t.Context(), server, "run", "-help").CombinedOutput()
	require.NoError(t, err, "%s", help)
	has := map[string]bool{"help": true}
	for _, f := range regexp.MustCompile(`(?m)^  -([a-z][a-z-]*)`).FindAllSubmatch(help, -1) {
		has[string(f[1])] = true
	}
	require.Greater(t, len(has), 20, "flags")

	// Code in a line that begins with the flag or with the server's name. What else has
	// flags is named with them: `nginx -s reload`.
	spans := regexp.MustCompile("`((?:-|carillon )[^`]*)`")
	commands := regexp.MustCompile(`(?m)^    .*\bcarillon( -.*| run.*|)$`)
	flags := regexp.MustCompile(`(?:^| )-([a-z][a-z-]*)`)
	checked, files := 0, 0
	for _, document := range pages {
		text, err := os.ReadFile(filepath.Join("..", "..", document))
		require.NoError(t, err)
		var said []string
		for _, s := range spans.FindAllStringSubmatch(string(text), -1) {
			said = append(said, strings.TrimPrefix(s[1], "carillon"))
		}
		for _, c := range commands.FindAllStringSubmatch(string(text), -1) {
			said = append(said, c[1])
		}
		for _, s := range said {
			if regexp.MustCompile(`^ (check|publish|tail|apps|bench|health|version)\b|^-(wal|shm)\b`).MatchString(s) {
				continue
			}
			for _, f := range flags.FindAllStringSubmatch(s, -1) {
				checked++
				assert.True(t, has[f[1]], "%s: the server has no flag -%s", document, f[1])
			}
		}
		for _, block := range regexp.MustCompile("(?ms)^```toml\n(.*?)^```$").FindAllSubmatch(text, -1) {
			files++
			file := filepath.Join(t.TempDir(), "carillon.toml")
			require.NoError(t, os.WriteFile(file, block[1], 0o600))
			out, err := exec.CommandContext(t.Context(), server, "check", file).CombinedOutput()
			assert.NoError(t, err, "%s: %s", document, out)
		}
	}
	assert.Greater(t, checked, 30, "flags in the pages")
	assert.GreaterOrEqual(t, files, 1, "files in the pages")
}
