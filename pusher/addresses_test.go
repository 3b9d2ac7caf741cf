package pusher_test

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/xhr"
)

// crowd opens connections from many addresses.
type crowd struct {
	t    *testing.T
	b    *broker.Broker
	h    *pusher.Handler
	ctx  context.Context
	name int
}

func newCrowd(t *testing.T, opts []broker.Option, handlerOpts ...pusher.Option) *crowd {
	t.Helper()
	b, err := broker.New(append(opts, broker.WithDrainWindow(0))...)
	require.NoError(t, err)
	apps, err := pusher.NewApps(pusher.App{ID: "1", Key: "key", Secret: "secret"})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	c := &crowd{t: t, b: b, h: newHandler(t, b, apps, handlerOpts...), ctx: ctx}
	t.Cleanup(func() {
		cancel()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = b.Shutdown(ctx)
	})
	return c
}

// request answers a request of a client with this address, which goes on until
// the end of the test where it gets a stream.
func (c *crowd) request(ip, method, path, body string, header ...string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(c.ctx, method, path, strings.NewReader(body))
	r.RemoteAddr = net.JoinHostPort(ip, "4711")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	go c.h.ServeHTTP(w, r)
	synctest.Wait()
	return w
}

// transports open a connection each, and return what its client is told.
var transports = map[string]func(c *crowd, ip string) string{
	"xhr": func(c *crowd, ip string) string {
		return c.request(ip, "POST", fmt.Sprintf("/app/key/1/%08d/xhr?protocol=7", c.name), "").Body.String()
	},
	"sockjs": func(c *crowd, ip string) string {
		return c.request(ip, "POST", fmt.Sprintf("/1/%08d/xhr", c.name), "").Body.String()
	},
	"feed": func(c *crowd, ip string) string {
		return c.request(ip, "GET", "/sse/app/key?channels=room", "").Body.String()
	},
	"other": func(c *crowd, ip string) string {
		client := pusher.Connect(c.t, c.h.Open(c.ctx, pusher.Dial{Key: "key", Protocol: "7", IP: ip}))
		data, err := client.Receive(c.ctx)
		require.NoError(c.t, err)
		return string(data)
	},
}

// open reports whether a client got a connection.
func (c *crowd) open(ip, over string) bool {
	c.t.Helper()
	c.name++
	told := transports[over](c, ip)
	require.NotEmpty(c.t, told)
	return !strings.Contains(told, "over capacity: an address may have 4 connections")
}

func TestConnectionsOfAnAddressAreBounded(t *testing.T) {
	for name, test := range map[string]struct {
		first, second string
		bounded       bool
	}{
		"one IPv4 address":    {"192.0.2.1", "192.0.2.1", true},
		"two IPv4 addresses":  {"192.0.2.1", "192.0.2.2", false},
		"mapped into IPv6":    {"192.0.2.1", "::ffff:192.0.2.1", true},
		"a /64":               {"2001:db8::1", "2001:db8::ffff:0:0:1", true},
		"two /64":             {"2001:db8::1", "2001:db8:0:1::1", false},
		"loopback":            {"127.0.0.1", "127.0.0.1", false},
		"loopback over IPv6":  {"::1", "::1", false},
		"a private network":   {"10.1.2.3", "10.1.2.3", false},
		"another":             {"192.168.0.1", "192.168.0.1", false},
		"private over IPv6":   {"fd00::1", "fd00::1", false},
		"link-local, a zone":  {"fe80::1%eth0", "fe80::1%eth0", false},
		"a unix socket's":     {"@", "@", false},
		"private, but mapped": {"::ffff:10.1.2.3", "10.1.2.3", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrowd(t, nil, pusher.WithMaxPerAddress(4))
				for name := range transports {
					if name != "sockjs" { // which would give way
						assert.True(t, c.open(test.first, name), name)
					}
				}
				assert.True(t, c.open(test.first, "other"))
				for name := range transports {
					assert.Equal(t, !test.bounded, c.open(test.second, name), name)
				}
				if test.bounded {
					assert.EqualValues(t, len(transports), c.h.Stats().OverAddress)
				}
				// What has ended counts no more.
				time.Sleep(15 * time.Second)
				assert.True(t, c.open(test.second, "xhr"))
			})
		})
	}
}

// TestRefusedSocketsOfAnAddressAreBounded sees that it is not for ever more of them
// that are told why.
func TestRefusedSocketsOfAnAddressAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, nil, pusher.WithMaxPerAddress(4))
		open := c.h.Open(c.ctx, pusher.Dial{Key: "key", Protocol: "7", IP: "192.0.2.1"})
		var receivers []transport.Receiver
		for range 4 + 8 {
			require.Equal(t, 501, c.handshake("192.0.2.1"), "it is let through")
			receivers = append(receivers, open(lingering{}))
		}
		require.Equal(t, 503, c.handshake("192.0.2.1"))
		require.Equal(t, 501, c.handshake("192.0.2.2"))
		receivers[11].Closed(4100, nil)
		require.Equal(t, 501, c.handshake("192.0.2.1"))
		for _, r := range receivers {
			r.Closed(4200, nil)
		}
		require.True(t, c.open("192.0.2.1", "other"))
		assert.EqualValues(t, 9, c.h.Stats().OverAddress)
	})
}

// handshake returns the status of a handshake over a connection that cannot be
// hijacked.
func (c *crowd) handshake(ip string) int {
	return c.request(ip, "GET", "/app/key?protocol=7", "", "Connection", "Upgrade", "Upgrade", "websocket").Code
}

// lingering is a connection whose client does not heed its end.
type lingering struct{ transport.Conn }

func (lingering) Send(*transport.Message) error { return nil }
func (lingering) Close(int, string)             {}
func (lingering) Info() transport.Info          { return transport.Info{} }
func (lingering) LastReceived() time.Time       { return time.Now() }
func (lingering) Queue() transport.Queue        { return transport.Queue{MessageLimit: 1, ByteLimit: 1 << 20} }

func TestMaxPerAddressIsPositive(t *testing.T) {
	b, err := broker.New()
	require.NoError(t, err)
	apps, err := pusher.NewApps()
	require.NoError(t, err)
	_, err = pusher.NewHandler(b, apps, pusher.WithMaxPerAddress(0))
	var field *broker.FieldError
	require.ErrorAs(t, err, &field)
	assert.Equal(t, "max per address", field.Field)
}

// TestSockJSClientsThatNameNoAppGiveWay where an address has all that it may, and
// where there is no room for anybody.
func TestSockJSClientsThatNameNoAppGiveWay(t *testing.T) {
	for name, opt := range map[string]pusher.Option{
		"address": pusher.WithMaxPerAddress(3),
		"table":   pusher.WithXHR(xhr.WithMaxSessions(3)),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrowd(t, nil, opt)
				poll := func(id int) *httptest.ResponseRecorder {
					return c.request("192.0.2.1", "POST", fmt.Sprintf("/1/%08d/xhr", id), "")
				}
				send := func(id int) int {
					return c.request("192.0.2.1", "POST", fmt.Sprintf("/1/%08d/xhr_send", id),
						`["{\"path\":\"/app/key?protocol=7\"}"]`).Code
				}
				for id := range 3 {
					require.Equal(t, "o\n", poll(id).Body.String())
				}
				require.Equal(t, 204, send(0))
				hanging := poll(1)
				require.Empty(t, hanging.Body.String())
				require.Equal(t, "o\n", poll(3).Body.String())
				assert.Contains(t, hanging.Body.String(), "c[4100,", "it has been longest without a name")
				require.Equal(t, "o\n", poll(4).Body.String())
				assert.Equal(t, 404, send(2), "it is gone at once: nobody was there to be told")
				assert.EqualValues(t, 2, c.h.Stats().SockJSGaveWay)
				require.Equal(t, 204, send(3))
				require.Equal(t, 204, send(4))
				assert.NotEqual(t, "o\n", poll(5).Body.String(), "who has named an app stays")
				assert.EqualValues(t, 3, c.b.Stats().Sessions)
			})
		})
	}
}

// TestLimitsAreAskedBeforeASockJSClientHasNamedItsApp and then not again, but by
// those that want to know which app it is.
func TestLimitsAreAskedBeforeASockJSClientHasNamedItsApp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rules, err := ratelimit.New(nil, ratelimit.ConnectionsPerIP(0.01, 3),
			ratelimit.Rule{Name: "app", Action: ratelimit.Connect, Limit: ratelimit.Limit{Rate: 0.01, Burst: 2},
				Match: func(r ratelimit.Request) bool { return r.App == "1" }})
		require.NoError(t, err)
		c := newCrowd(t, []broker.Option{broker.WithRateLimits(rules)})
		poll := func(ip string, id int) string {
			return c.request(ip, "POST", fmt.Sprintf("/1/%08d/xhr", id), "").Body.String()
		}
		for id := range 3 {
			require.Equal(t, "o\n", poll("192.0.2.1", id))
		}
		for id := 3; id < 10; id++ {
			assert.Regexp(t, `c\[4100,"over capacity: connections per IP`, poll("192.0.2.1", id))
		}
		assert.Equal(t, 3, c.h.Stats().XHR.Sessions)
		require.Equal(t, "o\n", poll("192.0.2.2", 10))
		for id := range 3 {
			c.request("192.0.2.1", "POST", fmt.Sprintf("/1/%08d/xhr_send", id), `["{\"path\":\"/app/key?protocol=7\"}"]`)
			want := "connection_established"
			if id == 2 {
				want = `c\[4100,"over capacity: app`
			}
			assert.Regexp(t, want, poll("192.0.2.1", id))
		}
	})
}
