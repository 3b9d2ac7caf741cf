package pusher_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/transport"
)

type pusherError struct {
	Code    *int   `json:"code"`
	Message string `json:"message"`
}

// expectError reads an error frame; code 0 is null.
func expectError(t *testing.T, c *brokertest.Client, code int, text string) {
	t.Helper()
	var e pusherError
	c.Expect("pusher:error", "").Decode(t, &e)
	if code == 0 {
		assert.Nil(t, e.Code)
	} else if assert.NotNil(t, e.Code) {
		assert.Equal(t, code, *e.Code)
	}
	assert.Contains(t, e.Message, text)
}

type subscriptionError struct {
	Type, Error string
	Status      int
}

func expectSubscriptionError(t *testing.T, c *brokertest.Client, channel, kind string, status int, text string) {
	t.Helper()
	var e subscriptionError
	c.Expect("pusher:subscription_error", channel).Decode(t, &e)
	assert.Equal(t, kind, e.Type)
	assert.Equal(t, status, e.Status)
	assert.Contains(t, e.Error, text)
}

// newKit returns a kit whose handler has these options, and those that are
// usual where brokertest's are not.
func newKit(t *testing.T, opts ...pusher.Option) *brokertest.Kit {
	t.Helper()
	b, err := broker.New(broker.WithDrainWindow(0))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Shutdown(context.Background())) })
	kit := &brokertest.Kit{Broker: b, App: b.App(brokertest.AppID), Config: &pusher.App{
		ID: brokertest.AppID, Key: brokertest.Key, Secret: brokertest.Secret}}
	kit.Handler = newHandler(t, b, kit, opts...)
	return kit
}

func TestHandshake(t *testing.T) {
	kit := newKit(t)
	c := kit.Dial(t)
	var hello struct {
		SocketID        string `json:"socket_id"`
		ActivityTimeout int    `json:"activity_timeout"`
	}
	c.Expect("pusher:connection_established", "").Decode(t, &hello)
	assert.Regexp(t, `\A\d+\.\d+\z`, hello.SocketID)
	assert.Equal(t, 45, hello.ActivityTimeout)
	c.Write(`{"event":"pusher:ping","data":{}}`)
	c.Expect("pusher:pong", "")
	c.Write(`{"event":"pusher:pong","data":{}}`)
	c.ExpectNothing()
}

func TestRefusedConnections(t *testing.T) {
	for name, test := range map[string]struct {
		app  func(*pusher.App)
		dial func(*pusher.Dial)
		code int
		text string
	}{
		"unknown key":         {dial: func(d *pusher.Dial) { d.Key = "other" }, code: 4001, text: `"other"`},
		"disabled":            {app: func(a *pusher.App) { a.Disabled = true }, code: 4003, text: "disabled"},
		"no version":          {dial: func(d *pusher.Dial) { d.Protocol = "" }, code: 4008, text: "protocol"},
		"odd version":         {dial: func(d *pusher.Dial) { d.Protocol = "seven" }, code: 4006, text: `"seven"`},
		"unsupported version": {dial: func(d *pusher.Dial) { d.Protocol = "4" }, code: 4007, text: "4"},
		"newer version":       {dial: func(d *pusher.Dial) { d.Protocol = "8" }, code: 4007, text: "8"},
		"not encrypted":       {app: func(a *pusher.App) { a.RequireTLS = true }, code: 4000, text: "wss"},
		"origin": {dial: func(d *pusher.Dial) { d.Origin, d.Host = "https://evil.example", "chat.example" },
			code: 4009, text: "https://evil.example"},
	} {
		t.Run(name, func(t *testing.T) {
			kit := brokertest.New(t)
			if test.app != nil {
				test.app(kit.Config)
			}
			c := kit.Dial(t, brokertest.WithDial(func(d *pusher.Dial) {
				if test.dial != nil {
					test.dial(d)
				}
			}))
			expectError(t, c, test.code, test.text)
			assert.Equal(t, test.code, c.CloseCode())
			assert.Zero(t, kit.Broker.Stats().Sessions)
		})
	}
}

func TestOldVersionsAndAllowedOriginsConnect(t *testing.T) {
	kit := brokertest.New(t)
	kit.Config.AllowedOrigins = []string{"https://*.example.com"}
	kit.Config.RequireTLS = true
	for _, version := range []string{"5", "6", "7"} {
		kit.Connect(t, brokertest.WithDial(func(d *pusher.Dial) {
			d.Protocol, d.Origin, d.Host, d.Secure = version, "https://chat.example.com", "ws.example.com", true
		}))
	}
}

func TestConnectionQuota(t *testing.T) {
	kit := brokertest.New(t)
	kit.Config.MaxConnections = 1
	first := kit.Connect(t)
	second := kit.Dial(t)
	expectError(t, second, 4004, "limit is 1")
	assert.Equal(t, 4004, second.CloseCode())
	first.Close()
	kit.Connect(t)
}

func TestConnectHookAndRateLimit(t *testing.T) {
	limits, err := ratelimit.New(nil, ratelimit.ConnectionsPerIP(1, 2))
	require.NoError(t, err)
	kit := brokertest.New(t, broker.WithRateLimits(limits), broker.WithHooks(broker.Hooks{
		Connect: func(_ context.Context, r *broker.ConnectRequest) error {
			if r.Client == "banned" {
				return broker.Refuse(http.StatusForbidden, "you are banned")
			}
			return nil
		},
	}))
	banned := kit.Dial(t, brokertest.WithDial(func(d *pusher.Dial) { d.Client = "banned" }))
	expectError(t, banned, 4009, "you are banned")
	kit.Connect(t)
	third := kit.Dial(t)
	expectError(t, third, 4100, "retry in")
	assert.Equal(t, 4100, third.CloseCode())
	kit.Connect(t, brokertest.WithIP("192.0.2.7"))
}

func TestSilentConnectionsArePingedAndClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := newKit(t)
		answers, silent := kit.Connect(t), kit.Connect(t)
		time.Sleep(pusher.DefaultActivityTimeout + time.Second)
		synctest.Wait()
		answers.Expect("pusher:ping", "")
		silent.Expect("pusher:ping", "")
		answers.Write(`{"event":"pusher:pong","data":{}}`)
		time.Sleep(pusher.PongTimeout + time.Second)
		synctest.Wait()
		assert.Equal(t, 4201, silent.CloseCode())
		answers.ExpectNothing()
		time.Sleep(pusher.DefaultActivityTimeout)
		synctest.Wait()
		answers.Expect("pusher:ping", "")
	})
}

// pingable is a connection whose client answers pings of its transport, but knows
// nothing of pusher:ping.
type pingable struct {
	transport.Conn
	answered atomic.Int64 // Unix time in nanoseconds
}

func (c *pingable) Ping() { c.answered.Store(time.Now().UnixNano()) }

func (c *pingable) LastReceived() time.Time {
	if at := time.Unix(0, c.answered.Load()); at.After(c.Conn.LastReceived()) {
		return at
	}
	return c.Conn.LastReceived()
}

func TestSilentConnectionsArePingedInBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := broker.New()
		require.NoError(t, err)
		defer func() { assert.NoError(t, b.Shutdown(context.Background())) }()
		apps, err := pusher.NewApps(pusher.App{ID: "1", Key: "key", Secret: "secret"})
		require.NoError(t, err)
		open := newHandler(t, b, apps).Open(t.Context(), pusher.Dial{Key: "key", Protocol: "7"})
		client := pusher.Connect(t, func(conn transport.Conn) transport.Receiver { return open(&pingable{Conn: conn}) })
		_, err = client.Receive(t.Context())
		require.NoError(t, err)
		for range 5 {
			time.Sleep(pusher.DefaultActivityTimeout + time.Second)
			message, err := client.Receive(t.Context())
			require.NoError(t, err)
			assert.Contains(t, string(message), "pusher:ping")
			time.Sleep(pusher.PongTimeout)
		}
		client.Close(1000, "")
	})
}

func TestAuthorizedConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t)
		kit.Config.AuthorizationTimeout = 10 * time.Second
		idle, public, private, signedIn := kit.Connect(t), kit.Connect(t), kit.Connect(t), kit.Connect(t)
		public.Subscribe("room")
		private.Subscribe("private-room")
		signedIn.SignIn("ann")
		time.Sleep(11 * time.Second)
		synctest.Wait()
		expectError(t, idle, 4009, "10s")
		assert.Equal(t, 4009, idle.CloseCode())
		expectError(t, public, 4009, "10s")
		private.ExpectNothing()
		signedIn.ExpectNothing()
	})
}

// TestHooksAuthorizeConnections is about a channel that a hook has allowed,
// without a signature.
func TestHooksAuthorizeConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t, broker.WithHooks(broker.Hooks{
			Authorize: func(_ context.Context, r *broker.SubscribeRequest) error {
				r.Authorized = r.Channel == "private-open"
				return nil
			},
		}))
		kit.Config.AuthorizationTimeout = 10 * time.Second
		allowed, refused := kit.Connect(t), kit.Connect(t)
		allowed.Write(`{"event":"pusher:subscribe","data":{"channel":"private-open"}}`)
		allowed.Expect("pusher_internal:subscription_succeeded", "private-open")
		refused.Write(`{"event":"pusher:subscribe","data":{"channel":"private-closed"}}`)
		refused.Expect("pusher:subscription_error", "private-closed")
		time.Sleep(11 * time.Second)
		synctest.Wait()
		allowed.ExpectNothing()
		assert.Equal(t, 4009, refused.CloseCode())
	})
}

func TestMalformedMessagesHarmNothing(t *testing.T) {
	kit := brokertest.New(t)
	c := kit.Connect(t)
	c.Subscribe("room")
	for _, message := range []string{"", "{", "[]", `{"event":3}`, `{"event":"pusher:subscribe"}`, "\xff", `{"event":"pusher:subscribe","data":{"channel":""}}`} {
		c.Write(message)
		if f := c.Next(); f.Event != "pusher:error" && f.Event != "pusher:subscription_error" {
			t.Errorf("%q was answered by %s", message, f.Raw)
		}
	}
	_, err := kit.App.Publish(t.Context(), "room", "message", []byte("still there"))
	require.NoError(t, err)
	c.Expect("message", "room")
}

func TestShutdownClosesSoThatClientsReconnect(t *testing.T) {
	kit := brokertest.New(t)
	c := kit.Connect(t)
	require.NoError(t, kit.Broker.Shutdown(t.Context()))
	assert.Equal(t, 4200, c.CloseCode())
	late := kit.Dial(t)
	expectError(t, late, 4200, "shutting down")
	assert.Equal(t, 4200, late.CloseCode())
}

func TestFailedLookupIsNotAnUnknownApp(t *testing.T) {
	b, err := broker.New()
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Shutdown(context.Background())) }()
	kit := &brokertest.Kit{Broker: b, App: b.App("1"), Config: &pusher.App{}, Handler: newHandler(t, b, failingApps{})}
	expectError(t, kit.Dial(t), 4100, "try again")
}

type failingApps struct{}

func (failingApps) AppByKey(context.Context, string) (*pusher.App, error) {
	return nil, errors.New("database is away")
}

func (failingApps) AppByID(context.Context, string) (*pusher.App, error) {
	return nil, errors.New("database is away")
}
