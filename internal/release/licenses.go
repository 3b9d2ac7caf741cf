package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/module"
)

// licenseFile is what the files are called that have to go along with a program.
var licenseFile = regexp.MustCompile(`(?i)^(licen[sc]e|copying|notice|patents)([.-].*)?$`)

// licenses writes the texts that whoever passes a program on has to pass on with it: those
// of the modules it is made of, but for those of the tree, and of Go.
func licenses(ctx context.Context, tr *tree, program string, out io.Writer) error {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return err
	}
	env, err := exec.CommandContext(ctx, "go", "env", "GOROOT", "GOMODCACHE").Output()
	if err != nil {
		return fmt.Errorf("go env: %w", err)
	}
	goroot, cache, _ := strings.Cut(strings.TrimSpace(string(env)), "\n")
	err = licensesIn(out, "Go "+info.GoVersion, goroot)
	for _, dep := range info.Deps {
		if tr.module(dep.Path) != nil {
			continue
		}
		if dep.Replace != nil {
			dep = dep.Replace
		}
		name, e := module.EscapePath(dep.Path)
		version, e2 := module.EscapeVersion(dep.Version)
		err = errors.Join(err, e, e2, licensesIn(out, dep.Path+" "+dep.Version, filepath.Join(cache, name+"@"+version)))
	}
	return err
}

// licensesIn writes those of one module, which has to have some.
func licensesIn(out io.Writer, name, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return e.IsDir() || !licenseFile.MatchString(e.Name()) })
	if len(entries) == 0 {
		return fmt.Errorf("%s has no licence in %s", name, dir)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "%[1]s\n%[2]s, %[3]s\n%[1]s\n\n%[4]s\n", strings.Repeat("=", 72), name, e.Name(), text); err != nil {
			return err
		}
	}
	return nil
}
