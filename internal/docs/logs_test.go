package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// logged is a line of code that logs.
type logged struct {
	where, message string
	keys           []string
}

// logs are all such lines of the root module. Each has its message and keys as literals.
func logs(t *testing.T) (all []logged) {
	t.Helper()
	root := filepath.Join("..", "..")
	files := token.NewFileSet()
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			_, module := os.Stat(filepath.Join(path, "go.mod"))
			if path != root && (module == nil || strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(filepath.Dir(path), "test") {
			return nil
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if call, is := n.(*ast.CallExpr); is {
				if args := logCall(call); args != nil {
					all = append(all, line(t, files.Position(call.Pos()).String(), args))
				}
			}
			return true
		})
		return nil
	}))
	require.Greater(t, len(all), 15)
	return all
}

// logCall returns the arguments of a call of a slog.Logger, from the message on.
func logCall(call *ast.CallExpr) []ast.Expr {
	method, is := call.Fun.(*ast.SelectorExpr)
	if !is {
		return nil
	}
	skip, logs := map[string]int{"Debug": 0, "Info": 0, "Warn": 0, "Error": 0, "DebugContext": 1, "InfoContext": 1,
		"WarnContext": 1, "ErrorContext": 1, "Log": 2}[method.Sel.Name]
	on := ""
	switch of := method.X.(type) {
	case *ast.SelectorExpr:
		on = of.Sel.Name
	case *ast.Ident:
		on = of.Name
	case *ast.CallExpr: // slog.Default()
		if f, is := of.Fun.(*ast.SelectorExpr); is {
			on = f.Sel.Name
		}
	}
	if !logs || !slices.Contains([]string{"log", "logger", "slog", "Default", "Logger"}, on) || len(call.Args) <= skip {
		return nil
	}
	return call.Args[skip:]
}

func line(t *testing.T, where string, args []ast.Expr) logged {
	text := func(e ast.Expr) string {
		literal, is := e.(*ast.BasicLit)
		require.True(t, is && literal.Kind == token.STRING, "%s: messages and keys are literals, so that they are stable", where)
		s, err := strconv.Unquote(literal.Value)
		require.NoError(t, err)
		return s
	}
	l := logged{where: where, message: text(args[0])}
	for i := 1; i < len(args); i += 2 {
		l.keys = append(l.keys, text(args[i]))
	}
	return l
}

var cell = regexp.MustCompile("`([^`]*)`")

// cells are the rows of the tables of docs/observe.md below a heading of a column, each with
// what is quoted in its columns.
func cells(t *testing.T, heading string) (rows [][][]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "observe.md"))
	require.NoError(t, err)
	_, table, found := strings.Cut(string(text), heading+"\n")
	require.True(t, found)
	for _, row := range strings.Split(table, "\n")[1:] {
		if !strings.HasPrefix(row, "|") {
			break
		}
		var columns [][]string
		for _, column := range strings.Split(strings.Trim(row, "|"), "|") {
			var quotes []string
			for _, q := range cell.FindAllStringSubmatch(column, -1) {
				quotes = append(quotes, q[1])
			}
			columns = append(columns, quotes)
		}
		rows = append(rows, columns)
	}
	return rows
}

// TestLogsAreDocumented holds what is logged to the tables of docs/observe.md.
func TestLogsAreDocumented(t *testing.T) {
	var keys []string
	for _, row := range cells(t, "| key | value |") {
		keys = append(keys, row[0]...)
	}
	documented := make(map[string][]string)
	for _, row := range cells(t, "| level | message | keys |") {
		documented[row[1][0]] = row[2]
	}
	found := make(map[string]bool)
	for _, l := range logs(t) {
		found[l.message] = true
		assert.Equal(t, documented[l.message], l.keys, "%s: %q", l.where, l.message)
		for _, key := range l.keys {
			assert.Contains(t, keys, key, l.where)
			assert.Regexp(t, `^[a-z_]+$`, key)
		}
	}
	for message := range documented {
		assert.True(t, found[message], "%q is not logged any more", message)
	}
}
