// Package arch holds the rules of who may import whom.
package arch

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const module = "github.com/carillon-rt/carillon/"

// listed is what go list says of a package.
type listed struct {
	ImportPath  string
	Dir         string
	Imports     []string
	TestGoFiles []string
	GoFiles     []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,Imports,GoFiles,TestGoFiles", "./...", "./console")
	cmd.Dir = root
	out, err := cmd.Output()
	require.NoError(t, err)
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(t, err)
		}
		all = append(all, p)
	}
	require.Greater(t, len(all), 8)
	return all
}

// rule says what the packages below from may import of this module and, where
// banned says so, what they may not import at all.
type rule struct {
	from    string
	allowed []string
	banned  []string
}

// rules has longer paths before those they start with. broker imports one
// concrete store, because broker.New works without configuration.
var rules = []rule{
	{from: "broker", allowed: []string{"storage", "storage/memory", "presence", "ratelimit", "transport", "internal"}, banned: []string{"net/http", "github.com/coder/websocket"}},
	{from: "console", allowed: []string{"broker", "ratelimit", "storage", "transport"}},
	{from: "brokertest", allowed: []string{"broker", "pusher", "transport/memory"}},
	{from: "presence", allowed: []string{"storage", "internal"}},
	{from: "ratelimit", allowed: []string{"internal"}},
	{from: "storage/storagetest", allowed: []string{"storage"}},
	{from: "storage/memory", allowed: []string{"storage", "storage/words", "internal"}},
	{from: "storage/words", allowed: []string{"storage"}},
	{from: "storage", allowed: []string{}, banned: []string{"net/http"}},
	{from: "transport/transporttest", allowed: []string{"transport"}},
	{from: "transport/", allowed: []string{"transport", "internal"}},
	{from: "transport", allowed: []string{}, banned: []string{"net/http"}},
	{from: "pusher", allowed: []string{"broker", "transport", "storage", "ratelimit", "internal"}},
	{from: "internal/cursor", allowed: []string{"storage"}},
	{from: "internal", allowed: []string{"internal"}},
}

func below(path, tree string) bool {
	return path == tree || strings.HasPrefix(path, strings.TrimSuffix(tree, "/")+"/")
}

// exactly are packages whose permission does not extend to what is below them.
var exactly = map[string]bool{"storage": true, "broker": true}

func permits(r rule, path string) bool {
	for _, a := range r.allowed {
		if path == a || (!exactly[a] && below(path, a)) {
			return true
		}
	}
	return below(path, strings.TrimSuffix(r.from, "/"))
}

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		i := 0
		for i < len(rules) && !(below(path, rules[i].from) && (path != "transport" || rules[i].from == "transport")) {
			i++
		}
		if !assert.Less(t, i, len(rules), "%s has no rule", path) {
			continue
		}
		r := rules[i]
		for _, imported := range p.Imports {
			assert.NotContains(t, r.banned, imported, "%s imports %s", path, imported)
			if ours, ok := strings.CutPrefix(imported, module); ok {
				if path == "broker" && strings.HasPrefix(ours, "transport/") {
					t.Errorf("broker imports the concrete transport %s", ours)
				}
				assert.True(t, permits(r, ours), "%s imports %s", path, ours)
			}
		}
	}
}

func TestNames(t *testing.T) {
	for _, p := range packages(t) {
		for _, banned := range []string{"util", "utils", "common", "helpers", "types", "misc"} {
			assert.NotEqual(t, banned, filepath.Base(p.ImportPath))
		}
	}
}
