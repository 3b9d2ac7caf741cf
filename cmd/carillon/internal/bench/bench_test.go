package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/client"
	"github.com/carillon-rt/carillon/cmd/carillon/internal/servertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run runs the command, with a load that a busy machine holds as well.
func run(t *testing.T, url string, args ...string) (outcome, error) {
	t.Helper()
	var out, progress bytes.Buffer
	variables := map[string]string{"PUSHER_APP_ID": servertest.ID, "PUSHER_APP_KEY": servertest.Key, "PUSHER_APP_SECRET": servertest.Secret}
	err := Run(t.Context(), append([]string{"-url", url, "-json", "-step", "200ms", "-clients", "16", "-channels", "2", "-rate", "20", "-max-rate", "0",
		"-max-latency", "1h"}, args...), client.Environment{Getenv: func(name string) string { return variables[name] }, Stdout: &out, Stderr: &progress})
	var o outcome
	if out.Len() > 0 {
		require.NoError(t, json.Unmarshal(out.Bytes(), &o))
	}
	return o, err
}

func TestBench(t *testing.T) {
	url, b := servertest.Ours(t)
	o, err := run(t, url, "-max-rate", "40", "-pid", fmt.Sprint(os.Getpid()))
	require.NoError(t, err)
	require.Len(t, o.Steps, 5, "2, 4, 8 and 16 clients, and twice the rate")
	for i, clients := range []int{2, 4, 8, 16, 16} {
		r := o.Steps[i]
		assert.Equal(t, clients, r.Clients)
		assert.Equal(t, r.Published*clients/2, int(r.Expected), "which each go to half of the clients")
		assert.Equal(t, r.Expected, r.Deliveries)
		assert.Positive(t, r.Deliveries)
		assert.Zero(t, r.Lost+r.Ended+int64(r.Failed))
		assert.Positive(t, r.P50)
		assert.GreaterOrEqual(t, r.P99, r.P50)
		assert.GreaterOrEqual(t, r.Max, r.P99)
		if runtime.GOOS == "linux" {
			assert.NotNil(t, r.ServerCores)
			assert.NotNil(t, r.BytesPerClient)
		}
	}
	assert.EqualValues(t, 16, b.Stats().Connected, "clients stay from step to step")
}

func TestTable(t *testing.T) {
	cores, memory := 0.5, int64(2048)
	o := outcome{Server: "http://127.0.0.1:6001", Steps: []result{
		{Clients: 10, Rate: 5, Published: 5, PerSecond: 5, Deliveries: 50, DeliveriesPerSecond: 50, P50: 0.5, P99: 2, Max: 3, Held: true, ServerCores: &cores, BytesPerClient: &memory},
		{Clients: 20, Rate: 5, PerSecond: 4, Lost: 7, Why: "7 deliveries were missing"}}}
	o.Conclusion = conclude(o.Steps)
	var out bytes.Buffer
	require.NoError(t, o.table(&out))
	assert.Regexp(t, ` 10 +5 +50 +0 +0\.50 +2\.00 +3\.00 +0\.50 +0\.00 +2\.0\n`, out.String())
	assert.Contains(t, out.String(), "It held 10 clients at 50 deliveries a second, and not 20 clients at 5 events a second: 7 deliveries were missing.")
	assert.Contains(t, conclude(o.Steps[:1]), "its limit is further on")
	assert.Contains(t, conclude(o.Steps[1:]), "It did not hold the first step: 7 deliveries")
}

func TestJudgement(t *testing.T) {
	p := plan{maxLatency: time.Second}
	good := result{Clients: 1, Rate: 100, Published: 100, PerSecond: 100, Deliveries: 100, Expected: 100, P99: 10}
	for name, c := range map[string]struct {
		change func(*result)
		why    string
	}{
		"good":      {func(*result) {}, ""},
		"refused":   {func(r *result) { r.Failed = 3 }, "3 events were not accepted: no"},
		"ended":     {func(r *result) { r.Ended = 2 }, "ended 2 connections"},
		"lost":      {func(r *result) { r.Lost = 1 }, "1 deliveries were missing"},
		"slow":      {func(r *result) { r.PerSecond = 90 }, "90 events a second were published instead of 100"},
		"late":      {func(r *result) { r.P99 = 1001 }, "longer than 1001 ms"},
		"ourselves": {func(r *result) { r.P99, r.GeneratorCores = 1001, 1000 }, "the generator's limit, not the server's"},
		"together":  {func(r *result) { server := 1e3; r.P99, r.ServerCores = 1001, &server }, "alone the server would go further"},
	} {
		r := good
		c.change(&r)
		r.judge(p, fmt.Errorf("no"))
		assert.Equal(t, c.why == "", r.Held, name)
		assert.Contains(t, r.Why, c.why, name)
	}
}

// hostile is a server whose API answers with a status and whose sockets speak.
func hostile(t *testing.T, status int, speak func(*servertest.Peer)) string {
	sockets := servertest.Speaking(t.Context(), speak)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/app/") {
			sockets.ServeHTTP(w, r)
			return
		}
		http.Error(w, "{}", status)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func subscribed(p *servertest.Peer) {
	p.Welcome()
	p.Hear()
	p.Say(`{"event":"pusher_internal:subscription_succeeded","channel":"a","data":"{}"}`)
}

func TestHostileServers(t *testing.T) {
	stays := func(p *servertest.Peer) {
		subscribed(p)
		p.Hear()
	}
	for name, c := range map[string]struct {
		status int
		speak  func(*servertest.Peer)
		why    string
	}{
		"loses everything":  {http.StatusOK, stays, "deliveries were missing"},
		"refuses events":    {http.StatusServiceUnavailable, stays, "events were not accepted: the server answered 503"},
		"ends connections":  {http.StatusOK, func(p *servertest.Peer) { subscribed(p) }, "the server ended"},
		"closes them":       {http.StatusOK, func(p *servertest.Peer) { subscribed(p); _ = p.Close(websocket.StatusCode(4100), "full") }, "the server ended"},
		"sends what is not": {http.StatusOK, func(p *servertest.Peer) { subscribed(p); p.Say("@12", "@", "\x00"); p.Hear() }, "deliveries were missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, err := run(t, hostile(t, c.status, c.speak), "-clients", "2")
			require.NoError(t, err)
			require.Len(t, o.Steps, 1)
			assert.False(t, o.Steps[0].Held)
			assert.Contains(t, o.Conclusion, c.why)
		})
	}
	for name, c := range map[string]struct {
		speak func(*servertest.Peer)
		says  string
	}{
		"no greeting": {func(p *servertest.Peer) { p.Say("nonsense") }, "wait for pusher:connection_established"},
		"an error":    {func(p *servertest.Peer) { p.Say(`{"event":"pusher:error","data":{"code":4001}}`); p.Hear() }, `the server says {"code":4001}`},
		"no time-out": {func(p *servertest.Peer) { p.Say(`{"event":"pusher:connection_established","data":"{}"}`); p.Hear() }, "no activity_timeout"},
		"a close":     {func(p *servertest.Peer) { p.Welcome(); p.Hear(); _ = p.Close(4004, "over quota") }, "closed the connection with 4004 (over quota)"},
		"no subscription": {func(p *servertest.Peer) {
			p.Welcome()
			p.Hear()
			p.Say(`{"event":"pusher:subscription_error","data":"no"}`)
			p.Hear()
		}, "the server says"},
		"too long a message": {func(p *servertest.Peer) { p.Say(strings.Repeat("x", maxGreeting+1)); p.Hear() }, "a message of 65537 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := run(t, hostile(t, http.StatusOK, c.speak), "-clients", "2")
			assert.ErrorContains(t, err, c.says)
		})
	}
}

// TestOverCapacity is a server that takes two clients and no more: what it held counts.
func TestOverCapacity(t *testing.T) {
	url := hostile(t, http.StatusOK, func(p *servertest.Peer) {
		if p.Number >= 2 {
			_ = p.Close(4004, "over quota")
			return
		}
		subscribed(p)
		p.Hear()
	})
	o, err := run(t, url, "-clients", "40", "-channels", "5")
	if err == nil { // some got in before the first that did not
		require.Len(t, o.Steps, 1)
		assert.Contains(t, o.Conclusion, "4004 (over quota)")
	} else {
		assert.ErrorContains(t, err, "4004 (over quota)")
	}
}

func TestOnlyThisMachine(t *testing.T) {
	for _, url := range []string{"http://192.0.2.1:6001", "http://[2001:db8::1]:6001", "https://192.0.2.1"} {
		_, err := run(t, url)
		assert.ErrorIs(t, err, client.ErrUsage)
		assert.ErrorContains(t, err, "-yes-i-own-it")
	}
	for address, ours := range map[string]bool{"127.0.0.1:1": true, "[::1]:1": true, "127.1.2.3:1": true, "[::ffff:127.0.0.1]:1": true,
		"10.0.0.1:1": false, "192.168.0.1:1": false, "0.0.0.0:1": false, "[::]:1": false, "nonsense": false, "": false} {
		assert.Equal(t, ours, here(address) == nil, address)
	}
}

func TestCommandLines(t *testing.T) {
	for _, args := range [][]string{
		{"-clients", "0"}, {"-clients", "100001"}, {"-channels", "0"}, {"-channels", "17"}, {"-rate", "0"}, {"-rate", "NaN"}, {"-rate", "1e9"},
		{"-max-rate", "-1"}, {"-max-rate", "Inf"}, {"-step", "0s"}, {"-step", "1h"}, {"-size", "1"}, {"-size", "2000000"}, {"-max-latency", "0s"},
		{"-pid", "-1"}, {"more"}, {"-x"},
	} {
		_, err := run(t, "http://127.0.0.1:1", args...)
		assert.ErrorIs(t, err, client.ErrUsage, args)
	}
	_, err := run(t, "http://127.0.0.1:1")
	assert.ErrorContains(t, err, "no server at 127.0.0.1:1")
}
