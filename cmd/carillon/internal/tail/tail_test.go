package tail

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/client"
	"github.com/carillon-rt/carillon/cmd/carillon/internal/servertest"
)

func TestEveryKindOfChannel(t *testing.T) {
	app := ours(t)
	channels := []string{"room", "private-room", "private-encrypted-room", "presence-room", "#server-to-user-7"}
	tl := start(t, app, channels...)
	for range channels {
		l := tl.until(kindSubscribed)
		if l.Channel == "presence-room" {
			assert.Contains(t, l.Text, "1 members")
		}
	}
	for _, channel := range channels {
		publish(t, app, channel, "e", `{"on":"`+channel+`"}`)
		tl.want(channel, "e", `{"on":"`+channel+`"}`)
	}
	// Text that is no JSON, and JSON that is a string, can be told apart.
	for data, printed := range map[string]string{"plain": `"plain"`, `"quoted"`: `"\"quoted\""`, "12": "12", "<&>": `"<&>"`} {
		publish(t, app, "room", "e", data)
		tl.want("room", "e", printed)
	}
	tl.cancel()
	assert.NoError(t, tl.end())
}

// proxy passes connections on to a server, until they are cut.
type proxy struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func startProxy(t *testing.T, to string) *proxy {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{Listener: listener}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, in, out)
			p.mu.Unlock()
			for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
				group.Go(func() {
					buf := make([]byte, 4096)
					for {
						n, err := pair[0].Read(buf)
						if err == nil {
							_, err = pair[1].Write(buf[:n])
						}
						if err != nil {
							_, _ = pair[0].Close(), pair[1].Close()
							return
						}
					}
				})
			}
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		p.cut()
		group.Wait()
	})
	return p
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func TestResume(t *testing.T) {
	app := ours(t)
	p := startProxy(t, app.API.Host)
	through := app
	through.Socket.Host = p.Addr().String()
	tl := start(t, through, "kept-room", "passing")
	tl.until(kindSubscribed)
	tl.until(kindSubscribed)
	publish(t, app, "kept-room", "e", "0")
	tl.want("kept-room", "e", "0")
	for i := 1; i <= 3; i++ {
		p.cut()
		tl.until(kindDisconnected)
		told := map[string]line{}
		for len(told) < 2 {
			if l := tl.next(); l.Channel != "" {
				told[l.Channel] = l
			}
		}
		assert.Equal(t, kindResumed, told["kept-room"].Type)
		assert.Equal(t, kindGap, told["passing"].Type, "a channel that keeps nothing")
		assert.Contains(t, told["passing"].Text, "events are missing")
		publish(t, app, "kept-room", "e", fmt.Sprint(i))
		tl.want("kept-room", "e", fmt.Sprint(i))
	}
}

// TestResumeWhatWasMissed is away while events come.
func TestResumeWhatWasMissed(t *testing.T) {
	app := ours(t)
	p := startProxy(t, app.API.Host)
	through := app
	through.Socket.Host = p.Addr().String()
	tl := start(t, through, "kept-room")
	tl.until(kindSubscribed)
	p.cut()
	tl.until(kindDisconnected)
	// Whether they come before or after the resume, each comes once and in order.
	for i := range 20 {
		publish(t, app, "kept-room", "e", fmt.Sprint(i))
	}
	for i := range 20 {
		tl.want("kept-room", "e", fmt.Sprint(i))
	}
}

const succeeded = `{"event":"pusher_internal:subscription_succeeded","channel":"a","data":"{}"}`

// closing is a server that closes the first connection with a code and keeps the second.
func closing(t *testing.T, code int, announce bool) string {
	return servertest.Hostile(t, func(p *servertest.Peer) {
		p.Welcome()
		p.Hear()
		p.Say(succeeded)
		if p.Number > 0 {
			p.Hear()
			return
		}
		if announce {
			p.Say(fmt.Sprintf(`{"event":"pusher:error","data":{"code":%d,"message":"so it is"}}`, code))
			p.Hear()
			return
		}
		_ = p.Close(websocket.StatusCode(code), "so it is")
	})
}

func TestCloseCodes(t *testing.T) {
	for _, c := range []struct {
		code     int
		announce bool
		min, max time.Duration // of the wait; a max of -1 gives up
	}{
		{1000, false, minDelay, 2 * minDelay}, {1001, false, minDelay, 2 * minDelay}, {1011, false, minDelay, 2 * minDelay}, {3000, false, minDelay, 2 * minDelay},
		{4001, false, 0, -1}, {4009, false, 0, -1}, {4009, true, 0, -1}, {4099, false, 0, -1},
		{4100, false, minDelay, 2 * minDelay}, {4199, false, minDelay, 2 * minDelay}, {4100, true, minDelay, 2 * minDelay},
		{4200, false, 0, 0}, {4201, false, 0, 0}, {4299, false, 0, 0}, {4200, true, 0, 0},
		{4300, false, 0, -1}, {4999, false, 0, -1},
	} {
		t.Run(fmt.Sprint(c.code, c.announce), func(t *testing.T) {
			tl := start(t, servertest.App(t, closing(t, c.code, c.announce)), "a")
			tl.until(kindSubscribed)
			if c.max < 0 {
				err := tl.end()
				var closed *client.ClosedError
				require.ErrorAs(t, err, &closed)
				assert.Equal(t, client.ClosedError{Code: c.code, Reason: "so it is"}, *closed)
				return
			}
			assert.Contains(t, tl.until(kindDisconnected).Text, fmt.Sprint(c.code))
			delay := <-tl.delays
			assert.GreaterOrEqual(t, delay, c.min)
			assert.LessOrEqual(t, delay, c.max)
			gap := tl.until(kindGap)
			assert.Contains(t, gap.Text, "this server keeps no positions")
		})
	}
}

func TestOnlyTLS(t *testing.T) {
	app := servertest.App(t, closing(t, 4000, true))
	tl := start(t, app, "a")
	assert.Contains(t, tl.until(kindDisconnected).Text, "with TLS")
	// It has none, as the next attempt says.
	assert.Contains(t, tl.until(kindDisconnected).Text, "does not speak TLS")
}

// TestBackOffGrows is a server that ends every connection at once.
func TestBackOffGrows(t *testing.T) {
	for _, code := range []int{1011, 4100, 4200} {
		url := servertest.Hostile(t, func(p *servertest.Peer) {
			p.Welcome()
			_ = p.Close(websocket.StatusCode(code), "")
		})
		tl := start(t, servertest.App(t, url), "a")
		for i := range 8 {
			tl.until(kindDisconnected)
			delay := <-tl.delays
			if i > 0 {
				assert.GreaterOrEqual(t, delay, minDelay, "no loop without a pause")
			}
			assert.LessOrEqual(t, delay, min(maxDelay, 2*minDelay<<i))
		}
		tl.stop()
	}
}

func TestBadFrames(t *testing.T) {
	url := servertest.Hostile(t, func(p *servertest.Peer) {
		p.Welcome()
		p.Hear()
		p.Say("", "no JSON", "[]", `{"event":1}`, `{"data":"{}"}`, `null`, strings.Repeat("[", 10_000), succeeded,
			`{"event":"e","channel":"a","data":{"an":"object"}}`, `{"event":"e","channel":"elsewhere","data":"{}"}`,
			`{"event":"\u001b[2J","channel":"a","data":"\u0000"}`, `{"event":"none","channel":"a"}`,
			`{"event":"pusher:error","data":{"code":4301,"message":"slower"}}`, `{"event":"pusher:error","data":"\u0007"}`,
			`{"event":"last","channel":"a","data":"{}","pos":"E:1","user_id":7}`)
		p.Hear()
	})
	tl := start(t, servertest.App(t, url), "a")
	tl.until(kindSubscribed)
	tl.want("a", "e", `{"an":"object"}`)
	assert.Equal(t, "elsewhere", tl.until(kindWarning).Channel)
	tl.want("a", "\x1b[2J", `"\u0000"`)
	tl.want("a", "none", `""`)
	assert.Contains(t, tl.until(kindWarning).Text, "slower")
	tl.until(kindWarning)
	l := tl.until(kindEvent)
	assert.Equal(t, []string{"last", "7", "E:1"}, []string{l.Event, l.UserID, l.Position})
}

func TestFirstMessages(t *testing.T) {
	for first, says := range map[string]string{
		`{"event":"pusher:error","data":{"code":4001,"message":"no such app"}}`: "4001 (no such app)",
		`{"event":"hello"}`: `began with "hello"`,
		`{"event":"pusher:connection_established","data":"{}"}`:                             "has no socket_id",
		`{"event":"pusher:connection_established","data":"{\"socket_id\":\"\\u001b[0m\"}"}`: "",
	} {
		url := servertest.Hostile(t, func(p *servertest.Peer) {
			p.Say(first)
			p.Hear()
		})
		tl := start(t, servertest.App(t, url), "private-a")
		if strings.Contains(first, "4001") {
			assert.ErrorContains(t, tl.end(), says)
			continue
		}
		assert.Contains(t, tl.until(kindDisconnected).Text, says)
		tl.stop()
	}
}

func TestRefusedSubscriptions(t *testing.T) {
	answer := func(message string) *running {
		url := servertest.Hostile(t, func(p *servertest.Peer) {
			p.Welcome()
			p.Hear()
			p.Say(message)
			p.Hear()
		})
		return start(t, servertest.App(t, url), "a")
	}
	assert.ErrorContains(t, answer(`{"event":"pusher:subscription_error","channel":"a","data":"{\"error\":\"no\",\"status\":403}"}`).end(), "subscription to a: no")
	assert.ErrorContains(t, answer(`{"event":"pusher:subscription_error","channel":"a"}`).end(), "subscription to a: ")
	assert.ErrorContains(t, answer(`{"event":"pusher:error","data":{"code":null,"message":"Invalid signature: Expected …"}}`).end(), "of one app")
	later := answer(`{"event":"pusher:subscription_error","channel":"a","data":"{\"error\":\"busy\",\"status\":503}"}`)
	assert.Contains(t, later.until(kindDisconnected).Text, "busy")

	app := ours(t)
	app.Secret = "wrong"
	assert.ErrorContains(t, start(t, app, "private-a").end(), "ignature")
}

func TestNoWebSocket(t *testing.T) {
	for status, gives := range map[int]bool{http.StatusNotFound: true, http.StatusForbidden: true, http.StatusOK: true, http.StatusBadGateway: false, http.StatusTooManyRequests: false} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not here", status) }))
		tl := start(t, servertest.App(t, srv.URL), "a")
		if gives {
			assert.ErrorContains(t, tl.end(), "not here", status)
		} else {
			assert.Contains(t, tl.until(kindDisconnected).Text, "not here", status)
			tl.stop()
		}
		srv.Close()
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	tl := start(t, servertest.App(t, "http://"+listener.Addr().String()), "a")
	assert.Contains(t, tl.until(kindDisconnected).Text, "nothing listens")
}

// TestSealedByAnother is an encrypted channel whose events are sealed with another key.
func TestSealedByAnother(t *testing.T) {
	app := ours(t)
	tl := start(t, app, "private-encrypted-a")
	tl.until(kindSubscribed)
	other := app
	other.MasterKey = []byte("another key of thirty-two bytes.")
	publish(t, other, "private-encrypted-a", "e", "1")
	assert.Contains(t, tl.until(kindWarning).Text, "does not open")
	var sealed struct{ Ciphertext string }
	require.NoError(t, json.Unmarshal(tl.until(kindEvent).Data, &sealed))
	assert.NotEmpty(t, sealed.Ciphertext)
}

func TestNobodyTakesTheOutput(t *testing.T) {
	tl := start(t, ours(t), "a")
	require.NoError(t, tl.out.CloseWithError(errors.New("gone")))
	assert.ErrorContains(t, <-tl.ended, "gone")
}

func TestForPeople(t *testing.T) {
	var out, log bytes.Buffer
	p := printer{out: &out, log: &log}
	require.NoError(t, p.print(line{Type: kindEvent, Channel: "a", Event: "e\x1b[2J", Data: dataOf("\"a\nb\""), UserID: "7"}))
	require.NoError(t, p.print(line{Type: kindGap, Text: "lost\x07"}))
	assert.Regexp(t, `^\d\d:\d\d:\d\d\.\d\d\d  a  e\\x1b\[2J \(from 7\)  "a\\nb"\n$`, out.String())
	assert.Regexp(t, `^\d\d:\d\d:\d\d\.\d\d\d -- lost\\a\n$`, log.String())
}

func TestCommandLines(t *testing.T) {
	var out bytes.Buffer
	env := client.Environment{Getenv: func(string) string { return "" }, Stdout: &out, Stderr: &out}
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"a"}, "key is missing"}, {[]string{"-key", "k"}, "name the channels"}, {[]string{"-key", "k", "private-a"}, "secret is missing"},
		{[]string{"-key", "k", "-secret", "s", "private-encrypted-a"}, "encryption-master-key"},
		{[]string{"-key", "k", "-secret", "s", "presence-a", "-user-info", "{"}, "is not JSON"},
		{[]string{"-key", "k", "-secret", "s", "#server-to-user-1", "#server-to-user-2"}, "two tails"},
		{[]string{"-key", "k", "-port", "x", "a"}, "port"}, {append([]string{"-key", "k"}, strings.Split(strings.Repeat("a ", 101), " ")[:101]...), "more than 100"},
	} {
		err := Run(context.Background(), c.args, env)
		assert.ErrorIs(t, err, client.ErrUsage)
		assert.ErrorContains(t, err, c.says)
	}
}
