package arch

import (
	"bufio"
	"bytes"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// uses says what the files of a package use of each other: by file and file that is
// used, the names of functions, methods, types, fields, constants and variables.
type uses map[string]map[string][]string

// usesWithin type-checks a package of this module without its tests.
func usesWithin(t *testing.T, pkg string) uses {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("../..", pkg))
	require.NoError(t, err)
	files := token.NewFileSet()
	var parsed []*ast.File
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		parsed = append(parsed, f)
	}
	info := types.Info{Uses: make(map[*ast.Ident]types.Object)}
	config := types.Config{Importer: importer.ForCompiler(files, "gc", exportsOf(t, dir))}
	checked, err := config.Check(module+pkg, files, parsed, &info)
	require.NoError(t, err)

	found := make(uses)
	for _, name := range names {
		if !strings.HasSuffix(name, "_test.go") {
			found[filepath.Base(name)] = make(map[string][]string)
		}
	}
	for ident, obj := range info.Uses {
		switch o := obj.(type) {
		case *types.Func:
			obj = o.Origin()
		case *types.Var:
			obj = o.Origin()
			if !o.IsField() && o.Parent() != checked.Scope() {
				continue
			}
		case *types.TypeName, *types.Const:
			if obj.Parent() != checked.Scope() {
				continue
			}
		default:
			continue
		}
		if obj.Pkg() != checked {
			continue
		}
		from := filepath.Base(files.Position(ident.Pos()).Filename)
		to := filepath.Base(files.Position(obj.Pos()).Filename)
		if from != to && !slices.Contains(found[from][to], obj.Name()) {
			found[from][to] = append(found[from][to], obj.Name())
		}
	}
	return found
}

// exportsOf finds the compiled form of what the package in a directory imports.
func exportsOf(t *testing.T, dir string) importer.Lookup {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}", ".")
	cmd.Dir = dir
	out, err := cmd.Output()
	require.NoError(t, err)
	exports := make(map[string]string)
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		path, export, _ := strings.Cut(lines.Text(), "\t")
		exports[path] = export
	}
	return func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	}
}

// floors are the files of package broker from the top of the house to its bottom: what
// programs and protocols call, what decides, the channel, and what all of them use. A
// file may use those that come after it.
var floors = [][]string{
	{"new", "options", "shared", "shared_history", "topic", "describe", "inspect", "online", "history", "page",
		"revoke", "search", "amend", "accept_amendment", "prepare", "publish", "client_event", "subscription", "consume", "connect",
		"shutdown", "subscribe", "start", "unsubscribe", "sign_in", "grant", "accept", "append",
		"idempotency", "app", "observer_protocol", "broker"},
	{"decide", "rules", "cipher"},
	{"read_past", "arrive", "count", "handout", "inbox", "attach", "registry", "channel",
		"subscriber", "observer_watch"},
	{"node", "inform", "hook_set", "observe_sessions", "hooks", "observer_publish", "observe_protocol", "observe_events",
		"session", "limits", "channel_key", "past", "order", "amendment", "store_amend",
		"store_presence", "store", "faults", "observer", "observe_faults", "observe", "work", "protocol", "stats", "rule", "reach", "event",
		"channel_name", "errors"},
}

// maxUp is how many pairs of files may be tied against that order. What there is are
// types that name each other: a session and its subscriptions, a channel and the
// registry, a session and the broker whose methods it calls.
const maxUp = 5

func TestCallsWithinBrokerGoDown(t *testing.T) {
	place := make(map[string]int)
	for _, floor := range floors {
		for _, name := range floor {
			place[name+".go"] = len(place)
		}
	}
	var up []string
	for from, used := range usesWithin(t, "broker") {
		require.Contains(t, place, from, "give the file its place among the floors")
		for to, names := range used {
			if place[to] < place[from] {
				slices.Sort(names)
				up = append(up, fmt.Sprintf("%s uses %s of %s", from, strings.Join(names, ", "), to))
			}
		}
	}
	slices.Sort(up)
	assert.LessOrEqual(t, len(up), maxUp, "ties that run up:\n%s", strings.Join(up, "\n"))
}
