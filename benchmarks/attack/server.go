package main

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The app that the servers have.
const (
	appID     = "1"
	appKey    = "app-key"
	appSecret = "app-secret"
)

// server is a process of cmd/carillon.
type server struct {
	addr string
	cmd  *exec.Cmd
	done chan struct{}
	http *http.Client
}

// startServer starts a server and waits until it serves.
func startServer(ctx context.Context, path string, flags []string) (*server, error) {
	s := &server{done: make(chan struct{}), http: &http.Client{Timeout: 30 * time.Second,
		// A spare connection that has sent nothing would hold up the server's end.
		Transport: &http.Transport{DisableKeepAlives: true}}}
	s.cmd = exec.CommandContext(ctx, path, append([]string{"-addr", "127.0.0.1:0"}, flags...)...)
	s.cmd.Env = append(os.Environ(), "PUSHER_APP_ID="+appID, "PUSHER_APP_KEY="+appKey, "PUSHER_APP_SECRET="+appSecret)
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	said := bufio.NewScanner(stderr)
	serving := regexp.MustCompile(`msg=serving url=http://(\S+)`)
	var log strings.Builder
	for s.addr == "" && said.Scan() {
		log.WriteString(said.Text() + "\n")
		if found := serving.FindStringSubmatch(said.Text()); found != nil {
			s.addr = found[1]
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, stderr)
		_ = s.cmd.Wait()
		close(s.done)
	}()
	if s.addr == "" {
		s.stop()
		return nil, fmt.Errorf("%s does not serve: %s", path, log.String())
	}
	return s, nil
}

func (s *server) running() bool {
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

// usage is what a process has used.
type usage struct {
	rss, peak float64 // MiB; peak since the last look
	cpu       float64 // seconds
}

// usage looks at the process, and lets its peak begin anew.
func (s *server) usage() (u usage, err error) {
	pid := s.cmd.Process.Pid
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	kib := func(name string) float64 {
		found := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(status)
		if found == nil {
			return 0
		}
		n, _ := strconv.ParseFloat(string(found[1]), 64)
		return n / 1024
	}
	u.rss, u.peak = kib("VmRSS"), kib("VmHWM")
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, err
	}
	// After the command in brackets: state is the first, utime the 12th, stime the 13th.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	for _, field := range fields[11:13] {
		ticks, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return u, err
		}
		u.cpu += ticks / 100
	}
	return u, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

func (s *server) signal(sig syscall.Signal) error { return s.cmd.Process.Signal(sig) }

// event is what is published over HTTP.
type event struct {
	Name    string `json:"name"`
	Channel string `json:"channel"`
	Data    string `json:"data"`
}

// publish publishes a batch of events, as a backend does.
func (s *server) publish(ctx context.Context, events ...event) error {
	body, err := json.Marshal(map[string]any{"batch": events})
	if err != nil {
		return err
	}
	path := "/apps/" + appID + "/batch_events"
	sum := md5.Sum(body)
	query := fmt.Sprintf("auth_key=%s&auth_timestamp=%d&auth_version=1.0&body_md5=%s", appKey, time.Now().Unix(), hex.EncodeToString(sum[:]))
	url := "http://" + s.addr + path + "?" + query + "&auth_signature=" + sign("POST\n"+path+"\n"+query)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(string(body)))
	if err != nil {
		return err
	}
	res, err := s.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("publish: %s %s", res.Status, text)
	}
	return nil
}

// fill publishes so many events of so many bytes on a channel.
func (s *server) fill(ctx context.Context, channel string, count, size int) error {
	data := strings.Repeat("x", size)
	for count > 0 {
		batch := make([]event, min(count, 10))
		for i := range batch {
			batch[i] = event{Name: "past", Channel: channel, Data: data}
		}
		if err := s.publish(ctx, batch...); err != nil {
			return err
		}
		count -= len(batch)
	}
	return nil
}

// sign signs with the app's secret.
func sign(text string) string {
	mac := hmac.New(sha256.New, []byte(appSecret))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}
