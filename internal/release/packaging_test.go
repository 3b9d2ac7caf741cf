package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// unit is a file of systemd's: sections of keys, which may come several times.
type unit map[string]map[string][]string

func readUnit(t *testing.T, name string) unit {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	u, section := unit{}, ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '[' {
			section = strings.Trim(line, "[]")
			u[section] = map[string][]string{}
			continue
		}
		key, value, found := strings.Cut(line, "=")
		require.True(t, found && section != "", "%s: %q", name, line)
		u[section][key] = append(u[section][key], value)
	}
	return u
}

// TestUnits has systemd check its units where there is one, as it would on a machine that
// they are installed on. Everywhere it holds them to each other and to the program.
func TestUnits(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"carillon.service", "carillon.socket"} {
		text, err := os.ReadFile(filepath.Join("../../packaging", name))
		require.NoError(t, err)
		here := bytes.ReplaceAll(text, []byte("/usr/local/bin/carillon"), []byte("/bin/true"))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), here, 0o600))
	}
	if analyze, err := exec.LookPath("systemd-analyze"); err == nil {
		for _, args := range [][]string{
			{"verify", "--man=no", filepath.Join(dir, "carillon.service"), filepath.Join(dir, "carillon.socket")},
			// 10 is a service that may do everything, and 2 where systemd stops to complain.
			{"security", "--offline=true", "--threshold=20", filepath.Join(dir, "carillon.service")},
		} {
			out, err := exec.CommandContext(t.Context(), analyze, args...).CombinedOutput()
			assert.NoError(t, err, "systemd-analyze %s:\n%s", args[0], out)
		}
	} else {
		t.Log("there is no systemd-analyze: the units are parsed, and not verified")
	}

	service, socket := readUnit(t, "../../packaging/carillon.service"), readUnit(t, "../../packaging/carillon.socket")
	assert.Contains(t, service["Unit"]["Requires"], "carillon.socket")
	assert.Contains(t, service["Install"]["Also"], "carillon.socket")
	assert.NotEmpty(t, socket["Socket"]["ListenStream"])
	for _, key := range []string{"NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome", "MemoryDenyWriteExecute", "RestrictNamespaces"} {
		assert.Equal(t, []string{"true"}, service["Service"][key], key)
	}
	assert.Equal(t, []string{"strict"}, service["Service"]["ProtectSystem"])
	assert.Equal(t, []string{""}, service["Service"]["CapabilityBoundingSet"])
	// Only the exit code of the server itself keeps systemd from starting it again and again.
	assert.Equal(t, []string{"2"}, service["Service"]["RestartPreventExitStatus"])
	assert.Empty(t, service["Service"]["ExecStartPre"])
	// What the server may keep for slow clients is worked out from /proc/meminfo.
	assert.NotContains(t, service["Service"]["ProcSubset"], "pid")
	users, err := os.ReadFile("../../packaging/carillon.sysusers.conf")
	require.NoError(t, err)
	assert.Contains(t, string(users), "\nu "+service["Service"]["User"][0]+" ")
}

// goreleaser is as much of GoReleaser's configuration as is used here: what is not part of
// it is refused. GoReleaser itself checks it with make goreleaser-check.
type goreleaser struct {
	Version     int
	ProjectName string `yaml:"project_name"`
	Git         struct {
		IgnoreTags []string `yaml:"ignore_tags"`
	}
	Before struct{ Hooks []string }
	Builds []struct {
		ID, Dir, Main, Binary        string
		Env, Flags, Ldflags, Targets []string
		ModTimestamp                 string `yaml:"mod_timestamp"`
	}
	Archives []struct {
		ID              string
		Formats         []string
		FormatOverrides []struct {
			Goos    string
			Formats []string
		} `yaml:"format_overrides"`
		NameTemplate string `yaml:"name_template"`
		Files        []archived
	}
	Checksum struct {
		NameTemplate string              `yaml:"name_template"`
		ExtraFiles   []map[string]string `yaml:"extra_files"`
	}
	Release struct {
		GitHub     struct{ Owner, Name string }
		ExtraFiles []map[string]string `yaml:"extra_files"`
	}
	Changelog struct{ Disable bool }
}

// archived is a file that goes into an archive.
type archived struct {
	Src, Dst    string
	StripParent bool `yaml:"strip_parent"`
}

// UnmarshalYAML takes a bare name as well.
func (a *archived) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		return node.Decode(&a.Src)
	}
	type plain archived
	return node.Decode((*plain)(a))
}

func TestGoReleaser(t *testing.T) {
	text, err := os.ReadFile("../../.goreleaser.yaml")
	require.NoError(t, err)
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var c goreleaser
	require.NoError(t, decoder.Decode(&c))

	platforms, err := exec.CommandContext(t.Context(), "go", "tool", "dist", "list").Output()
	require.NoError(t, err)
	known := strings.Fields(strings.ReplaceAll(string(platforms), "/", "_"))
	require.Len(t, c.Builds, 1)
	assert.Equal(t, server, c.Builds[0].Dir)
	assert.FileExists(t, filepath.Join("../..", server, "go.mod"))
	assert.Contains(t, c.Builds[0].Env, "CGO_ENABLED=0")
	for _, target := range c.Builds[0].Targets {
		assert.True(t, slices.Contains(known, target), target)
	}
	for _, a := range c.Archives {
		for _, f := range a.Files {
			if made, ok := strings.CutPrefix(f.Src, ".cache/sbom/"); ok {
				makefile, err := os.ReadFile("../../Makefile")
				require.NoError(t, err)
				assert.Contains(t, string(makefile), "$(SBOM)/"+made)
				assert.Equal(t, []string{"make sbom SBOM=.cache/sbom"}, c.Before.Hooks)
				continue
			}
			assert.FileExists(t, filepath.Join("../..", f.Src))
		}
	}
	// The tags of the other modules would be taken for versions of the server.
	assert.Equal(t, []string{"*/*"}, c.Git.IgnoreTags)
}

// TestLicenses has the licences of this test itself.
func TestLicenses(t *testing.T) {
	original, err := openTree(t.Context(), "../..")
	require.NoError(t, err)
	binary, err := os.Executable()
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, licenses(t.Context(), original, binary, &out))
	for _, text := range []string{"\nGo go1.", "\ngolang.org/x/mod v0.", "Redistribution and use in source and binary forms"} {
		assert.Contains(t, out.String(), text)
	}
	assert.ErrorContains(t, licensesIn(&out, "nothing", t.TempDir()), "nothing has no licence")
}
