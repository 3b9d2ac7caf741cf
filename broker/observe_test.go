package broker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/storage/memory"
	"github.com/carillon-rt/carillon/transport"
)

// witness keeps what it observes.
type witness struct {
	mu  sync.Mutex
	all []broker.Observation // guarded by mu
}

func (r *witness) Observe(_ context.Context, o broker.Observation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, o)
}

// take returns what was observed since the last call, without what ignore names.
func (r *witness) take(ignore ...string) []broker.Observation {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.DeleteFunc(r.all, func(o broker.Observation) bool { return slices.Contains(ignore, nameOf(o)) })
	r.all = nil
	return all
}

func nameOf(o broker.Observation) string { return strings.TrimPrefix(fmt.Sprintf("%T", o), "broker.") }

func namesOf(all []broker.Observation) (names []string) {
	for _, o := range all {
		names = append(names, nameOf(o))
	}
	return names
}

var quiet = broker.WithLogger(slog.New(slog.DiscardHandler))

// observedHooks refuse and panic by the names of channels.
var observedHooks = broker.Hooks{
	Connect: func(_ context.Context, r *broker.ConnectRequest) error {
		if r.IP == "192.0.2.66" {
			return broker.Refuse(403, "no")
		}
		return nil
	},
	Subscribe: func(_ context.Context, r *broker.SubscribeRequest) error {
		switch r.Channel {
		case "panics":
			panic("on purpose")
		case "refused":
			return broker.Refuse(403, "no")
		}
		return nil
	},
}

func TestEachThingIsObservedOnce(t *testing.T) {
	rec := new(witness)
	store := &faulty{Store: memory.New()}
	kit := brokertest.New(t, broker.WithObserver(rec), broker.WithHistory(store), broker.WithHooks(observedHooks), quiet,
		broker.WithChannelRules(
			broker.ChannelRule{Pattern: "kept", History: broker.Retention{Events: 5}},
			broker.ChannelRule{Pattern: "shut", Publishers: broker.OnlyClients},
		))
	var ann, bob *brokertest.Client
	ctx := t.Context()
	publish := func(channel string, opts ...broker.PublishOption) error {
		_, err := kit.App.Publish(ctx, channel, "message", []byte("x"), opts...)
		return err
	}
	list := func(names ...string) []string { return names }
	for _, step := range []struct {
		name string
		do   func()
		want []string
	}{
		{"connect", func() { ann = kit.Connect(t) }, list("SessionOpened")},
		{"connect refused", func() { kit.Dial(t, brokertest.WithIP("192.0.2.66")) }, list("SessionRefused")},
		{"subscribe", func() { ann.Subscribe("room") }, list("ChannelOccupied", "SubscriptionOpened")},
		{"subscribe twice", func() {
			ann.Write(`{"event":"pusher:subscribe","data":{"channel":"room"}}`)
			ann.Expect("pusher:error", "")
		}, list("SubscriptionRefused")},
		{"subscribe refused", func() {
			ann.Write(`{"event":"pusher:subscribe","data":{"channel":"refused"}}`)
			ann.Expect("pusher:subscription_error", "refused")
		}, list("SubscriptionRefused")},
		{"a hook panics", func() {
			ann.Write(`{"event":"pusher:subscribe","data":{"channel":"panics"}}`)
			ann.Expect("pusher:subscription_error", "panics")
		}, list("HookPanicked", "SubscriptionRefused")},
		{"sign in", func() { ann.SignIn("ann") }, list("StoreCall", "UserOnline")},
		{"join", func() { ann.SubscribeAs("presence-hall", "ann", "") }, list("ChannelOccupied", "MemberJoined", "SubscriptionOpened")},
		{"join again", func() {
			bob = kit.Connect(t)
			bob.SubscribeAs("presence-hall", "ann", "")
		}, list("SessionOpened", "SubscriptionOpened")},
		{"client event", func() {
			ann.Trigger("presence-hall", "client-typing", "x")
			bob.Expect("client-typing", "presence-hall")
		}, list("EventPublished")},
		{"client event refused", func() {
			ann.Trigger("private-elsewhere", "client-typing", "x")
			ann.Expect("pusher:error", "")
		}, list("PublishRefused")},
		{"publish", func() { require.NoError(t, publish("room")) }, list("EventPublished")},
		{"publish to nobody", func() { require.NoError(t, publish("empty")) }, list("EventPublished")},
		{"publish refused", func() { require.Error(t, publish("shut")) }, list("PublishRefused")},
		{"publish, stored", func() { require.NoError(t, publish("kept")) }, list("StoreCall", "EventPublished")},
		{"publish, with a key", func() { require.NoError(t, publish("room", broker.IdempotencyKey("k"))) }, list("StoreCall", "EventPublished")},
		{"publish, again", func() { require.NoError(t, publish("room", broker.IdempotencyKey("k"))) }, list("StoreCall", "StoreCall")},
		{"publish, store fails", func() {
			store.lost = errors.New("full")
			require.Error(t, publish("kept"))
			store.lost = nil
		}, list("StoreCall", "PublishRefused")},
		{"publish many", func() {
			_, err := kit.App.PublishMany(ctx, []string{"room", "kept"}, "message", []byte("x"))
			require.NoError(t, err)
		}, list("StoreCall", "EventPublished", "EventPublished")},
		{"publish many, one refused", func() {
			_, err := kit.App.PublishMany(ctx, []string{"room", "shut"}, "message", []byte("x"))
			require.Error(t, err)
		}, list("PublishRefused")},
		{"prepare refused", func() {
			_, err := kit.App.Prepare(ctx, "room", "message", []byte("x"))
			require.ErrorIs(t, err, broker.ErrNotKept)
		}, list("PublishRefused")},
		{"edit of nothing", func() {
			_, err := kit.App.Edit(ctx, "kept", "none", []byte("x"))
			require.Error(t, err)
		}, list("StoreCall", "PublishRefused")},
		{"search with no words", func() {
			_, err := kit.App.Search(ctx, "", "", broker.HitsAtMost(-1))
			require.Error(t, err)
		}, list("RequestRefused")},
		{"unsubscribe", func() { ann.Unsubscribe("room") }, list("SubscriptionClosed", "ChannelVacated")},
		{"leave", func() { bob.Close() }, list("SubscriptionClosed", "SessionClosed")},
		{"leave last", func() { ann.Close() },
			list("SubscriptionClosed", "MemberLeft", "ChannelVacated", "UserOffline", "SessionClosed")},
	} {
		rec.take()
		step.do()
		var ignore []string
		if !slices.Contains(step.want, "StoreCall") {
			ignore = append(ignore, "StoreCall")
		}
		assert.Equal(t, step.want, namesOf(rec.take(append(ignore, "MessageReceived")...)), step.name)
	}
	assert.Zero(t, kit.Broker.Stats().ObserverPanics)
}

func TestASlowClientIsObserved(t *testing.T) {
	rec := new(witness)
	b := newBroker(t, broker.WithObserver(rec), quiet)
	s := join(t, b, &fullOnce{at: 2}, "room")
	rec.take()
	publish(t, b.App("1"), "room", 1, 3)
	all := rec.take()
	assert.Equal(t, []string{"SessionSlow", "EventPublished", "EventPublished", "EventPublished"}, namesOf(all))
	slow := all[0].(broker.SessionSlow)
	assert.Same(t, s, slow.Session)
	assert.ErrorIs(t, slow.Err, transport.ErrSlow)
	assert.EqualValues(t, 1, b.Stats().SlowSessions)
	s.End(4100)
}

// panicky panics at each call.
type panicky struct{}

func (panicky) Observe(context.Context, broker.Observation) { panic("on purpose") }

func (panicky) WantsObservation(string, broker.ObservationKind) bool { return true }

func (panicky) PublishStart(context.Context, broker.PublishTrace) context.Context {
	panic("on purpose")
}

func (panicky) PublishEnd(context.Context, broker.PublishTrace) { panic("on purpose") }

func TestObserversThatPanicHarmNobody(t *testing.T) {
	rec := new(witness)
	kit := brokertest.New(t, broker.WithObserver(panicky{}), broker.WithObserver(rec), quiet)
	ann := kit.Connect(t)
	ann.Subscribe("room")
	_, err := kit.App.Publish(t.Context(), "room", "message", []byte("x"))
	require.NoError(t, err)
	ann.Expect("message", "room")
	assert.Contains(t, namesOf(rec.take()), "EventPublished", "those behind are told")
	assert.Positive(t, kit.Broker.Stats().ObserverPanics)
	assert.Zero(t, kit.Broker.Stats().HookPanics)
}

func TestAnObserverThatIsNilIsRefused(t *testing.T) {
	_, err := broker.New(broker.WithObserver(nil))
	var field *broker.FieldError
	require.ErrorAs(t, err, &field)
	assert.Equal(t, "observer", field.Field)
	kit := brokertest.New(t)
	field = nil
	require.ErrorAs(t, kit.Broker.AddObserver(nil), &field)
	assert.Equal(t, "observer", field.Field)
	_, err = kit.App.Publish(t.Context(), "room", "message", []byte("x"))
	require.NoError(t, err)
	assert.Zero(t, kit.Broker.Stats().ObserverPanics)
}

// fickle wants calls of stores, until it is told of one.
type fickle struct {
	witness
	started, ended int
}

func (f *fickle) WantsObservation(_ string, kind broker.ObservationKind) bool {
	return kind == broker.ObserveStoreCall && f.started == 0
}

func (f *fickle) StoreStart(ctx context.Context, _ broker.StoreCall) context.Context {
	f.started++
	return ctx
}

func (f *fickle) StoreEnd(context.Context, broker.StoreCall) { f.ended++ }

func TestWhoIsToldOfTheStartOfACallIsToldOfItsEnd(t *testing.T) {
	some := new(fickle)
	kit := brokertest.New(t, broker.WithObserver(some), broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 5}}))
	_, err := kit.App.Publish(t.Context(), "room", "message", []byte("x"))
	require.NoError(t, err)
	assert.Equal(t, []int{1, 1}, []int{some.started, some.ended})
}

// picky wants some kinds only.
type picky struct {
	witness
	wants []broker.ObservationKind
}

func (p *picky) WantsObservation(app string, kind broker.ObservationKind) bool {
	return slices.Contains(p.wants, kind)
}

func TestAnObserverIsToldWhatItWants(t *testing.T) {
	some := &picky{wants: []broker.ObservationKind{broker.ObserveEventPublished, broker.ObserveSessionClosed}}
	kit := brokertest.New(t, broker.WithObserver(some))
	ann := kit.Connect(t)
	ann.Subscribe("room")
	_, err := kit.App.Publish(t.Context(), "room", "message", []byte("x"))
	require.NoError(t, err)
	ann.Close()
	assert.Equal(t, []string{"EventPublished", "SessionClosed"}, namesOf(some.take()))
}

// TestAllObservationsAreListed holds the table of Observation to the types there are.
func TestAllObservationsAreListed(t *testing.T) {
	files, err := filepath.Glob("observe_*.go")
	require.NoError(t, err)
	var types, kinds, listed []string
	for _, name := range append(files, "observe.go") {
		source, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`func \((\w+)\) kind\(\) ObservationKind +{ return Observe(\w+) }`).FindAllStringSubmatch(string(source), -1) {
			assert.Equal(t, m[1], m[2], "a kind has the name of its type")
			types = append(types, m[1])
		}
		if name != "observe.go" {
			continue
		}
		for _, m := range regexp.MustCompile(`(?m)^//\t(\w+) {2,}`).FindAllStringSubmatch(string(source), -1) {
			listed = append(listed, m[1])
		}
		for _, m := range regexp.MustCompile(`(?m)^\tObserve(\w+)`).FindAllStringSubmatch(string(source), -1) {
			kinds = append(kinds, m[1])
		}
	}
	assert.ElementsMatch(t, types, listed)
	assert.ElementsMatch(t, types, kinds)
}
