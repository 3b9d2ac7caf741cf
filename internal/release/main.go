// Command release keeps the modules of this repository together. No go.mod has a
// replace, so that everybody can install from it; what the modules ask of each
// other is found in the workspace, and outside of it in a proxy of files that
// this command makes of the tree.
//
//	go run ./internal/release tidy           # go mod tidy everywhere, and go.work
//	go run ./internal/release release v1.2.3 # ask for v1.2.3 everywhere, tidy, install the server from it
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"golang.org/x/mod/semver"
)

// server is the package that one installs.
const server = "cmd/carillon"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	top, err := exec.CommandContext(ctx, "git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return fmt.Errorf("git rev-parse: %w", err)
	}
	tr, err := openTree(ctx, strings.TrimSpace(string(top)))
	if err != nil {
		return err
	}
	w, err := newWorkshop(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	switch {
	case len(args) == 1 && args[0] == "tidy":
		return w.tidy(ctx, tr, false)
	case len(args) == 2 && args[0] == "release":
		return release(ctx, w, tr, args[1], out)
	}
	return errors.New("want tidy, or release and a version")
}

// release makes every module ask for the version of the others, and proves that
// the server can be installed from what would be published.
func release(ctx context.Context, w *workshop, tr *tree, version string, out io.Writer) error {
	if !semver.IsValid(version) || semver.Canonical(version) != version || semver.Major(version) > "v1" {
		return fmt.Errorf("version %q is not like v0.1.0 or v1.2.3-rc.1", version)
	}
	if err := tr.askFor(version); err != nil {
		return err
	}
	if err := w.tidy(ctx, tr, true); err != nil {
		return err
	}
	binary, err := w.install(ctx, tr.root().path+"/"+server, version)
	if err != nil {
		return err
	}
	// It says what it is made of, and it runs.
	for _, args := range [][]string{{"go", "version", "-m", binary}, {binary, "-help"}} {
		said, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, said)
		}
		if args[0] == "go" {
			if _, err := out.Write(said); err != nil {
				return err
			}
		}
	}
	_, err = fmt.Fprintf(out, "\n%s was installed from the tree. To publish it:\n\n"+
		"  git commit -am 'Release %s'\n", server, version)
	var tags []string
	for _, m := range tr.modules {
		tags = append(tags, filepath.ToSlash(filepath.Join(m.dir, version)))
	}
	for _, tag := range tags {
		_, e := fmt.Fprintf(out, "  git tag %s\n", tag)
		err = errors.Join(err, e)
	}
	_, e := fmt.Fprintf(out, "  git push origin %s\n", strings.Join(tags, " "))
	return errors.Join(err, e)
}
