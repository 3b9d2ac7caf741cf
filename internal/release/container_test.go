package main

import (
	"bufio"
	"context"
	"debug/elf"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// image is what the steps of a Dockerfile make, in folders of this machine.
type image struct {
	t *testing.T
	// context is the tree, in place of what is copied from outside, and build what the first
	// stage makes below /out. root is the image.
	context, build, root string
	env                  []string
	user                 string
	entrypoint, health   []string
	stages               int
}

// steps does what a Dockerfile of two stages says: the commands of the first one on this
// machine, and the copies of the second one into a folder.
func (i *image) steps(dockerfile string) {
	text, err := os.ReadFile(dockerfile)
	require.NoError(i.t, err)
	for line := range strings.Lines(string(text)) {
		instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch instruction {
		case "", "#", "WORKDIR", "EXPOSE", "VOLUME":
		case "FROM":
			if i.stages++; i.stages == 2 {
				assert.Equal(i.t, "scratch", rest)
			}
		case "RUN":
			cmd := exec.CommandContext(i.t.Context(), "sh", "-ec", strings.ReplaceAll(rest, "/out/", i.build+"/"))
			cmd.Dir = i.context
			out, err := cmd.CombinedOutput()
			require.NoError(i.t, err, "%s\n%s", rest, out)
		case "COPY":
			i.copy(strings.Fields(rest))
		case "USER":
			i.user = rest
		case "ENV":
			i.env = append(i.env, rest)
		case "HEALTHCHECK":
			_, command, found := strings.Cut(rest, " CMD ")
			require.True(i.t, found)
			require.NoError(i.t, json.Unmarshal([]byte(command), &i.health))
		case "ENTRYPOINT":
			require.NoError(i.t, json.Unmarshal([]byte(rest), &i.entrypoint))
		default:
			require.Fail(i.t, "an instruction that this test does not know", line)
		}
	}
}

// copy copies from the first stage, or from this machine what its base has.
func (i *image) copy(words []string) {
	if i.stages == 1 {
		assert.Equal(i.t, []string{".", "."}, words)
		return
	}
	require.Equal(i.t, "--from=build", words[0])
	owned := strings.HasPrefix(words[1], "--chown=65532:65532")
	from, to := words[len(words)-2], filepath.Join(i.root, words[len(words)-1])
	if within, ok := strings.CutPrefix(from, "/out/"); ok {
		from = filepath.Join(i.build, within)
	}
	info, err := os.Stat(from)
	require.NoError(i.t, err)
	require.NoError(i.t, os.MkdirAll(filepath.Dir(to), 0o755))
	if info.IsDir() {
		require.NoError(i.t, os.CopyFS(to, os.DirFS(from)))
		require.NoError(i.t, os.MkdirAll(to, 0o755))
	} else {
		text, err := os.ReadFile(from)
		require.NoError(i.t, err)
		require.NoError(i.t, os.WriteFile(to, text, info.Mode().Perm()))
	}
	if owned && os.Geteuid() == 0 {
		require.NoError(i.t, os.Chown(to, 65532, 65532))
	}
}

// run is a command within the image: as its user and with nothing else in sight where this
// test is root, and simply from the folder where it is not.
func (i *image) run(ctx context.Context, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(append([]string{}, i.env...), env...)
	if os.Geteuid() == 0 {
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: i.root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	} else {
		cmd.Path = filepath.Join(i.root, args[0])
	}
	return cmd
}

// TestContainer does what packaging/Dockerfile says without a builder of images, and runs
// what comes out of it.
func TestContainer(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	i := &image{t: t, context: "../..", build: filepath.Join(dir, "build"), root: filepath.Join(dir, "root")}
	require.NoError(t, os.MkdirAll(i.build, 0o755))
	require.NoError(t, os.MkdirAll(i.root, 0o755))
	i.steps("../../packaging/Dockerfile")
	assert.Equal(t, 2, i.stages)
	assert.Equal(t, "65532:65532", i.user, "a number: there is no /etc/passwd")

	binary, err := elf.Open(filepath.Join(i.root, i.entrypoint[0]))
	require.NoError(t, err)
	libraries, err := binary.ImportedLibraries()
	require.NoError(t, err)
	assert.Empty(t, libraries)
	assert.Nil(t, binary.Section(".interp"), "a static program needs no loader")
	require.NoError(t, binary.Close())

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := []string{"ADDR=" + listener.Addr().String()}
	require.NoError(t, listener.Close())
	database := "/data/carillon.db"
	if os.Geteuid() != 0 {
		database = filepath.Join(i.root, database)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	assert.Error(t, i.run(ctx, address, i.health...).Run(), "health before there is a server")
	server := i.run(ctx, address, append(i.entrypoint, "-storage", "sqlite:"+database)...)
	stderr, err := server.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	lines := bufio.NewScanner(stderr)
	var said strings.Builder
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "msg=serving") {
			break
		}
	}
	require.Contains(t, said.String(), "msg=serving")
	out, err := i.run(ctx, address, i.health...).CombinedOutput()
	assert.NoError(t, err, "%s", out)
	require.NoError(t, server.Process.Signal(syscall.SIGTERM))
	rest, err := io.ReadAll(stderr)
	require.NoError(t, err)
	assert.NoError(t, server.Wait(), "%s", rest)
	assert.FileExists(t, filepath.Join(i.root, "data", "carillon.db"))
	assert.FileExists(t, filepath.Join(i.root, "etc", "ssl", "certs", "ca-certificates.crt"))
}
