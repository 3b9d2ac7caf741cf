package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
	"github.com/carillon-rt/carillon/storage/storagetest"
)

// historyOf shows events as "name data", with "-" for data that was retracted.
func historyOf(t *testing.T, kit *brokertest.Kit, channel string, opts ...broker.HistoryOption) []string {
	t.Helper()
	all := []string{}
	for ev, err := range kit.App.History(t.Context(), channel, opts...) {
		require.NoError(t, err)
		text := string(ev.Data)
		if ev.Retracted {
			text = "-"
		}
		all = append(all, ev.Name+" "+text)
	}
	return all
}

func publishTo(t *testing.T, kit *brokertest.Kit, channel, data string, opts ...broker.PublishOption) broker.Published {
	t.Helper()
	p, err := kit.App.Publish(t.Context(), channel, "message", []byte(data), opts...)
	require.NoError(t, err)
	return p
}

func TestAmendmentsGoOutAsEvents(t *testing.T) {
	kit := brokertest.New(t, keeping(10))
	ann := kit.Connect(t)
	ann.Subscribe("room")
	first := publishTo(t, kit, "room", `say "hi" <b>`)
	ann.Expect("message", "room")
	require.NotEmpty(t, first.ID)

	done, err := kit.App.Edit(t.Context(), "room", first.ID, []byte(`{"text":"ho"}`), broker.OperationID("op"), broker.ByUser("bob"))
	require.NoError(t, err)
	assert.EqualValues(t, 1, done.Version)
	assert.True(t, done.Position.After(first.Position))
	got := ann.Expect("carillon:edited", "room")
	assert.Equal(t, fmt.Sprintf(`{"id":%q,"version":1,"data":"{\"text\":\"ho\"}","operation_id":"op"}`, first.ID), got.Data)
	assert.Equal(t, "bob", got.UserID)

	_, err = kit.App.Append(t.Context(), "room", first.ID, []byte("<i>世"))
	require.NoError(t, err)
	assert.Equal(t, fmt.Sprintf(`{"id":%q,"version":2,"text":"<i>世"}`, first.ID), ann.Expect("carillon:appended", "room").Data)
	assert.Equal(t, []string{`message {"text":"ho"}<i>世`}, historyOf(t, kit, "room"))

	_, err = kit.App.Retract(t.Context(), "room", first.ID)
	require.NoError(t, err)
	assert.Equal(t, fmt.Sprintf(`{"id":%q,"version":3}`, first.ID), ann.Expect("carillon:retracted", "room").Data)
	assert.Equal(t, []string{"message -"}, historyOf(t, kit, "room"))
	assert.Equal(t, []string{"message -", "carillon:edited -", "carillon:appended -", fmt.Sprintf(`carillon:retracted {"id":%q,"version":3}`, first.ID)},
		historyOf(t, kit, "room", broker.Log()))
	ann.ExpectNothing()
}

func TestTheLogHasEventsAsTheyWerePublished(t *testing.T) {
	kit := brokertest.New(t, keeping(10))
	first := publishTo(t, kit, "room", "one", broker.WithID("row-1"))
	assert.Equal(t, "row-1", first.ID)
	_, err := kit.App.Edit(t.Context(), "room", "row-1", []byte("two"))
	require.NoError(t, err)
	assert.Equal(t, []string{"message two"}, historyOf(t, kit, "room"))
	assert.Equal(t, []string{"message one", `carillon:edited {"id":"row-1","version":1,"data":"two"}`}, historyOf(t, kit, "room", broker.Log()))
}

func TestAmendmentsAreRefused(t *testing.T) {
	kit := brokertest.New(t, broker.WithMaxEventBytes(10), broker.WithChannelRules(
		broker.ChannelRule{Pattern: "nothing"},
		broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 10}}),
		broker.WithHooks(broker.Hooks{Amend: func(_ context.Context, r *broker.AmendRequest) error {
			assert.True(t, r.Allowed)
			if strings.HasPrefix(r.Channel, "hook") {
				assert.Equal(t, "1", string(r.Target.Data))
				return broker.Refuse(409, "not now")
			}
			return nil
		}}))
	for channel, c := range map[string]struct {
		id, data, op string
		user         string
		json         bool
		kind         storage.AmendKind
		want         error
		text         string
	}{
		"a b":     {want: broker.ErrInvalid, text: "character"},
		"nothing": {id: "x", want: broker.ErrNotKept},
		"id":      {id: "", want: broker.ErrInvalid, text: "id is empty"},
		"unknown": {id: "other", want: storage.ErrNoTarget},
		"size":    {data: "12345678901", want: broker.ErrInvalid, text: "data is too large: 11, the limit is 10"},
		"sum":     {data: "1234567890", kind: storage.Extend, want: broker.ErrInvalid, text: "data is too large: 11, the limit is 10"},
		"op":      {op: strings.Repeat("x", 129), want: broker.ErrInvalid, text: "operation_id is too long: 129, the limit is 128"},
		"user":    {user: "\x00", want: broker.ErrInvalid, text: "user_id"},
		"json":    {json: true, data: "{", want: broker.ErrInvalid, text: "data is not valid JSON"},
		"extend":  {json: true, data: "1", kind: storage.Extend, want: broker.ErrInvalid, text: "carries JSON"},
		"hook":    {want: broker.ErrRefused, text: "not now"},
	} {
		t.Run(channel, func(t *testing.T) {
			id := "first"
			if broker.CheckChannelName(channel) == nil {
				_, err := kit.App.PublishBatch(t.Context(), []broker.PublishRequest{{Channel: channel, Event: "message", Data: []byte("1"), JSON: c.json, ID: id}})
				require.NoError(t, err)
			}
			if c.id != "" || channel == "id" {
				id = c.id
			}
			amend := kit.App.Edit
			if c.kind == storage.Extend {
				amend = kit.App.Append
			}
			_, err := amend(t.Context(), channel, id, []byte(c.data), broker.OperationID(c.op), broker.ByUser(c.user))
			require.ErrorIs(t, err, c.want)
			assert.ErrorContains(t, err, c.text)
		})
	}
}

func TestAnAmendmentCountsAsAPublish(t *testing.T) {
	limits, err := ratelimit.New(nil, ratelimit.PublishesPerApp(0.001, 1))
	require.NoError(t, err)
	kit := brokertest.New(t, keeping(10), broker.WithRateLimits(limits))
	p := publishTo(t, kit, "room", "1")
	_, err = kit.App.Edit(t.Context(), "room", p.ID, []byte("2"))
	require.ErrorIs(t, err, ratelimit.ErrLimited)
}

func TestAmendmentNames(t *testing.T) {
	names := broker.AmendmentNames{Edited: "message.edited", Retracted: "message.deleted", Appended: "message.more"}
	kit := brokertest.New(t, keeping(10), broker.WithAmendmentNames(names))
	ann := kit.Connect(t)
	ann.Subscribe("room")
	p := publishTo(t, kit, "room", "1")
	ann.Expect("message", "room")
	_, err := kit.App.Edit(t.Context(), "room", p.ID, []byte("2"))
	require.NoError(t, err)
	ann.Expect("message.edited", "room")
	_, err = kit.App.Append(t.Context(), "room", p.ID, []byte("3"))
	require.NoError(t, err)
	ann.Expect("message.more", "room")
	_, err = kit.App.Retract(t.Context(), "room", p.ID)
	require.NoError(t, err)
	ann.Expect("message.deleted", "room")

	for _, bad := range []func(*broker.AmendmentNames){
		func(n *broker.AmendmentNames) { n.Edited = "" },
		func(n *broker.AmendmentNames) { n.Retracted = "pusher:retracted" },
		func(n *broker.AmendmentNames) { n.Appended = n.Edited },
	} {
		names := broker.DefaultAmendmentNames
		bad(&names)
		_, err := broker.New(broker.WithAmendmentNames(names))
		require.ErrorIs(t, err, broker.ErrInvalid)
		assert.ErrorContains(t, err, "amendment names")
	}
}

func TestAnOperationIsDoneOnce(t *testing.T) {
	kit := brokertest.New(t, keeping(10))
	ann := kit.Connect(t)
	ann.Subscribe("room")
	p := publishTo(t, kit, "room", "a")
	var first broker.Amended
	for i := range 3 {
		done, err := kit.App.Append(t.Context(), "room", p.ID, []byte("b"), broker.OperationID("op"))
		require.NoError(t, err)
		assert.Equal(t, i > 0, done.Duplicate)
		if i == 0 {
			first = done
		}
		assert.Equal(t, first.Position, done.Position)
		assert.Equal(t, first.Version, done.Version)
	}
	assert.Equal(t, []string{"message ab"}, historyOf(t, kit, "room"))
	ann.Expect("message", "room")
	ann.Expect("carillon:appended", "room")
	ann.ExpectNothing()
	for _, other := range []func() (broker.Amended, error){
		func() (broker.Amended, error) {
			return kit.App.Append(t.Context(), "room", p.ID, []byte("c"), broker.OperationID("op"))
		},
		func() (broker.Amended, error) {
			return kit.App.Edit(t.Context(), "room", p.ID, []byte("b"), broker.OperationID("op"))
		},
		func() (broker.Amended, error) {
			return kit.App.Retract(t.Context(), "room", p.ID, broker.OperationID("op"))
		},
	} {
		_, err := other()
		require.ErrorIs(t, err, storage.ErrKeyReused)
	}
	for range 2 {
		_, err := kit.App.Retract(t.Context(), "room", p.ID, broker.OperationID("gone"))
		require.NoError(t, err)
	}
	_, err := kit.App.Retract(t.Context(), "room", p.ID)
	require.ErrorIs(t, err, storage.ErrRetracted)
	done, err := kit.App.Append(t.Context(), "room", p.ID, []byte("b"), broker.OperationID("op"))
	require.NoError(t, err, "a retry of what was done before the retraction")
	assert.True(t, done.Duplicate)
}

func TestAStaleVersionIsAConflict(t *testing.T) {
	kit := brokertest.New(t, keeping(10))
	p := publishTo(t, kit, "room", "a")
	done, err := kit.App.Edit(t.Context(), "room", p.ID, []byte("b"), broker.IfVersion(0))
	require.NoError(t, err)
	_, err = kit.App.Edit(t.Context(), "room", p.ID, []byte("c"), broker.IfVersion(0))
	var stale *storage.StaleVersionError
	require.ErrorAs(t, err, &stale)
	assert.EqualValues(t, 1, stale.Current)
	_, err = kit.App.Edit(t.Context(), "room", p.ID, []byte("c"), broker.IfVersion(done.Version))
	require.NoError(t, err)
	assert.Equal(t, []string{"message c"}, historyOf(t, kit, "room"))
}

func TestConcurrentAppendsAllCount(t *testing.T) {
	const writers, each = 4, 25
	kit := brokertest.New(t, keeping(1000))
	ann := kit.Connect(t)
	ann.Subscribe("room")
	p := publishTo(t, kit, "room", "")
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for n := range each {
				_, err := kit.App.Append(t.Context(), "room", p.ID, fmt.Appendf(nil, "[%d.%d]", i, n))
				assert.NoError(t, err)
			}
		})
	}
	wg.Wait()
	ann.Expect("message", "room")
	text := ""
	for n := range writers * each {
		var said broker.AmendmentData
		require.NoError(t, json.Unmarshal([]byte(ann.Expect("carillon:appended", "room").Data), &said))
		assert.EqualValues(t, n+1, said.Version)
		text += *said.Text
	}
	assert.Equal(t, []string{"message " + text}, historyOf(t, kit, "room"), "whoever listens knows what the history has")
}

func TestAmendmentsOfEncryptedChannels(t *testing.T) {
	const room = "private-encrypted-room"
	kit := brokertest.New(t, keeping(10))
	ann := kit.Connect(t)
	ann.Subscribe(room)
	sub, err := kit.App.Subscribe(t.Context(), room)
	require.NoError(t, err)
	defer sub.Close()
	p := publishTo(t, kit, room, "secret")
	_, err = kit.App.Append(t.Context(), room, p.ID, []byte(" more"))
	require.NoError(t, err)
	_, err = kit.App.Edit(t.Context(), room, p.ID, []byte("other secret"))
	require.NoError(t, err)
	_, err = kit.App.Append(t.Context(), room, p.ID, []byte("!"))
	require.NoError(t, err)
	for _, name := range []string{"message", "carillon:appended", "carillon:edited", "carillon:appended"} {
		got := ann.Expect(name, room)
		assert.NotContains(t, got.Data, "secret")
		assert.Contains(t, got.Data, "ciphertext")
	}
	for _, opts := range [][]broker.HistoryOption{nil, {broker.Log()}} {
		for ev, err := range kit.App.History(t.Context(), room, opts...) {
			require.NoError(t, err)
			assert.NotContains(t, string(ev.Data), "secret")
		}
	}
	rewound, err := kit.App.Subscribe(t.Context(), room, broker.WithRewind(5))
	require.NoError(t, err)
	defer rewound.Close()
	for ev, err := range rewound.Events() {
		require.NoError(t, err)
		assert.Equal(t, "other secret!", string(ev.Data))
		assert.EqualValues(t, 3, ev.Version)
		break
	}
	var texts []string
	for ev, err := range sub.Events() {
		require.NoError(t, err)
		if texts = append(texts, string(ev.Data)); len(texts) == 4 {
			break
		}
	}
	assert.Equal(t, []string{"secret", fmt.Sprintf(`{"id":%q,"version":1,"text":" more"}`, p.ID),
		fmt.Sprintf(`{"id":%q,"version":2,"data":"other secret"}`, p.ID), fmt.Sprintf(`{"id":%q,"version":3,"text":"!"}`, p.ID)}, texts)

	_, err = kit.App.Retract(t.Context(), room, p.ID)
	require.NoError(t, err)
	resumed, err := kit.App.Subscribe(t.Context(), room, broker.After(broker.Position{Epoch: p.Position.Epoch}))
	require.NoError(t, err)
	defer resumed.Close()
	n := 0
	for ev, err := range resumed.Events() {
		require.NoError(t, err)
		assert.Equal(t, "carillon:retracted", ev.Name)
		assert.Contains(t, string(ev.Data), p.ID)
		if n++; n == 5 {
			break
		}
	}
}

func TestAnEncryptedChannelNeedsItsKeyToAmend(t *testing.T) {
	b, err := broker.New(keeping(10))
	require.NoError(t, err)
	app := b.App("1")
	done, err := app.PublishBatch(t.Context(), []broker.PublishRequest{{Channel: "private-encrypted-room", Event: "message", Data: []byte("{}"), Sealed: true}})
	require.NoError(t, err)
	_, err = app.Edit(t.Context(), "private-encrypted-room", done[0].ID, []byte("x"))
	require.ErrorIs(t, err, broker.ErrNoCipher)
	_, err = app.Append(t.Context(), "private-encrypted-room", done[0].ID, []byte("x"))
	require.ErrorIs(t, err, broker.ErrNoCipher)
	_, err = app.Retract(t.Context(), "private-encrypted-room", done[0].ID)
	require.ErrorIs(t, err, broker.ErrNoCipher)
	require.NoError(t, b.Shutdown(t.Context()))
}

// What was missed comes as it was sent; what was never seen comes as it is now.
func TestThePastMeetsAmendments(t *testing.T) {
	kit := brokertest.New(t, broker.WithChannelRules(broker.ChannelRule{Pattern: "room", History: broker.Retention{Events: 10}, Rewind: 2},
		broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 10}}))
	before := publishTo(t, kit, "room", "before").Position
	one, two, three := publishTo(t, kit, "room", "one"), publishTo(t, kit, "room", "two"), publishTo(t, kit, "room", "three")
	amend := func(_ broker.Amended, err error) { require.NoError(t, err) }
	amend(kit.App.Append(t.Context(), "room", one.ID, []byte("+")))
	amend(kit.App.Edit(t.Context(), "room", two.ID, []byte("TWO")))
	amend(kit.App.Append(t.Context(), "room", two.ID, []byte("!")))
	amend(kit.App.Retract(t.Context(), "room", three.ID))

	var resumed []string
	sub, err := kit.App.Subscribe(t.Context(), "room", broker.After(before))
	require.NoError(t, err)
	defer sub.Close()
	last := before
	for ev, err := range sub.Events() {
		require.NoError(t, err)
		require.True(t, ev.Follows(last))
		last = ev.Position
		if resumed = append(resumed, ev.Name+" "+string(ev.Data)); len(resumed) == 7 {
			break
		}
	}
	assert.Equal(t, []string{"message one", "message two", fmt.Sprintf(`carillon:retracted {"id":%q,"version":1}`, three.ID),
		fmt.Sprintf(`carillon:appended {"id":%q,"version":1,"text":"+"}`, one.ID),
		fmt.Sprintf(`carillon:edited {"id":%q,"version":1,"data":"TWO"}`, two.ID),
		fmt.Sprintf(`carillon:appended {"id":%q,"version":2,"text":"!"}`, two.ID),
		fmt.Sprintf(`carillon:retracted {"id":%q,"version":1}`, three.ID)}, resumed)

	ann := kit.Connect(t)
	ann.Subscribe("room")
	assert.Equal(t, "TWO!", ann.Expect("message", "room").Data)
	ann.ExpectNothing()
	amend(kit.App.Append(t.Context(), "room", two.ID, []byte("?")))
	assert.Contains(t, ann.Expect("carillon:appended", "room").Data, `"version":3`)
	for channel, n := range map[string]int{"room": 4} {
		rewound, err := kit.App.Subscribe(t.Context(), channel, broker.WithRewind(n))
		require.NoError(t, err)
		var got []string
		for ev, err := range rewound.Events() {
			require.NoError(t, err)
			if got = append(got, string(ev.Data)); len(got) == 3 {
				break
			}
		}
		assert.Equal(t, []string{"before", "one+", "TWO!?"}, got)
		rewound.Close()
	}
}

func TestACacheChannelHasTheCurrentEvent(t *testing.T) {
	kit := brokertest.New(t)
	p := publishTo(t, kit, "cache-room", "one")
	for range 3 * storage.FillEvents {
		_, err := kit.App.Append(t.Context(), "cache-room", p.ID, []byte("+"))
		require.NoError(t, err)
	}
	want := "one" + strings.Repeat("+", 3*storage.FillEvents)
	ann := kit.Connect(t)
	ann.Subscribe("cache-room")
	assert.Equal(t, want, ann.Expect("message", "cache-room").Data)
	ann.ExpectNothing()
	ev, _, ok, err := kit.App.Cached(t.Context(), "cache-room")
	require.NoError(t, err)
	require.True(t, ok)
	assert.Equal(t, want, string(ev.Data))

	_, err = kit.App.Retract(t.Context(), "cache-room", p.ID)
	require.NoError(t, err)
	_, _, ok, err = kit.App.Cached(t.Context(), "cache-room")
	require.NoError(t, err)
	assert.False(t, ok)
	bob := kit.Connect(t)
	bob.Subscribe("cache-room")
	bob.Expect("pusher:cache_miss", "cache-room")
	bob.ExpectNothing()
}

// What is read for a rewind has amendments that are on their way to the subscriber.
func TestARewindDoesNotGetWhatItHasTwice(t *testing.T) {
	for range 20 {
		kit := brokertest.New(t, broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 10}, Rewind: 1}))
		p := publishTo(t, kit, "room", "")
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 50 {
				_, err := kit.App.Append(t.Context(), "room", p.ID, []byte("+"))
				assert.NoError(t, err)
			}
		})
		sub, err := kit.App.Subscribe(t.Context(), "room", broker.WithRewind(1))
		require.NoError(t, err)
		ann := kit.Connect(t)
		ann.Subscribe("room")
		wg.Wait()
		text := ann.Expect("message", "room").Data
		for len(text) < 50 {
			var said broker.AmendmentData
			require.NoError(t, json.Unmarshal([]byte(ann.Expect("carillon:appended", "room").Data), &said))
			text += *said.Text
			require.EqualValues(t, len(text), said.Version)
		}
		ann.ExpectNothing()
		text = ""
		for ev, err := range sub.Events() {
			require.NoError(t, err)
			if ev.Amends == 0 {
				text = string(ev.Data)
			} else {
				text += "+"
			}
			require.EqualValues(t, len(text), ev.Version)
			if len(text) == 50 {
				break
			}
		}
		sub.Close()
	}
}

func TestAStoreThatAmendsNothing(t *testing.T) {
	for _, store := range []storage.History{struct{ storage.History }{memory.New()},
		storagetest.NewFaults(struct{ storage.History }{memory.New()}, func(storagetest.Call) storagetest.Fault { return storagetest.Fault{} })} {
		kit := brokertest.New(t, broker.WithHistory(store), keeping(10))
		p := publishTo(t, kit, "room", "1")
		_, err := kit.App.Edit(t.Context(), "room", p.ID, []byte("2"))
		require.ErrorIs(t, err, errors.ErrUnsupported)
		assert.EqualValues(t, 0, kit.Broker.Stats().StoreErrors)
	}
}

func TestAnAmendmentWhoseStoreFails(t *testing.T) {
	broken := errors.New("broken")
	synctest.Test(t, func(t *testing.T) {
		var fault atomic.Pointer[storagetest.Fault]
		store := storagetest.NewFaults(memory.New(), func(c storagetest.Call) storagetest.Fault {
			if c.Op == storagetest.OpAmend {
				return *fault.Load()
			}
			return storagetest.Fault{}
		})
		kit := brokertest.New(t, broker.WithHistory(store), keeping(10))
		ann := kit.Connect(t)
		ann.Subscribe("room")
		p := publishTo(t, kit, "room", "a")
		ann.Expect("message", "room")
		append := func() (broker.Amended, error) {
			return kit.App.Append(t.Context(), "room", p.ID, []byte("b"), broker.OperationID("op"))
		}
		// Stored, but nobody is told: subscribers get what the history has all the same.
		fault.Store(&storagetest.Fault{Err: broken, Taken: true})
		_, err := append()
		require.ErrorIs(t, err, broken)
		synctest.Wait()
		ann.Expect("carillon:appended", "room")
		fault.Store(&storagetest.Fault{Hang: true})
		_, err = append()
		require.ErrorIs(t, err, storage.ErrOutcomeUnknown)
		var late *broker.StoreTimeoutError
		require.ErrorAs(t, err, &late)
		fault.Store(&storagetest.Fault{})
		done, err := append()
		require.NoError(t, err)
		assert.True(t, done.Duplicate)
		ann.ExpectNothing()
		assert.Equal(t, []string{"message ab"}, historyOf(t, kit, "room"))
		require.NoError(t, kit.Broker.Shutdown(t.Context()))
	})
}

func TestPreparedAmendmentsGoOutWhenTheyAreAppended(t *testing.T) {
	store := memory.New(memory.WithShared())
	var told []string
	kit := brokertest.New(t, broker.WithHistory(store), keeping(10), broker.WithHooks(broker.Hooks{
		Published: func(_ context.Context, c broker.EventChange) { told = append(told, c.Event.Name) },
	}))
	ann := kit.Connect(t)
	ann.Subscribe("room")
	p := publishTo(t, kit, "room", "a")
	ann.Expect("message", "room")
	commit := func(p storage.Prepared, err error) error {
		require.NoError(t, err)
		require.NotNil(t, p.Amendment)
		assert.Same(t, p.Event, p.Amendment.Event)
		_, err = store.Amend(t.Context(), p.Channel, *p.Amendment)
		return err
	}
	require.NoError(t, commit(kit.App.PrepareAppend(t.Context(), "room", p.ID, []byte("b"))))
	ann.Expect("carillon:appended", "room")
	require.NoError(t, commit(kit.App.PrepareEdit(t.Context(), "room", p.ID, []byte("c"))))
	ann.Expect("carillon:edited", "room")
	early, err := kit.App.PrepareEdit(t.Context(), "room", p.ID, []byte("d"))
	require.NoError(t, err)
	require.NoError(t, commit(kit.App.PrepareRetract(t.Context(), "room", p.ID)))
	ann.Expect("carillon:retracted", "room")
	require.ErrorIs(t, commit(early, nil), storage.ErrRetracted)
	_, err = kit.App.PrepareEdit(t.Context(), "room", "other", []byte("d"))
	require.ErrorIs(t, err, storage.ErrNoTarget)
	require.NoError(t, kit.Broker.Shutdown(t.Context()))
	assert.Equal(t, []string{"message", "carillon:appended", "carillon:edited", "carillon:retracted"}, told)
}

// A rewind is of the last events that there were: retracted ones count, and are not sent.
func TestARewindLeavesOutWhatWasRetracted(t *testing.T) {
	kit := brokertest.New(t, keeping(10))
	for _, data := range []string{"1", "2", "3", "4", "5"} {
		p := publishTo(t, kit, "room", data)
		if data == "4" {
			_, err := kit.App.Retract(t.Context(), "room", p.ID)
			require.NoError(t, err)
		}
	}
	sub, err := kit.App.Subscribe(t.Context(), "room", broker.WithRewind(3))
	require.NoError(t, err)
	defer sub.Close()
	publishTo(t, kit, "room", "last")
	var got []string
	for ev, err := range sub.Events() {
		require.NoError(t, err)
		if got = append(got, string(ev.Data)); got[len(got)-1] == "last" {
			break
		}
	}
	assert.Equal(t, []string{"3", "5", "last"}, got)
}
