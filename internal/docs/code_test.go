package docs

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// code is this module, and the adapter whose limits the README has, to look up what its packages declare, exported or not.
type code struct {
	fset *token.FileSet
	// packages are by folder, exported by package name as well.
	packages map[string]*checked
	named    map[string][]*types.Package
}

// checked is a package with its syntax.
type checked struct {
	*types.Package
	files []*ast.File
	info  *types.Info
}

func newCode(t *testing.T) *code {
	t.Helper()
	const module = "github.com/carillon-rt/carillon/"
	cmd := exec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-json=ImportPath,Export,Dir,GoFiles", "./...", "./storage/sqlite")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	require.NoError(t, err)
	type listed struct {
		ImportPath, Export, Dir string
		GoFiles                 []string
	}
	exports := make(map[string]string)
	var own []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(t, err)
		}
		exports[p.ImportPath] = p.Export
		if strings.HasPrefix(p.ImportPath, module) && !strings.Contains(p.ImportPath, "/internal/") {
			own = append(own, p)
		}
	}
	c := &code{fset: token.NewFileSet(), packages: make(map[string]*checked), named: make(map[string][]*types.Package)}
	from := importer.ForCompiler(c.fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	for _, p := range own {
		k := &checked{info: &types.Info{Types: make(map[ast.Expr]types.TypeAndValue)}}
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(c.fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			k.files = append(k.files, f)
		}
		k.Package, err = (&types.Config{Importer: from}).Check(p.ImportPath, c.fset, k.files, k.info)
		require.NoError(t, err)
		c.packages[strings.TrimPrefix(p.ImportPath, module)] = k
		c.named[k.Name()] = append(c.named[k.Name()], k.Package)
	}
	return c
}

// value is that of a constant, or of a field of a variable, by its name after the
// folder of its package.
func (c *code) value(t *testing.T, name string) int64 {
	t.Helper()
	slash := strings.LastIndex(name, "/") + 1
	folder, rest, _ := strings.Cut(name[slash:], ".")
	p := c.packages[name[:slash]+folder]
	require.NotNil(t, p, "%s: there is no such package", name)
	variable, field, isField := strings.Cut(rest, ".")
	var v constant.Value
	if isField {
		v = p.field(variable, field)
	} else if k, ok := p.Scope().Lookup(variable).(*types.Const); ok {
		v = k.Val()
	}
	require.NotNil(t, v, "%s: there is no such constant", name)
	n, exact := constant.Int64Val(constant.ToInt(v))
	require.True(t, exact, name)
	return n
}

// field is what a variable's declaration gives a field; nil if nothing.
func (p *checked) field(variable, field string) (v constant.Value) {
	for _, f := range p.files {
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || spec.Names[0].Name != variable || len(spec.Values) != 1 {
				return true
			}
			ast.Inspect(spec.Values[0], func(n ast.Node) bool {
				if kv, ok := n.(*ast.KeyValueExpr); ok {
					if key, ok := kv.Key.(*ast.Ident); ok && key.Name == field {
						v = p.info.Types[kv.Value].Value
					}
				}
				return true
			})
			return false
		})
	}
	return v
}

// exports says whether a package has what a program would write: pkg.Name, or
// pkg.Type.Name for a field or a method.
func (c *code) exports(name string) bool {
	parts := strings.Split(name, ".")
	for _, p := range c.named[parts[0]] {
		if len(parts) < 2 || !ast.IsExported(parts[1]) {
			continue
		}
		o := p.Scope().Lookup(parts[1])
		if o != nil && len(parts) == 3 {
			o, _, _ = types.LookupFieldOrMethod(o.Type(), true, p, parts[2])
		}
		if o != nil {
			return true
		}
	}
	return false
}
