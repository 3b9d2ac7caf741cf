package arch

import (
	"encoding/json"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// version is a module at a version, or a folder in place of one.
type version struct{ Path, Version string }

// modFile is what `go mod edit -json` and `go work edit -json` say.
type modFile struct {
	Module  version
	Require []version
	Use     []struct{ DiskPath string }
	Replace []struct{ Old, New version }
}

func edited(t *testing.T, command, file string) (f modFile) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", command, "edit", "-json", filepath.Base(file))
	cmd.Dir = filepath.Join("..", "..", filepath.Dir(file))
	out, err := cmd.Output()
	require.NoError(t, err, file)
	require.NoError(t, json.Unmarshal(out, &f))
	return f
}

// TestModules holds whatever lists the modules to those that there are: one that
// is missing in the Makefile is neither linted nor tested, one that is missing in
// go.work does not build with what is here, and a replace in a go.mod keeps
// everybody from installing it.
func TestModules(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "--cached", "--others", "--exclude-standard",
		"--deduplicate", "go.mod", "*/go.mod")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	require.NoError(t, err)
	var dirs []string
	modules := make(map[string]modFile)
	for name := range strings.FieldsSeq(string(out)) {
		if _, err := os.Stat(filepath.Join("..", "..", name)); err != nil {
			continue // deleted, which is not committed yet
		}
		dirs = append(dirs, path.Dir(name))
		modules[path.Dir(name)] = edited(t, "mod", name)
	}
	require.Contains(t, dirs, ".")

	makefile, err := os.ReadFile("../../Makefile")
	require.NoError(t, err)
	list := regexp.MustCompile(`(?m)^MODULES := (.*)$`).FindSubmatch(makefile)
	require.NotNil(t, list, "the Makefile has no MODULES")
	assert.ElementsMatch(t, dirs, strings.Fields(string(list[1])), "MODULES in the Makefile")

	work := edited(t, "work", "go.work")
	var used []string
	for _, u := range work.Use {
		used = append(used, path.Clean(u.DiskPath))
	}
	assert.ElementsMatch(t, dirs, used, "go.work: run make tidy")

	replaced := make(map[version]string)
	for _, r := range work.Replace {
		assert.NotEmpty(t, r.Old.Version, "go.work: Go refuses to replace %s at all versions", r.Old.Path)
		replaced[r.Old] = path.Clean(r.New.Path)
	}
	for dir, m := range modules {
		assert.Empty(t, m.Replace, "%s/go.mod: whoever installs from it does not follow a replace", dir)
		for _, r := range m.Require {
			for other, o := range modules {
				if r.Path == o.Module.Path {
					assert.Equal(t, other, replaced[r], "go.work: %s %s, run make tidy", r.Path, r.Version)
				}
			}
		}
	}
}
