package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// workshop is where modules are put together: a proxy that has those of the tree,
// and a module cache of its own, since the user's would keep what it has once
// seen of a version.
type workshop struct {
	dir string
	// cache is the user's module cache: it saves fetching the modules of others.
	cache, upstream string
}

func newWorkshop(ctx context.Context) (*workshop, error) {
	var env struct{ GOMODCACHE, GOPROXY string }
	out, err := exec.CommandContext(ctx, "go", "env", "-json", "GOMODCACHE", "GOPROXY").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	if err := json.Unmarshal(out, &env); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "carillon-release-")
	return &workshop{dir: dir, cache: env.GOMODCACHE, upstream: env.GOPROXY}, err
}

func (w *workshop) close() error { return os.RemoveAll(w.dir) }

func (w *workshop) proxy() string { return filepath.Join(w.dir, "proxy") }

// tidy puts every module of the tree into the proxy, as tidy as it leaves it, and
// writes go.work. Sums of the tree's own modules stay what they are unless they
// are asked for: they change with every file, and the workspace needs none.
func (w *workshop) tidy(ctx context.Context, tr *tree, ownSums bool) error {
	version, err := tr.version()
	if err != nil {
		return err
	}
	for _, m := range tr.modules {
		sums := tr.file(m, "go.sum")
		before, err := tr.sums(sums, true)
		if err != nil {
			return err
		}
		if err := w.command(ctx, filepath.Dir(sums), nil, "mod", "tidy"); err != nil {
			return fmt.Errorf("%s: %w", m.path, err)
		}
		if !ownSums && len(m.asks) > 0 {
			others, err := tr.sums(sums, false)
			if err != nil {
				return err
			}
			if err := os.WriteFile(sums, []byte(strings.Join(append(before, others...), "")), 0o644); err != nil {
				return err
			}
		}
		if err := w.add(tr, m, version); err != nil {
			return err
		}
	}
	if err := tr.read(); err != nil {
		return err
	}
	return tr.writeWork()
}

// sums are the lines of a go.sum that are about modules of the tree, or all others.
func (tr *tree) sums(name string, own bool) (lines []string, err error) {
	text, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		path, _, _ := strings.Cut(line, " ")
		if (tr.module(path) != nil) == own {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// add puts a version of a module into the proxy.
func (w *workshop) add(tr *tree, m *mod, version string) error {
	escaped, err := module.EscapePath(m.path)
	if err != nil {
		return err
	}
	folder := filepath.Join(w.proxy(), filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	text, err := os.ReadFile(tr.file(m, "go.mod"))
	if err != nil {
		return err
	}
	info, err := json.Marshal(struct {
		Version string
		Time    time.Time
	}{version, time.Now().UTC()})
	if err != nil {
		return err
	}
	archive, err := os.Create(filepath.Join(folder, version+".zip"))
	if err != nil {
		return err
	}
	var files []zip.File
	for within, name := range tr.contents(m) {
		files = append(files, file{within, name})
	}
	return errors.Join(
		zip.Create(archive, module.Version{Path: m.path, Version: version}, files), archive.Close(),
		os.WriteFile(filepath.Join(folder, version+".mod"), text, 0o644),
		os.WriteFile(filepath.Join(folder, version+".info"), info, 0o644),
		os.WriteFile(filepath.Join(folder, "list"), []byte(version+"\n"), 0o644),
	)
}

// file is a file of a module; it implements zip.File.
type file struct{ within, name string }

func (f file) Path() string                 { return f.within }
func (f file) Lstat() (os.FileInfo, error)  { return os.Lstat(f.name) }
func (f file) Open() (io.ReadCloser, error) { return os.Open(f.name) }

// install installs a package from the proxy, as a user would, and returns where it
// is.
func (w *workshop) install(ctx context.Context, pkg, version string) (string, error) {
	bin := filepath.Join(w.dir, "bin")
	// The sums of others were checked when their go.sum was made.
	err := w.command(ctx, w.dir, []string{"GOBIN=" + bin, "GOSUMDB=off"}, "install", "-trimpath", pkg+"@"+version)
	return filepath.Join(bin, filepath.Base(pkg)), err
}

// command runs go outside of any workspace.
func (w *workshop) command(ctx context.Context, dir string, env []string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(),
		"GOWORK=off", "GOFLAGS=-modcacherw",
		"GOMODCACHE="+filepath.Join(w.dir, "cache"),
		"GONOSUMDB=github.com/carillon-rt", "GONOPROXY=none", "GOPRIVATE=",
		"GOPROXY=file://"+filepath.ToSlash(w.proxy())+",file://"+filepath.ToSlash(filepath.Join(w.cache, "cache", "download"))+","+w.upstream,
	), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}
