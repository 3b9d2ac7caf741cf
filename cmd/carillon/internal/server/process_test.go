//go:build unix

package server

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// program is the server as a file, built once for all tests.
var program = sync.OnceValues(func() ([]byte, error) {
	folder, err := os.MkdirTemp("", "carillon-test-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	file := filepath.Join(folder, "carillon")
	if out, err := exec.Command("go", "build", "-o", file, "../..").CombinedOutput(); err != nil { //nolint:gosec // fixed
		return out, err
	}
	return os.ReadFile(file)
})

// running is a process of the server, and those that take over from it.
type running struct {
	t     *testing.T
	file  string
	lines chan string
	cmd   *exec.Cmd
	pid   int
	url   string
}

// launch runs the server in a folder of its own. As with systemd, the process knows by its
// own ID that the files are for it.
func launch(t *testing.T, extra []*os.File, env []string, args ...string) *running {
	t.Helper()
	return launchAs(t, "$$", extra, env, args...)
}

// launchAs runs the server where the files are for the process with an ID.
func launchAs(t *testing.T, pid string, extra []*os.File, env []string, args ...string) *running {
	t.Helper()
	binary, err := program()
	require.NoError(t, err, string(binary))
	r := &running{t: t, file: filepath.Join(t.TempDir(), "carillon"), lines: make(chan string, 10_000)}
	require.NoError(t, os.WriteFile(r.file, binary, 0o700))                                                         //nolint:gosec // it is run
	r.cmd = exec.Command("sh", append([]string{"-c", `LISTEN_PID=` + pid + ` exec "$0" "$@"`, r.file}, args...)...) //nolint:gosec // fixed
	r.cmd.Env = append(append(os.Environ(), "PUSHER_APP_ID=7", "PUSHER_APP_KEY=key", "PUSHER_APP_SECRET=0123456789abcdef0123"), env...)
	r.cmd.ExtraFiles = extra
	// A pipe that outlives the first process.
	out, in, err := os.Pipe()
	require.NoError(t, err)
	r.cmd.Stderr = in
	require.NoError(t, r.cmd.Start())
	require.NoError(t, in.Close())
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(r.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			r.lines <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		if p, err := os.FindProcess(r.pid); err == nil && r.pid > 0 {
			_ = p.Signal(syscall.SIGTERM)
		}
		<-read
		_ = out.Close()
		_ = r.cmd.Wait()
	})
	r.serving()
	return r
}

// said waits for a line of the log.
func (r *running) said(text string) []string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	var all []string
	for {
		select {
		case line, ok := <-r.lines:
			if !ok {
				require.FailNow(r.t, "the process has ended", "before it said %q:\n%s", text, strings.Join(all, "\n"))
			}
			all = append(all, line)
			if found := regexp.MustCompile(text).FindStringSubmatch(line); found != nil {
				return found
			}
		case <-ctx.Done():
			require.FailNow(r.t, "not said", "%q in:\n%s", text, strings.Join(all, "\n"))
		}
	}
}

func (r *running) serving() {
	r.t.Helper()
	found := r.said(`msg=serving url=(\S+) pid=(\d+)`)
	r.url = found[1]
	var err error
	r.pid, err = strconv.Atoi(found[2])
	require.NoError(r.t, err)
}

func (r *running) signal(s syscall.Signal) { require.NoError(r.t, syscall.Kill(r.pid, s)) }

func (r *running) up(client *http.Client) {
	r.t.Helper()
	res, err := client.Get(r.url + "/up")
	require.NoError(r.t, err)
	_, _ = io.Copy(io.Discard, res.Body)
	require.NoError(r.t, res.Body.Close())
	require.Equal(r.t, http.StatusOK, res.StatusCode)
}

func oneShot() *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
}

// A program that does not come up leaves the process before it at work.
func TestAProcessThatFailsTakesNothingOver(t *testing.T) {
	r := launch(t, nil, nil, "-addr", "127.0.0.1:0")
	before := r.pid
	bad := r.file + ".bad"
	require.NoError(t, os.WriteFile(bad, []byte("#!/bin/sh\nexit 1\n"), 0o700)) //nolint:gosec // it is run
	good, err := os.ReadFile(r.file)
	require.NoError(t, err)
	require.NoError(t, os.Rename(bad, r.file))
	r.signal(syscall.SIGUSR2)
	r.said(`level=ERROR msg="no process has taken over: this one goes on"`)
	r.up(oneShot())

	require.NoError(t, os.WriteFile(bad, good, 0o700)) //nolint:gosec // it is run
	require.NoError(t, os.Rename(bad, r.file))
	r.signal(syscall.SIGUSR2)
	r.serving()
	r.said("msg=ended")
	require.NotEqual(t, before, r.pid)
	r.up(oneShot())
}

// Who asks twice gets one process that takes over, and the first attempt goes on.
func TestASecondRequestToTakeOver(t *testing.T) {
	r := launch(t, nil, nil, "-addr", "127.0.0.1:0")
	slow := r.file + ".slow"
	good := r.file + ".good"
	binary, err := os.ReadFile(r.file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(good, binary, 0o700)) //nolint:gosec // it is run
	gate := r.file + ".gate"
	require.NoError(t, syscall.Mkfifo(gate, 0o600))
	require.NoError(t, os.WriteFile(slow, []byte("#!/bin/sh\nread -r _ <"+gate+"\nexec "+good+" \"$@\"\n"), 0o700)) //nolint:gosec // it is run
	require.NoError(t, os.Rename(slow, r.file))

	r.signal(syscall.SIGUSR2)
	r.said("starting a process that takes over")
	r.signal(syscall.SIGUSR2)
	r.said(`level=WARN msg="a process that takes over is being started already"`)
	r.up(oneShot())
	require.NoError(t, os.WriteFile(gate, []byte("go\n"), 0o600))
	r.serving()
	r.said("msg=ended")
	r.up(oneShot())
}

// systemd holds the sockets, and is told what goes on.
func TestSystemd(t *testing.T) {
	clients, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	operators, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var files []*os.File
	for _, l := range []net.Listener{clients, operators} {
		f, err := l.(*net.TCPListener).File()
		require.NoError(t, err)
		files = append(files, f)
		t.Cleanup(func() { assert.NoError(t, f.Close()); assert.NoError(t, l.Close()) })
	}
	told, err := net.ListenPacket("unixgram", filepath.Join(t.TempDir(), "notify"))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, told.Close()) })
	hears := func() string {
		text := make([]byte, 1000)
		n, _, err := told.ReadFrom(text)
		require.NoError(t, err)
		return string(text[:n])
	}

	r := launch(t, files, []string{"LISTEN_FDS=2", "LISTEN_FDNAMES=web:admin", "NOTIFY_SOCKET=" + told.LocalAddr().String()}, "-addr", "127.0.0.1:1")
	require.Equal(t, "http://"+clients.Addr().String(), r.url, "addresses of its own count for nothing")
	r.said(`level=WARN msg="an address counts for nothing: systemd gives the socket" setting=listen address=127\.0\.0\.1:1 socket=` + clients.Addr().String())
	require.Equal(t, "READY=1\nMAINPID="+strconv.Itoa(r.pid), hears())
	r.up(oneShot())
	res, err := oneShot().Get("http://" + operators.Addr().String() + "/metrics")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)

	r.signal(syscall.SIGHUP)
	require.Regexp(t, `^RELOADING=1\nMONOTONIC_USEC=\d+$`, hears())
	require.Equal(t, "READY=1", hears())

	r.signal(syscall.SIGUSR2)
	r.serving()
	require.Equal(t, "READY=1\nMAINPID="+strconv.Itoa(r.pid), hears())
	r.said("msg=ended")
	r.up(oneShot())

	r.signal(syscall.SIGTERM)
	require.Equal(t, "STOPPING=1", hears())
	r.said("msg=ended")
	c, err := net.Dial("tcp", clients.Addr().String())
	require.NoError(t, err, "systemd still holds the socket: who connects waits for the next process")
	require.NoError(t, c.Close())
}

// Variables of systemd that were for whoever started the shell mean nothing, to a process
// that takes over either.
func TestSocketsOfSomebodyElse(t *testing.T) {
	r := launchAs(t, "1", nil, []string{"LISTEN_FDS=1"}, "-addr", "127.0.0.1:0")
	r.signal(syscall.SIGUSR2)
	r.serving()
	r.said("msg=ended")
	r.up(oneShot())
}

// systemd may give a socket for operators that everybody reaches: that is a mistake in the
// configuration, which another start does not mend.
func TestASocketForOperatorsThatEverybodyReaches(t *testing.T) {
	l, err := net.Listen("tcp", "0.0.0.0:0") //nolint:gosec // as a unit may have it
	require.NoError(t, err)
	given := newSocket(l, "admin")
	c := configured(t)
	var level slog.LevelVar
	err = serve(t.Context(), c, slog.New(slog.DiscardHandler), &level, process{sockets: sockets{env: none, given: []socket{given}}})
	require.ErrorIs(t, err, ErrConfig)
	require.ErrorContains(t, err, "give an admin_token")
}

// A Unix socket has its permissions, takes the place of one that was left behind, and is
// handed on as well.
func TestUnixSocket(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "s")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: file, Net: "unix"})
	require.NoError(t, err)
	left.SetUnlinkOnClose(false)
	require.NoError(t, left.Close())

	r := launch(t, nil, nil, "-addr", "unix:"+file, "-unix-mode", "0600", "-trusted-proxies", "unix")
	require.Equal(t, "unix:"+file, r.url)
	r.url = "http://carillon"
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", file)
		}}}
	check := func() {
		r.up(client)
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.EqualValues(t, 0o600, info.Mode().Perm())
	}
	check()
	r.signal(syscall.SIGUSR2)
	r.serving()
	r.url = "http://carillon"
	r.said("msg=ended")
	check()
	r.signal(syscall.SIGTERM)
	r.said("msg=ended")
	_, err = os.Stat(file)
	require.ErrorIs(t, err, os.ErrNotExist)
}
