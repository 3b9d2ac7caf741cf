package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

// tree is a checkout: its files, and the modules that they make up.
type tree struct {
	dir string
	// files are relative to dir, with slashes. What git ignores is not among them.
	files []string
	// modules are ordered: each asks only for those before it.
	modules []*mod
}

// mod is one module of a tree.
type mod struct {
	path string
	// dir is relative to that of the tree; the first module's is ".".
	dir string
	// asks has the version of each module of the tree that this one asks for.
	asks map[string]string
}

// openTree finds the modules of a checkout.
func openTree(ctx context.Context, dir string) (*tree, error) {
	cmd := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
	cmd.Dir = dir
	list, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	tr := &tree{dir: dir}
	for name := range strings.SplitSeq(string(list), "\x00") {
		// What was deleted stays in the index until that is committed.
		if info, err := os.Lstat(filepath.Join(dir, name)); name != "" && err == nil && info.Mode().IsRegular() {
			tr.files = append(tr.files, name)
		}
	}
	return tr, tr.read()
}

// read reads the go.mod of every module.
func (tr *tree) read() error {
	parsed := make(map[string]*modfile.File)
	dirs := make(map[string]string)
	for _, name := range tr.files {
		if path.Base(name) != "go.mod" {
			continue
		}
		f, err := tr.parse(path.Dir(name))
		if err != nil {
			return err
		}
		parsed[f.Module.Mod.Path], dirs[f.Module.Mod.Path] = f, path.Dir(name)
	}
	tr.modules = nil
	for len(tr.modules) < len(parsed) {
		before := len(tr.modules)
		for _, name := range sortedKeys(parsed) {
			m := &mod{path: name, dir: dirs[name], asks: make(map[string]string)}
			for _, r := range parsed[name].Require {
				if parsed[r.Mod.Path] != nil {
					m.asks[r.Mod.Path] = r.Mod.Version
				}
			}
			if tr.module(name) == nil && !slices.ContainsFunc(sortedKeys(m.asks), func(p string) bool { return tr.module(p) == nil }) {
				tr.modules = append(tr.modules, m)
			}
		}
		if len(tr.modules) == before {
			return fmt.Errorf("the modules of %s ask for each other in a circle", tr.dir)
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (tr *tree) module(path string) *mod {
	for _, m := range tr.modules {
		if m.path == path {
			return m
		}
	}
	return nil
}

// root is the module at the top.
func (tr *tree) root() *mod {
	i := slices.IndexFunc(tr.modules, func(m *mod) bool { return m.dir == "." })
	return tr.modules[i]
}

// file is the path of a file of a module.
func (tr *tree) file(m *mod, name string) string {
	return filepath.Join(tr.dir, filepath.FromSlash(m.dir), name)
}

func (tr *tree) parse(dir string) (*modfile.File, error) {
	name := filepath.Join(tr.dir, filepath.FromSlash(dir), "go.mod")
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	f, err := modfile.Parse(name, text, nil)
	if err == nil && len(f.Replace) > 0 {
		err = fmt.Errorf("%s has a replace: what asks for the module, or installs from it, cannot follow it", name)
	}
	return f, err
}

// version is the one that the modules ask of each other.
func (tr *tree) version() (string, error) {
	asked := make(map[string]bool)
	for _, m := range tr.modules {
		for _, version := range m.asks {
			asked[version] = true
		}
	}
	if len(asked) != 1 {
		return "", fmt.Errorf("the modules ask each other for the versions %q: it has to be one", sortedKeys(asked))
	}
	return sortedKeys(asked)[0], nil
}

// askFor makes every module ask for this version of the others.
func (tr *tree) askFor(version string) error {
	for _, m := range tr.modules {
		f, err := tr.parse(m.dir)
		if err != nil {
			return err
		}
		for other := range m.asks {
			if err := f.AddRequire(other, version); err != nil {
				return err
			}
		}
		text, err := f.Format()
		if err != nil {
			return err
		}
		if err := os.WriteFile(tr.file(m, "go.mod"), text, 0o644); err != nil {
			return err
		}
	}
	return tr.read()
}

// writeWork writes the go.work that ties the modules together. The versions that
// they ask of each other are replaced one by one: Go refuses to replace a module
// of the workspace at all of its versions.
func (tr *tree) writeWork() error {
	name := filepath.Join(tr.dir, "go.work")
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	w, err := modfile.ParseWork(name, text, nil)
	if err != nil {
		return err
	}
	asked := make(map[module.Version]bool)
	for _, m := range tr.modules {
		if !slices.ContainsFunc(w.Use, func(u *modfile.Use) bool { return u.Path == local(m.dir) }) {
			if err := w.AddUse(local(m.dir), ""); err != nil {
				return err
			}
		}
		for other, version := range m.asks {
			asked[module.Version{Path: other, Version: version}] = true
		}
	}
	for _, u := range slices.Clone(w.Use) {
		if !slices.ContainsFunc(tr.modules, func(m *mod) bool { return u.Path == local(m.dir) }) {
			if err := w.DropUse(u.Path); err != nil {
				return err
			}
		}
	}
	for _, r := range slices.Clone(w.Replace) {
		if tr.module(r.Old.Path) != nil && !asked[r.Old] {
			if err := w.DropReplace(r.Old.Path, r.Old.Version); err != nil {
				return err
			}
		}
	}
	for v := range asked {
		if err := w.AddReplace(v.Path, v.Version, local(tr.module(v.Path).dir), ""); err != nil {
			return err
		}
	}
	w.SortBlocks()
	w.Cleanup()
	return os.WriteFile(name, modfile.Format(w.Syntax), 0o644)
}

// local is how go.work writes a folder.
func local(dir string) string {
	if dir == "." {
		return "."
	}
	return "./" + dir
}

// contents are the files of a module, with their paths within it.
func (tr *tree) contents(m *mod) map[string]string {
	files := make(map[string]string)
	for _, name := range tr.files {
		if tr.owner(name) == m {
			within := strings.TrimPrefix(name, m.dir+"/")
			files[within] = filepath.Join(tr.dir, filepath.FromSlash(name))
		}
	}
	// As Go does when it fetches a module that has none.
	if _, ok := files["LICENSE"]; !ok {
		if _, err := fs.Stat(os.DirFS(tr.dir), "LICENSE"); err == nil {
			files["LICENSE"] = filepath.Join(tr.dir, "LICENSE")
		}
	}
	return files
}

// owner is the module that a file belongs to: the innermost around it.
func (tr *tree) owner(name string) (owner *mod) {
	for _, m := range tr.modules {
		if within := m.dir == "." || strings.HasPrefix(name, m.dir+"/"); within && (owner == nil || len(m.dir) > len(owner.dir)) {
			owner = m
		}
	}
	return owner
}
