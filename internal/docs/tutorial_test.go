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

// requireQuoted requires that every function that a document shows is in its programs as
// it is there, and returns how many pieces of code it shows.
func requireQuoted(t *testing.T, text, programs string) int {
	t.Helper()
	quoted := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(text, -1)
	for _, q := range quoted {
		for part := range strings.SplitSeq(q[1], "\n}\n\n") {
			part = strings.TrimSuffix(strings.TrimSpace(part), "\n}")
			assert.Contains(t, programs, part)
		}
	}
	return len(quoted)
}

// TestAdapter holds what the page about adapters shows to the adapter.
func TestAdapter(t *testing.T) {
	text, err := os.ReadFile("../../docs/adapter.md")
	require.NoError(t, err)
	files, err := filepath.Glob("../../examples/bbolt/*.go")
	require.NoError(t, err)
	var programs strings.Builder
	for _, file := range files {
		program, err := os.ReadFile(file)
		require.NoError(t, err)
		programs.Write(program)
	}
	assert.GreaterOrEqual(t, requireQuoted(t, string(text), programs.String()), 4)
}

// TestTutorial holds what the tutorial shows to its programs and to the whole example,
// which are compiled with all others: every function that it quotes is in one of them as
// it is there.
func TestTutorial(t *testing.T) {
	text, err := os.ReadFile("../../docs/chat.md")
	require.NoError(t, err)
	files, err := filepath.Glob("../../examples/chat/steps/[0-9]*/*.go")
	require.NoError(t, err)
	require.Greater(t, len(files), 4)
	var programs strings.Builder
	for _, file := range files {
		program, err := os.ReadFile(file)
		require.NoError(t, err)
		programs.Write(program)
		run := "go run ./examples/chat/steps/" + filepath.Base(filepath.Dir(file))
		assert.Contains(t, string(text), run)
	}
	whole, err := filepath.Glob("../../examples/chat/*.go")
	require.NoError(t, err)
	for _, file := range whole {
		program, err := os.ReadFile(file)
		require.NoError(t, err)
		programs.Write(program)
	}
	assert.GreaterOrEqual(t, requireQuoted(t, string(text), programs.String()), 7)
	for _, name := range regexp.MustCompile("`([a-z]+\\.go|internal/[a-z]+)`").FindAllStringSubmatch(string(text), -1) {
		_, err := os.Stat(filepath.Join("../../examples/chat", name[1]))
		assert.NoError(t, err, "the tutorial names a file that is not there")
	}
}
