package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAddresses sees to it that all examples and the server can run at once, and that the README
// says where each one is.
func TestAddresses(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	files, err := filepath.Glob("../../examples/*/*.go")
	require.NoError(t, err)
	server, err := filepath.Glob("../../cmd/carillon/internal/config/*.go")
	require.NoError(t, err)
	files = append(files, server...)
	of := make(map[string]string)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, found := range regexp.MustCompile(`"(127\.0\.0\.1:[1-9]\d*)"`).FindAllSubmatch(text, -1) {
			addr, example := string(found[1]), filepath.Base(filepath.Dir(file))
			assert.Empty(t, of[addr], "%s and %s listen on %s", of[addr], example, addr)
			of[addr] = example
			assert.Contains(t, string(readme), addr, "the README does not say where %s listens", example)
		}
	}
	assert.Len(t, of, 5, "examples that listen: %v", of)

	vite, err := os.ReadFile("../../examples/chat/web/vite.config.ts")
	require.NoError(t, err)
	proxied := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(string(vite))
	assert.Equal(t, "chat", of[proxied], "the page's proxy asks %s", proxied)
}
