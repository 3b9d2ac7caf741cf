package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// copied is a copy of this repository, to write to.
func copied(t *testing.T) (original, writable *tree) {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	original, err = openTree(t.Context(), root)
	require.NoError(t, err)
	writable = &tree{dir: t.TempDir(), files: original.files}
	for _, name := range original.files {
		text, err := os.ReadFile(filepath.Join(original.dir, name))
		require.NoError(t, err)
		target := filepath.Join(writable.dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(target), 0o755))
		require.NoError(t, os.WriteFile(target, text, 0o600))
	}
	require.NoError(t, writable.read())
	return original, writable
}

// TestModules tidies a copy of the tree, which has to change nothing, and installs
// the server from a release of it. Both use one workshop, whose module cache takes
// the longest to fill.
func TestModules(t *testing.T) {
	w, err := newWorkshop(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, w.close()) })

	t.Run("the tree is tidy", func(t *testing.T) {
		original, writable := copied(t)
		require.NoError(t, w.tidy(t.Context(), writable, false))
		names := []string{"go.work"}
		for _, m := range original.modules {
			names = append(names, filepath.Join(m.dir, "go.mod"), filepath.Join(m.dir, "go.sum"))
		}
		for _, name := range names {
			is, err := os.ReadFile(filepath.Join(original.dir, name))
			require.NoError(t, err)
			tidied, err := os.ReadFile(filepath.Join(writable.dir, name))
			require.NoError(t, err)
			assert.Equal(t, string(tidied), string(is), "%s: run make tidy", name)
		}
	})

	t.Run("the server is installed from a release", func(t *testing.T) {
		_, writable := copied(t)
		var out bytes.Buffer
		require.NoError(t, release(t.Context(), w, writable, "v0.99.0-rc.1", &out))
		assert.Contains(t, out.String(), "mod\tgithub.com/carillon-rt/carillon/cmd/carillon\tv0.99.0-rc.1")
		assert.Contains(t, out.String(), "dep\tgithub.com/carillon-rt/carillon\tv0.99.0-rc.1")
		assert.Contains(t, out.String(), "git tag v0.99.0-rc.1")
		assert.Contains(t, out.String(), "git tag cmd/carillon/v0.99.0-rc.1")
		assert.Contains(t, out.String(), "carillon v0.99.0-rc.1 go1.")

		work, err := os.ReadFile(filepath.Join(writable.dir, "go.work"))
		require.NoError(t, err)
		assert.Contains(t, string(work), "replace github.com/carillon-rt/carillon v0.99.0-rc.1 => .")
		sums, err := os.ReadFile(filepath.Join(writable.dir, "cmd", "carillon", "go.sum"))
		require.NoError(t, err)
		assert.Contains(t, string(sums), "github.com/carillon-rt/carillon v0.99.0-rc.1 h1:")
	})
}

// TestTags tags a repository of two modules.
func TestTags(t *testing.T) {
	tr := &tree{dir: t.TempDir(), files: []string{"go.mod", "sub/go.mod"}}
	require.NoError(t, os.Mkdir(filepath.Join(tr.dir, "sub"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(tr.dir, "go.mod"), []byte("module example.com/a\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(tr.dir, "sub/go.mod"), []byte("module example.com/a/sub\n\nrequire example.com/a v1.2.3\n"), 0o600))
	require.NoError(t, tr.read())
	git := func(args ...string) string {
		said, err := tr.git(t.Context(), append([]string{"-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
		require.NoError(t, err)
		return said
	}
	git("init", "-q")
	var out bytes.Buffer
	assert.ErrorContains(t, tag(t.Context(), tr, "v1.2.4", &out), "make release VERSION=v1.2.4")
	assert.ErrorContains(t, tag(t.Context(), tr, "v1.2.3", &out), "commit first")
	git("add", ".")
	git("commit", "-qm", "Release v1.2.3")
	require.NoError(t, tag(t.Context(), tr, "v1.2.3", &out))
	assert.Equal(t, "v1.2.3\nsub/v1.2.3\n", out.String())
	assert.Equal(t, "sub/v1.2.3\nv1.2.3\n", git("tag"))
	assert.ErrorContains(t, tag(t.Context(), tr, "v1.2.3", &out), "already")
}

func TestVersionsThatAreNone(t *testing.T) {
	for _, version := range []string{"", "1.2.3", "v1", "v1.2", "v2.0.0", "v1.2.3+meta", "latest"} {
		assert.ErrorContains(t, release(t.Context(), nil, &tree{}, version, nil), "is not like v0.1.0", version)
	}
}

func TestReplacesAreRefused(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module x\n\nreplace y => ../y\n"), 0o600))
	err := (&tree{dir: dir, files: []string{"go.mod"}}).read()
	assert.ErrorContains(t, err, "has a replace")
}
