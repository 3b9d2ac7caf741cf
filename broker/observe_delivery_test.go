package broker_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
	"github.com/carillon-rt/carillon/transport"
)

// shadow samples or traces all events, as it is told.
type shadow struct {
	witness
	samples, traces bool
}

func (f *shadow) SampleDelivery(string, string, *broker.Event) bool  { return f.samples }
func (f *shadow) TraceDeliveries(string, string, *broker.Event) bool { return f.traces }

// of returns the observations of one type.
func of[T broker.Observation](all []broker.Observation) (some []T) {
	for _, o := range all {
		if o, is := o.(T); is {
			some = append(some, o)
		}
	}
	return some
}

// steps are those of one session, in the order of their time.
func steps(all []broker.Observation, session string) (steps []string) {
	deliveries := of[broker.Delivery](all)
	slices.SortStableFunc(deliveries, func(a, b broker.Delivery) int { return a.Time.Compare(b.Time) })
	for _, d := range deliveries {
		if d.Session.ID() == session {
			steps = append(steps, d.Step.String())
		}
	}
	return steps
}

func TestAnEventIsFollowedToItsSockets(t *testing.T) {
	f := &shadow{samples: true}
	kit := brokertest.New(t, broker.WithObserver(f))
	ann, bob, cid := kit.Connect(t), kit.Connect(t), kit.Connect(t)
	for _, c := range []*brokertest.Client{ann, bob, cid} {
		c.Subscribe("room")
	}
	_, err := kit.App.Publish(t.Context(), "room", "message", []byte("x"), broker.Exclude(cid.SocketID()))
	require.NoError(t, err)
	ann.Expect("message", "room")
	assert.Empty(t, of[broker.FanOut](f.take()), "bob has not got it yet")
	bob.Expect("message", "room")
	outs := of[broker.FanOut](f.take())
	require.Len(t, outs, 1)
	assert.Equal(t, []int{2, 2, 0}, []int{outs[0].Sockets, outs[0].Written, outs[0].Failed})
	assert.LessOrEqual(t, outs[0].First, outs[0].Last)
	assert.Positive(t, outs[0].First)

	_, err = kit.App.Publish(t.Context(), "room", "message", []byte("x"))
	require.NoError(t, err)
	ann.Expect("message", "room")
	bob.Close()
	cid.Close()
	outs = of[broker.FanOut](f.take())
	require.Len(t, outs, 1)
	assert.Equal(t, []int{3, 1, 2}, []int{outs[0].Sockets, outs[0].Written, outs[0].Failed})

	_, err = kit.App.Publish(t.Context(), "empty", "message", []byte("x"))
	require.NoError(t, err)
	assert.Empty(t, of[broker.FanOut](f.take()))
}

func TestEachStepOfADeliveryIsObserved(t *testing.T) {
	f := &shadow{samples: true, traces: true}
	kit := brokertest.New(t, broker.WithObserver(f))
	ann, bob, cid := kit.Connect(t), kit.Connect(t), kit.Connect(t)
	for _, c := range []*brokertest.Client{ann, bob, cid} {
		c.Subscribe("room")
	}
	local, err := kit.App.Subscribe(t.Context(), "room")
	require.NoError(t, err)
	defer local.Close()
	f.take()
	_, err = kit.App.Publish(t.Context(), "room", "message", []byte("x"), broker.Exclude(cid.SocketID()))
	require.NoError(t, err)
	ann.Expect("message", "room")
	bob.Close()
	all := f.take()
	assert.Equal(t, []string{"queued", "written"}, steps(all, ann.SocketID()))
	assert.Equal(t, []string{"queued", "failed"}, steps(all, bob.SocketID()))
	assert.Equal(t, []string{"excluded"}, steps(all, cid.SocketID()))
	assert.Len(t, of[broker.FanOut](all), 1)
	for _, d := range of[broker.Delivery](all) {
		if d.Step == broker.DeliveryFailed {
			assert.ErrorIs(t, d.Err, transport.ErrClosed)
		} else {
			assert.NoError(t, d.Err)
		}
	}
}

func TestASlowSessionIsSeenInItsDelivery(t *testing.T) {
	f := &shadow{samples: true, traces: true}
	b := newBroker(t, broker.WithObserver(f), quiet)
	s := join(t, b, &fullOnce{at: 2}, "room")
	publish(t, b.App("1"), "room", 1, 1)
	all := f.take()
	assert.Equal(t, []string{"failed"}, steps(all, s.ID()))
	assert.ErrorIs(t, of[broker.Delivery](all)[0].Err, transport.ErrSlow)
	assert.Equal(t, 1, of[broker.FanOut](all)[0].Failed)
	publish(t, b.App("1"), "room", 2, 2)
	assert.Equal(t, []string{"failed"}, steps(f.take(), s.ID()))
	s.End(4100)
}

// during is a store during whose reads something happens: before or after the look.
type during struct {
	*memory.Store
	before, after func()
}

func (d *during) Read(ctx context.Context, ch storage.ChannelID, o storage.ReadOptions) (storage.Page, error) {
	if d.before != nil {
		d.before()
	}
	page, err := d.Store.Read(ctx, ch, o)
	if d.after != nil {
		d.after()
	}
	return page, err
}

func TestWhatWaitsBehindThePastIsObserved(t *testing.T) {
	f := &shadow{samples: true, traces: true}
	store := &during{Store: memory.New()}
	kit := brokertest.New(t, broker.WithObserver(f), broker.WithHistory(store), broker.WithChannelRules(
		broker.ChannelRule{Pattern: "kept", History: broker.Retention{Events: 5}, Rewind: 2}))
	ann := kit.Connect(t)
	var once sync.Once
	say := func() {
		once.Do(func() { publish(t, kit.App, "kept", 1, 1) })
	}
	store.before = say
	ann.Subscribe("kept")
	store.before = nil
	all := f.take()
	assert.Equal(t, []string{"parked", "had"}, steps(all, ann.SocketID()))
	assert.Empty(t, of[broker.FanOut](all), "it has gone to nobody")

	bob := kit.Connect(t)
	once = sync.Once{}
	store.after = say
	bob.Subscribe("kept")
	bob.Expect("message", "kept")
	bob.Expect("message", "kept")
	ann.Expect("message", "kept")
	ann.Expect("message", "kept")
	all = f.take()
	assert.Equal(t, []string{"parked", "queued", "written"}, steps(all, bob.SocketID()))
	assert.Equal(t, 2, of[broker.FanOut](all)[0].Written)
}

func readAll(c *brokertest.Client) {
	for {
		if _, ok := c.TryNext(); !ok {
			return
		}
	}
}

// TestWhatIsObservedAgreesWithStats has clients come, go, subscribe and publish at random.
func TestWhatIsObservedAgreesWithStats(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := &shadow{samples: true, traces: rapid.Bool().Draw(rt, "traces")}
		kit := brokertest.New(t, broker.WithObserver(f), quiet, broker.WithHooks(observedHooks), broker.WithChannelRules(
			broker.ChannelRule{Pattern: "kept", History: broker.Retention{Events: 3}, Rewind: 1},
			broker.ChannelRule{Pattern: "shut", Publishers: broker.OnlyClients}))
		channel := rapid.SampledFrom([]string{"room", "kept", "presence-x", "refused", "shut"})
		clients := map[string]*brokertest.Client{}
		pick := func(t *rapid.T) *brokertest.Client {
			if len(clients) == 0 {
				t.Skip("nobody")
			}
			ids := make([]string, 0, len(clients))
			for id := range clients {
				ids = append(ids, id)
			}
			slices.Sort(ids)
			return clients[rapid.SampledFrom(ids).Draw(t, "client")]
		}
		rt.Repeat(map[string]func(*rapid.T){
			"connect": func(*rapid.T) {
				c := kit.Connect(t)
				clients[c.SocketID()] = c
			},
			"subscribe": func(rt *rapid.T) {
				c, name := pick(rt), channel.Draw(rt, "channel")
				if name == "presence-x" {
					c.Write(subscribeFrame(t, c, name, rapid.SampledFrom([]string{"ann", "bob"}).Draw(rt, "user")))
					return
				}
				c.Write(`{"event":"pusher:subscribe","data":{"channel":"` + name + `"}}`)
			},
			"unsubscribe": func(rt *rapid.T) { pick(rt).Unsubscribe(channel.Draw(rt, "channel")) },
			"publish": func(rt *rapid.T) {
				_, _ = kit.App.Publish(t.Context(), channel.Draw(rt, "channel"), "message", []byte("x"))
			},
			"publish many": func(rt *rapid.T) {
				_, _ = kit.App.PublishMany(t.Context(), rapid.SliceOfN(channel, 1, 4).Draw(rt, "channels"), "message", []byte("x"))
			},
			"trigger": func(rt *rapid.T) { pick(rt).Trigger(channel.Draw(rt, "channel"), "client-x", "x") },
			"read":    func(rt *rapid.T) { readAll(pick(rt)) },
			"close": func(rt *rapid.T) {
				c := pick(rt)
				c.Close()
				delete(clients, c.SocketID())
			},
		})
		for _, c := range clients {
			c.Close()
		}
		all, stats := f.take(), kit.Broker.Stats()
		count := func(names ...string) (n int64) {
			for _, o := range all {
				if slices.Contains(names, nameOf(o)) {
					n++
				}
			}
			return n
		}
		assert.Equal(rt, stats.Connected, count("SessionOpened"))
		assert.Equal(rt, stats.Connected, count("SessionClosed"))
		assert.Equal(rt, count("SubscriptionOpened"), count("SubscriptionClosed"))
		assert.Equal(rt, count("MemberJoined"), count("MemberLeft"))
		assert.Equal(rt, count("ChannelOccupied"), count("ChannelVacated"))
		assert.Equal(rt, stats.Published, count("EventPublished"))
		assert.Equal(rt, stats.Refused, count("SessionRefused", "SubscriptionRefused", "PublishRefused", "RequestRefused"))
		var delivered, sampled int64
		for _, p := range of[broker.EventPublished](all) {
			delivered += int64(p.Subscribers)
			if p.Subscribers > 0 {
				sampled++
			}
		}
		assert.Equal(rt, stats.Delivered, delivered)
		assert.Equal(rt, sampled, count("FanOut"), "each ends, with all clients gone")
		ends := map[string]int{}
		for _, d := range of[broker.Delivery](all) {
			if d.Step == broker.DeliveryWritten || d.Step == broker.DeliveryFailed {
				ends[d.Session.ID()+" "+d.Event.ID]++
			}
		}
		for what, n := range ends {
			assert.Equal(rt, 1, n, what)
		}
	})
}
