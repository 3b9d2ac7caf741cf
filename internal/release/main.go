// Command release keeps the modules of this repository together. No go.mod has a
// replace, so that everybody can install from it; what the modules ask of each
// other is found in the workspace, and outside of it in a proxy of files that
// this command makes of the tree.
//
//	go run ./internal/release tidy           # go mod tidy everywhere, and go.work
//	go run ./internal/release release v1.2.3 # ask for v1.2.3 everywhere, tidy, install the server from it
//	go run ./internal/release release v1.2.3 DIR # the same, and leave the proxy in DIR
//	go run ./internal/release tag v1.2.3     # tag the commit that asks for v1.2.3, for each module
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path"
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
	case len(args) == 3 && args[0] == "release":
		if err := release(ctx, w, tr, args[1], out); err != nil {
			return err
		}
		return os.CopyFS(args[2], os.DirFS(w.proxy()))
	case len(args) == 2 && args[0] == "tag":
		return tag(ctx, tr, args[1], out)
	case len(args) == 2 && args[0] == "licenses":
		return licenses(ctx, tr, args[1], out)
	}
	return errors.New("want tidy, release and a version and perhaps a folder, tag and a version, or licenses and a program")
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
	binary, err := w.install(ctx, tr.root().path+"/"+server, "latest")
	if err != nil {
		return err
	}
	// It says what it is made of, and it runs.
	for _, args := range [][]string{{"go", "version", "-m", binary}, {binary, "version"}} {
		said, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, said)
		}
		if _, err := out.Write(said); err != nil {
			return err
		}
		if !strings.Contains(string(said), version) {
			return fmt.Errorf("%s does not say %s:\n%s", strings.Join(args, " "), version, said)
		}
	}
	_, err = fmt.Fprintf(out, "\n%s was installed from the tree. To publish it:\n\n"+
		"  git commit -am 'Release %s'\n  go run ./internal/release tag %s\n  git push origin %s\n\nwhich makes the tags\n\n",
		server, version, version, strings.Join(tr.tags(version), " "))
	for _, name := range tr.tags(version) {
		_, e := fmt.Fprintf(out, "  git tag %s\n", name)
		err = errors.Join(err, e)
	}
	return err
}

// tags are those that make a version of every module: Go takes that of a module below the
// top from the tag with its folder before the version.
func (tr *tree) tags(version string) (tags []string) {
	for _, m := range tr.modules {
		tags = append(tags, path.Join(m.dir, version))
	}
	return tags
}

// tag makes the tags of a version, all of them or none, where what is committed is what
// release has made.
func tag(ctx context.Context, tr *tree, version string, out io.Writer) error {
	if asked, err := tr.version(); err != nil {
		return err
	} else if asked != version {
		return fmt.Errorf("the modules ask each other for %s: run make release VERSION=%s first, and commit", asked, version)
	}
	changed, err := tr.git(ctx, "status", "--porcelain")
	if err != nil {
		return err
	}
	if changed != "" {
		return fmt.Errorf("commit first:\n%s", changed)
	}
	if there, err := tr.git(ctx, append([]string{"tag", "--list"}, tr.tags(version)...)...); err != nil {
		return err
	} else if there != "" {
		return fmt.Errorf("there are tags of it already:\n%s", there)
	}
	for _, name := range tr.tags(version) {
		if _, err := tr.git(ctx, "tag", name); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, name); err != nil {
			return err
		}
	}
	return nil
}

// git returns what a command of git says.
func (tr *tree) git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = tr.dir
	said, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w\n%s", args[0], err, said)
	}
	return string(said), nil
}
