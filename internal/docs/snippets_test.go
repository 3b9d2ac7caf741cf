// Package docs checks the documents.
package docs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	// What snippets use: a change of it has to run the test again.
	_ "github.com/carillon-rt/carillon/brokertest"
	_ "github.com/carillon-rt/carillon/storage/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// given is what the README's snippets take for granted.
var given = []struct{ name, kind string }{
	{"ctx", "context.Context"}, {"mux", "*http.ServeMux"}, {"b", "*broker.Broker"},
	{"err", "error"}, {"data", "[]byte"}, {"socketID, key", "string"},
}

var imports = []string{
	"context", "errors", "fmt", "net/http", "os", "os/signal", "syscall", "testing", "time",
	"github.com/carillon-rt/carillon/broker", "github.com/carillon-rt/carillon/brokertest", "github.com/carillon-rt/carillon/console",
	"github.com/carillon-rt/carillon/pusher", "github.com/carillon-rt/carillon/storage",
	"github.com/carillon-rt/carillon/storage/sqlite", "github.com/carillon-rt/carillon/storage/storagetest",
}

// quoting are the documents whose Go code is quoted from programs, which other tests see to.
var quoting = []string{"docs/chat.md", "docs/adapter.md"}

// TestSnippets compiles the Go code of the documents as it is written there, all of it at
// once: each snippet is a package below this folder, named after its document.
func TestSnippets(t *testing.T) {
	folder, err := os.MkdirTemp(".", ".snippets-")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(folder)) })
	vet := []string{"vet"}
	for _, document := range documents(t) {
		if slices.Contains(quoting, document) {
			continue
		}
		text, err := os.ReadFile(filepath.Join("..", "..", document))
		require.NoError(t, err)
		for i, s := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
			name := strings.NewReplacer("/", "_", ".md", "").Replace(document)
			pkg := filepath.Join(folder, fmt.Sprintf("%s_%d", name, i+1))
			require.NoError(t, os.Mkdir(pkg, 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(pkg, "snippet.go"), []byte(program(s[1])), 0o600))
			vet = append(vet, "./"+pkg)
		}
	}
	require.Greater(t, len(vet), 10, "snippets")
	out, err := exec.CommandContext(t.Context(), "go", vet...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// program puts what is missing around a snippet.
func program(snippet string) string {
	own := regexp.MustCompile(`(?m)^import .*\n`)
	used := new(strings.Builder)
	for _, line := range own.FindAllString(snippet, -1) {
		used.WriteString(line)
	}
	snippet = strings.TrimLeft(own.ReplaceAllString(snippet, ""), "\n")
	body := snippet
	if !strings.HasPrefix(snippet, "func ") {
		var params []string
		for _, g := range given {
			// A parameter can be assigned to with :=, unless nothing else is new.
			if g.name == "err" || !regexp.MustCompile(`(?m)^(\w+, )?`+g.name+`\b(, \w+)? :=`).MatchString(snippet) {
				params = append(params, g.name+" "+g.kind)
			}
		}
		body = "func _(" + strings.Join(params, ", ") + ") {\n" + snippet + "}\n"
	}
	body += "\ntype Message struct{ Text string }\n\nvar open func(*testing.T) storage.History\n"
	for _, path := range imports {
		if regexp.MustCompile(`\b` + filepath.Base(path) + `\.`).MatchString(body) {
			_, _ = fmt.Fprintf(used, "import %q\n", path)
		}
	}
	return "package snippet\n\n" + used.String() + "\n" + body
}
