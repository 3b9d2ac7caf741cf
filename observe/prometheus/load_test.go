package prometheus

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
	"github.com/carillon-rt/carillon/transport"
)

// failing is a store that cannot append to the channel "broken".
type failing struct{ *memory.Store }

func (f *failing) Append(ctx context.Context, ch storage.ChannelID, ev *storage.Event, o storage.AppendOptions) (storage.Appended, error) {
	if ch.Name == "broken" {
		return storage.Appended{}, errors.New("disk is full")
	}
	return f.Store.Append(ctx, ch, ev, o)
}

// fullConn is a connection whose queue is always full.
type fullConn struct{ transport.Conn }

func (fullConn) Send(*transport.Message) error { return &transport.QueueError{} }
func (fullConn) Close(int, string)             {}
func (fullConn) Queue() transport.Queue        { return transport.Queue{} }
func (fullConn) Info() transport.Info          { return transport.Info{Transport: "full"} }

type words struct{}

func (*words) Encode(broker.Notice) *transport.Message { return transport.NewMessage([]byte("x")) }

func (*words) Close(broker.CloseReason) (int, string) { return 4200, "" }

// system is a broker of which everything that there are metrics for can be made to happen.
type system struct {
	t       testing.TB
	metrics *Metrics
	broker  *broker.Broker
	handler *pusher.Handler
	kit     *brokertest.Kit
	api     *httptest.Server
	hooks   *httptest.Server
	clients []*brokertest.Client
}

func newSystem(t testing.TB, opts ...Option) *system {
	s := &system{t: t}
	s.hooks = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(s.hooks.Close)
	var err error
	s.broker, err = broker.New(broker.WithHistory(&failing{memory.New()}), broker.WithLogger(slog.New(slog.DiscardHandler)),
		broker.WithDrainWindow(0), broker.WithChannelRules(
			broker.ChannelRule{Pattern: "kept", History: broker.Retention{Events: 5}},
			broker.ChannelRule{Pattern: "broken", History: broker.Retention{Events: 5}},
			broker.ChannelRule{Pattern: "shut", Publishers: broker.OnlyClients}),
		broker.WithHooks(broker.Hooks{Connect: func(_ context.Context, r *broker.ConnectRequest) error {
			if r.IP == "192.0.2.66" {
				return broker.Refuse(403, "no")
			}
			return nil
		}}))
	require.NoError(t, err)
	s.metrics, err = New(s.broker, opts...)
	require.NoError(t, err)
	app := pusher.App{ID: "1", Key: "key", Secret: "secret",
		Webhooks: []pusher.Webhook{{URL: s.hooks.URL}}}
	apps, err := pusher.NewApps(app)
	require.NoError(t, err)
	s.handler, err = pusher.NewHandler(s.broker, apps)
	require.NoError(t, err)
	s.kit = brokertest.Attach(s.broker, s.handler, &app)
	s.api = httptest.NewServer(s.handler)
	t.Cleanup(func() {
		s.api.Close()
		require.NoError(t, s.broker.Shutdown(context.Background()))
	})
	return s
}

// load makes one of each thing happen.
func (s *system) load() {
	t, ctx := s.t, context.Background()
	ann := s.kit.Connect(t, brokertest.WithIP("192.0.2.1"))
	ann.Subscribe("room")
	ann.Subscribe("private-x")
	ann.SubscribeAs("presence-x", "ann", "")
	ann.Unsubscribe("presence-x")
	ann.Trigger("private-x", "client-x", "x")
	ann.Write(`{"event":"pusher:subscribe","data":{"channel":"room"}}`)
	for _, channel := range []string{"room", "kept", "broken", "shut"} {
		_, _ = s.broker.App("1").Publish(ctx, channel, "m", []byte("hello"))
	}
	for {
		if _, more := ann.TryNext(); !more {
			break
		}
	}
	_, _ = s.broker.App("1").Publish(ctx, "room", "m", []byte("never read"))
	s.kit.Dial(t, brokertest.WithIP("192.0.2.66"))
	ann.Close()
	s.clients = append(s.clients, s.kit.Connect(t))
	if len(s.clients) > 3 {
		s.clients[0].Close()
		s.clients = s.clients[1:]
	}
	full, err := s.broker.Connect(ctx, broker.ConnectOptions{ConnectRequest: broker.ConnectRequest{App: "1"}, Conn: fullConn{}, Protocol: &words{}})
	require.NoError(t, err)
	full.Send(transport.NewMessage([]byte("x")))
	full.End(4100)
	resp, err := http.Get(s.api.URL + "/apps/1/channels") // not signed
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	resp, err = http.Get(s.api.URL + "/apps/unheard-of/channels")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
}
