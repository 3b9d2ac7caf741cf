package brokertest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/pusher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestClientsTalk(t *testing.T) {
	kit := brokertest.New(t)
	ann, bob := kit.Connect(t), kit.Connect(t)
	ann.SubscribeAs("presence-room", "ann", `{"name":"Ann"}`)
	bob.SubscribeAs("presence-room", "bob", "")
	ann.Expect("pusher_internal:member_added", "presence-room")
	_, err := kit.App.Publish(t.Context(), "presence-room", "message", []byte(`{"text":"hello"}`))
	require.NoError(t, err)
	var message struct{ Text string }
	ann.Expect("message", "presence-room").Decode(t, &message)
	assert.Equal(t, "hello", message.Text)
	assert.Equal(t, `{"text":"hello"}`, bob.Next().Data)
	bob.Trigger("presence-room", "client-typing", true)
	typing := ann.Expect("client-typing", "presence-room")
	assert.Equal(t, "bob", typing.UserID)
	assert.Equal(t, "true", typing.Data)
	bob.Unsubscribe("presence-room")
	ann.Expect("pusher_internal:member_removed", "presence-room")
	ann.ExpectNothing()
	ann.Close()
}

func TestTimeStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t, broker.WithChannelRules(broker.ChannelRule{Pattern: "presence-*", LeaveGrace: 5 * time.Second}))
		ann, bob := kit.Connect(t), kit.Connect(t)
		ann.SubscribeAs("presence-room", "ann", "")
		bob.SubscribeAs("presence-room", "bob", "")
		ann.Expect("pusher_internal:member_added", "presence-room")
		bob.Close()
		time.Sleep(4 * time.Second)
		synctest.Wait()
		ann.ExpectNothing()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		ann.Expect("pusher_internal:member_removed", "presence-room")
	})
}

func TestSilentClientsStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t)
		ann := kit.Connect(t)
		ann.Subscribe("room")
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		ann.ExpectNothing()
		_, err := kit.App.Publish(t.Context(), "room", "message", []byte("1"))
		require.NoError(t, err)
		ann.Expect("message", "room")
	})
}

// TestAttach is around a program that has made its broker and handler itself.
func TestAttach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := broker.New(broker.WithDrainWindow(0), broker.WithHooks(broker.Hooks{
			Connect: func(_ context.Context, r *broker.ConnectRequest) error {
				if user, _ := r.Cookie("user"); user == "eve" || r.Header.Get("X-Tenant") == "" {
					return broker.Refuse(403, "not eve")
				}
				return nil
			},
		}))
		require.NoError(t, err)
		defer func() { require.NoError(t, b.Shutdown(context.Background())) }()
		apps, err := pusher.NewApps(pusher.App{ID: "7", Key: "key-7", Secret: "secret-7"}, pusher.App{ID: "8", Key: "key-8", Secret: "secret-8"})
		require.NoError(t, err)
		h, err := pusher.NewHandler(b, apps, pusher.WithActivityTimeout(time.Minute))
		require.NoError(t, err)
		app, err := apps.AppByID(t.Context(), "8")
		require.NoError(t, err)

		kit := brokertest.Attach(b, h, app)
		tenant := brokertest.WithHeader("X-Tenant", "blue")
		ann, bob := kit.Connect(t, tenant), kit.Connect(t, tenant, brokertest.WithHeader("Cookie", "user=bob"))
		ann.SubscribeAs("presence-room", "ann", "")
		bob.SignIn("bob")
		bob.Subscribe("presence-room")
		ann.Expect("pusher_internal:member_added", "presence-room")
		assert.Equal(t, 4009, kit.Dial(t, tenant, brokertest.WithHeader("Cookie", "user=eve")).CloseCode())
		assert.Equal(t, 4009, kit.Dial(t).CloseCode())
		time.Sleep(time.Hour) // nobody answers pings
		synctest.Wait()
		_, err = kit.App.Publish(t.Context(), "presence-room", "message", []byte("x"))
		require.NoError(t, err)
		ann.Expect("message", "presence-room")
		bob.Expect("message", "presence-room")
		for range b.App("7").Channels(t.Context(), "") {
			assert.Fail(t, "app 7 has no channels")
		}
	})
}

func TestTheAppCanBeChanged(t *testing.T) {
	kit := brokertest.New(t)
	kit.Config.Disabled = true
	c := kit.Dial(t, brokertest.WithIP("192.0.2.1"))
	c.Expect("pusher:error", "")
	assert.Equal(t, 4003, c.CloseCode())
	unknown := kit.Dial(t, brokertest.WithDial(func(d *pusher.Dial) { d.Key = "other" }))
	assert.Equal(t, 4001, unknown.CloseCode())
	_, err := kit.AppByID(context.Background(), "2")
	require.ErrorIs(t, err, pusher.ErrUnknownApp)
}

// recorder is a test that may fail.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Fatalf(string, ...any) { r.failed = true; panic(r) }

// fails reports whether f has failed the test that it was given.
func fails(t *testing.T, f func(testing.TB)) (failed bool) {
	r := &recorder{TB: t}
	defer func() {
		if p := recover(); p != nil && p != any(r) {
			panic(p)
		}
		failed = r.failed
	}()
	f(r)
	return r.failed
}

func TestExpectationsFail(t *testing.T) {
	kit := brokertest.New(t)
	for name, f := range map[string]func(testing.TB){
		"another event": func(t testing.TB) {
			c := kit.Connect(t)
			c.Write(`{"event":"pusher:ping"}`)
			c.Expect("message", "room")
		},
		"something came": func(t testing.TB) {
			c := kit.Connect(t)
			c.Write(`{"event":"pusher:ping"}`)
			c.ExpectNothing()
		},
		"not a client event": func(t testing.TB) { kit.Connect(t).Trigger("private-a", "message", 1) },
		"after the end": func(t testing.TB) {
			c := kit.Connect(t)
			c.Close()
			c.Write("{}")
		},
		"nothing comes": func(t testing.TB) {
			c := kit.Connect(t)
			c.Close()
			c.Next()
		},
	} {
		assert.True(t, fails(t, f), name)
	}
}
