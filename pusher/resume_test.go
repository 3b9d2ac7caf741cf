package pusher_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
	"github.com/carillon-rt/carillon/storage/storagetest"
	"github.com/carillon-rt/carillon/transport"
)

// keeping is a rule for all channels that keeps what tests publish.
func keeping(rule broker.ChannelRule) broker.Option {
	rule.Pattern = "*"
	if rule.History.Events == 0 {
		rule.History.Events = 100
	}
	return broker.WithChannelRules(rule)
}

// frame is what a client that keeps positions reads of a message.
type frame struct {
	Event, Channel string
	Data           any
	Pos, Prev      string
	Resume         *struct {
		Status string
		Missed int
	}
}

func frameOf(t *testing.T, raw string) frame {
	t.Helper()
	var f frame
	require.NoError(t, json.Unmarshal([]byte(raw), &f), raw)
	return f
}

// resumer is a client that keeps positions on one channel, and checks that each is the
// next.
type resumer struct {
	t       *testing.T
	kit     *brokertest.Kit
	channel string
	c       *brokertest.Client
	last    string
	sockets []string
	got     []any // data of events, in their order
}

func newResumer(t *testing.T, kit *brokertest.Kit, channel string) *resumer {
	r := &resumer{t: t, kit: kit, channel: channel}
	r.connect()
	return r
}

// connect connects as a new connection of the same page.
func (r *resumer) connect() {
	r.t.Helper()
	if r.c != nil {
		r.c.Close()
		r.sockets = append([]string{r.c.SocketID()}, r.sockets...)
	}
	r.c = r.kit.Connect(r.t)
	if user, ok := strings.CutPrefix(r.channel, "#server-to-user-"); ok {
		r.c.SignIn(user)
	}
}

// ask sends a subscription with this after; "" leaves it out.
func (r *resumer) ask(after string) {
	r.t.Helper()
	resume := map[string]any{"v": 1}
	if after != "" {
		resume["after"] = after
	}
	if len(r.sockets) > 0 {
		resume["sockets"] = r.sockets
	}
	r.send(resume)
}

// send sends a subscription with this "resume", or without for nil.
func (r *resumer) send(resume map[string]any) {
	r.t.Helper()
	data := map[string]any{"channel": r.channel, "auth": ""}
	if resume != nil {
		data["resume"] = resume
	}
	switch kind := broker.KindOf(r.channel); {
	case kind.Base() == broker.Presence:
		member := `{"user_id":"ann"}`
		data["channel_data"], data["auth"] = member, r.c.Auth(r.channel, member)
	case kind.NeedsAuthorization():
		data["auth"] = r.c.Auth(r.channel, "")
	}
	message, err := json.Marshal(map[string]any{"event": "pusher:subscribe", "data": data})
	require.NoError(r.t, err)
	r.c.Write(string(message))
}

// subscribe subscribes where the client left off, and returns how that began.
func (r *resumer) subscribe() (status string, missed int) {
	r.t.Helper()
	r.ask(r.last)
	f := frameOf(r.t, r.c.Expect("pusher_internal:subscription_succeeded", r.channel).Raw)
	require.NotNil(r.t, f.Resume, "%v", f)
	r.last = f.Pos
	return f.Resume.Status, f.Resume.Missed
}

// read reads so many frames with positions, and no more.
func (r *resumer) read(frames int) {
	r.t.Helper()
	for range frames {
		r.take(r.c.Next())
	}
	r.c.ExpectNothing()
}

func (r *resumer) take(raw brokertest.Frame) {
	r.t.Helper()
	f := frameOf(r.t, raw.Raw)
	if f.Event == "pusher_internal:position" {
		assert.Equal(r.t, "{}", f.Data)
	} else {
		r.got = append(r.got, f.Data)
	}
	if f.Pos != "" {
		require.True(r.t, follows(r.t, f, r.last), "%s does not follow %s", raw.Raw, r.last)
		r.last = f.Pos
	}
}

// follows is the rule of clients, who otherwise take positions as they are.
func follows(t *testing.T, f frame, last string) bool {
	t.Helper()
	if last == "" || f.Prev == last {
		return true
	}
	at, err := storage.ParsePosition(f.Pos)
	require.NoError(t, err)
	if f.Prev == "" {
		return last == storage.Position{Epoch: at.Epoch, Offset: at.Offset - 1}.String()
	}
	return last == storage.Position{Epoch: at.Epoch}.String() && !strings.HasPrefix(f.Prev, at.Epoch.String())
}

func (r *resumer) publish(data string, opts ...broker.PublishOption) {
	r.t.Helper()
	_, err := r.kit.App.Publish(r.t.Context(), r.channel, "message", []byte(data), opts...)
	require.NoError(r.t, err)
}

// Of every kind of channel a page gets what it has missed, once and in order.
func TestEveryKindOfChannelIsResumed(t *testing.T) {
	for _, channel := range []string{"room", "private-room", "presence-room", "private-encrypted-room", "cache-room",
		"private-cache-room", "presence-cache-room", "private-encrypted-cache-room", "#server-to-user-ann"} {
		t.Run(channel, func(t *testing.T) {
			kit := brokertest.New(t, keeping(broker.ChannelRule{}))
			r := newResumer(t, kit, channel)
			status, missed := r.subscribe()
			assert.Equal(t, "fresh", status)
			assert.Zero(t, missed)
			require.NotEmpty(t, r.last, "an empty channel has a position, or a gap from its beginning goes unseen")
			if broker.KindOf(channel).Cache() {
				r.c.Expect("pusher:cache_miss", channel)
			}
			r.publish("1")
			r.read(1)
			r.connect()
			for range 3 {
				r.publish("2")
			}
			status, missed = r.subscribe()
			assert.Equal(t, "resumed", status)
			assert.Equal(t, 3, missed)
			r.read(3) // and neither the cached event nor a miss
			r.publish("5")
			r.read(1)

			r.connect()
			status, missed = r.subscribe()
			assert.Equal(t, "resumed", status, "with nothing missed")
			assert.Zero(t, missed)
			r.read(0)
			r.publish("6")
			r.read(1)
			assert.Len(t, r.got, 6)
			if broker.KindOf(channel).Base() != broker.Encrypted {
				assert.Equal(t, []any{"1", "2", "2", "2", "5", "6"}, r.got)
			} else {
				assert.Contains(t, r.got[0], "ciphertext")
			}
		})
	}
}

// What a page has sent itself, over any of its connections, is neither sent to it again
// nor missing.
func TestOwnEventsAreLeftOutOfWhatIsReplayed(t *testing.T) {
	kit := brokertest.New(t, keeping(broker.ChannelRule{}))
	r := newResumer(t, kit, "private-room")
	other := newResumer(t, kit, "private-room")
	r.subscribe()
	other.subscribe()

	r.publish("1", broker.Exclude(r.c.SocketID()))
	r.read(1) // its position
	other.read(1)
	r.c.Trigger("private-room", "client-typing", "2")
	r.read(1)
	other.read(1)
	assert.Empty(t, r.got)
	assert.Equal(t, []any{"1", "2"}, other.got)

	// The page posts with the socket ID it had, and then with the one before.
	first := r.c.SocketID()
	r.connect()
	r.connect()
	second := r.sockets[0]
	r.publish("3")
	r.publish("4", broker.Exclude(second))
	r.publish("5", broker.Exclude(first))
	r.publish("6")
	r.publish("7", broker.Exclude(first))
	status, missed := r.subscribe()
	assert.Equal(t, "resumed", status)
	assert.Equal(t, 2, missed, "those that follow")
	r.read(4) // 3, a position for 4 and 5, 6, a position for 7
	assert.Equal(t, []any{"3", "6"}, r.got)
	r.publish("8", broker.Exclude(other.c.SocketID()))
	r.read(1)
	assert.Equal(t, []any{"3", "6", "8"}, r.got)

	// A request that was slow names the socket of then though the page has another.
	r.publish("9", broker.Exclude(first))
	r.publish("10")
	r.read(2) // a position for 9, 10
	assert.Equal(t, []any{"3", "6", "8", "10"}, r.got)

	// Who does not name its sockets gets all.
	other.connect()
	other.sockets = nil
	status, missed = other.subscribe()
	assert.Equal(t, "resumed", status)
	assert.Equal(t, 8, missed)
}

// Only the first of many sockets count, and what is none is ignored.
func TestSocketsThatAreNone(t *testing.T) {
	kit := brokertest.New(t, keeping(broker.ChannelRule{}))
	for sockets, want := range map[string][]any{
		`["1.1"]`:                       {"b"},
		`["x","",7]`:                    {"a", "b"},
		`["x","2.2","3.3"]`:             {"a", "b"},
		`"1.1"`:                         {"a", "b"},
		`["2","3","4","5","6","1.1"]`:   {"a", "b"},
		`["2.2","3","4","5","1.1","6"]`: {"b"},
		`null`:                          {"a", "b"},
	} {
		t.Run(sockets, func(t *testing.T) {
			r := newResumer(t, kit, fmt.Sprintf("room-%x", sockets[:min(len(sockets), 60)]))
			r.subscribe()
			r.connect()
			r.publish("a", broker.Exclude("1.1"))
			r.publish("b")
			r.c.Write(fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":%q,"resume":{"v":1,"after":%q,"sockets":%s}}}`, r.channel, r.last, sockets))
			f := frameOf(t, r.c.Expect("pusher_internal:subscription_succeeded", r.channel).Raw)
			assert.Equal(t, "resumed", f.Resume.Status)
			r.read(2)
			assert.Equal(t, want, r.got)
		})
	}
}

// What is no position of the channel is a gap, and the page is subscribed all the same.
func TestWhatIsNoPositionIsAGap(t *testing.T) {
	kit := brokertest.New(t, keeping(broker.ChannelRule{History: broker.Retention{Events: 3}, Rewind: 2}))
	r := newResumer(t, kit, "room")
	r.subscribe()
	empty := r.last
	for i := range 5 {
		r.publish(fmt.Sprint(i))
	}
	r.read(5)
	last := r.last
	foreign := storage.Position{Epoch: storage.NewEpoch(storage.Epoch{}), Offset: 1}.String()
	for name, after := range map[string]string{
		"malformed": `"hello"`, "a number": `17`, "an object": `{}`, "a list": `["` + last + `"]`, "true": `true`,
		"with a half of a pair": `"\ud800"`, "of an epoch only": `"` + last[:22] + `"`,
		"foreign": `"` + foreign + `"`, "too long": `"` + last + strings.Repeat("0", 100) + `"`,
		"past the end": `"` + last + `9"`, "no longer kept": `"` + empty + `"`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newResumer(t, kit, "room")
			r.c.Write(`{"event":"pusher:subscribe","data":{"channel":"room","auth":"","resume":{"v":1,"after":` + after + `}}}`)
			f := frameOf(t, r.c.Expect("pusher_internal:subscription_succeeded", "room").Raw)
			require.NotNil(t, f.Resume)
			assert.Equal(t, "gap", f.Resume.Status)
			r.last = f.Pos
			r.read(2)
			assert.Equal(t, []any{"3", "4"}, r.got, "as who has just come")
			assert.Equal(t, last, r.last)
		})
	}
	assert.EqualValues(t, 11, kit.Broker.Stats().ResumeGaps)
	assert.Zero(t, kit.Broker.Stats().Resumed)
}

// A version that the server does not know is as if nothing was asked for.
func TestAnUnknownVersionIsAsIfAbsent(t *testing.T) {
	kit := brokertest.New(t, keeping(broker.ChannelRule{}))
	r := newResumer(t, kit, "room")
	r.subscribe()
	for _, resume := range []string{`{"v":2,"after":"` + r.last + `"}`, `{}`, `{"v":"1"}`, `{"v":1.0}`, `{"after":"x"}`, `7`, `null`, `"v"`, `[1]`, `true`} {
		c := kit.Connect(t)
		c.Write(`{"event":"pusher:subscribe","data":{"channel":"room","resume":` + resume + `}}`)
		assert.Equal(t, `{"event":"pusher_internal:subscription_succeeded","channel":"room","data":"{}"}`, c.Next().Raw, resume)
		r.publish("x")
		assert.Equal(t, `{"event":"message","channel":"room","data":"x"}`, c.Next().Raw, resume)
		c.Write(`{"event":"pusher:subscribe","data":{"channel":"room","resume":` + resume + `}}`)
		c.Expect("pusher:error", "")
		c.Close()
	}
}

// Positions are asked for on one subscription, and not on the connection.
func TestPositionsAreOnOneSubscriptionOnly(t *testing.T) {
	kit := brokertest.New(t, keeping(broker.ChannelRule{}))
	r := newResumer(t, kit, "a")
	r.subscribe()
	r.c.Subscribe("b")
	_, err := kit.App.Publish(t.Context(), "b", "message", []byte("x"))
	require.NoError(t, err)
	assert.Equal(t, `{"event":"message","channel":"b","data":"x"}`, r.c.Next().Raw)
	r.publish("y")
	r.read(1)
	assert.NotEmpty(t, r.last)
}

// A channel that keeps nothing has no positions, and what is not kept has none.
func TestWhatIsNotKeptHasNoPosition(t *testing.T) {
	kit := brokertest.New(t, broker.WithChannelRules(broker.ChannelRule{Pattern: "private-kept",
		History: broker.Retention{Events: 10}, SkipClientEvents: true}))
	r := newResumer(t, kit, "nothing")
	status, _ := r.subscribe()
	assert.Equal(t, "fresh", status)
	assert.Empty(t, r.last)
	r.publish("1")
	assert.Equal(t, `{"event":"message","channel":"nothing","data":"1"}`, r.c.Next().Raw)

	kept, sender := newResumer(t, kit, "private-kept"), newResumer(t, kit, "private-kept")
	kept.subscribe()
	sender.subscribe()
	sender.c.Trigger("private-kept", "client-typing", "x")
	assert.Equal(t, `{"event":"client-typing","channel":"private-kept","data":"x"}`, kept.c.Next().Raw)
	sender.c.ExpectNothing()
}

// A second subscription that asks for positions begins anew where the page has noticed a
// hole; nobody else hears of it.
func TestASecondSubscriptionIsAResync(t *testing.T) {
	for _, channel := range []string{"room", "presence-room", "cache-room"} {
		t.Run(channel, func(t *testing.T) {
			var hooks []string
			kit := brokertest.New(t, keeping(broker.ChannelRule{}), broker.WithHooks(broker.Hooks{
				Subscribed:   func(_ context.Context, c broker.SubscriptionChange) { hooks = append(hooks, "subscribed") },
				Unsubscribed: func(_ context.Context, c broker.SubscriptionChange) { hooks = append(hooks, "unsubscribed") },
				MemberJoined: func(_ context.Context, c broker.MemberChange) { hooks = append(hooks, "joined") },
				MemberLeft:   func(_ context.Context, c broker.MemberChange) { hooks = append(hooks, "left") },
			}))
			r := newResumer(t, kit, channel)
			if channel == "cache-room" {
				r.publish("0")
			}
			watcher := kit.Connect(t)
			if channel == "presence-room" {
				watcher.SubscribeAs(channel, "ben", "")
			} else {
				watcher.Subscribe(channel)
			}
			if channel == "cache-room" {
				watcher.Expect("message", channel)
			}
			r.subscribe()
			if channel == "presence-room" {
				watcher.Expect("pusher_internal:member_added", channel)
			} else if channel == "cache-room" {
				r.read(1)
			}
			r.publish("1")
			r.read(1)
			hole := r.last
			r.publish("2")
			r.publish("3")
			r.c.Next()
			r.c.Next() // which are lost
			for range 3 {
				watcher.Expect("message", channel)
			}
			r.last, r.got = hole, nil
			status, missed := r.subscribe()
			assert.Equal(t, "resumed", status)
			assert.Equal(t, 2, missed)
			r.read(2)
			assert.Equal(t, []any{"2", "3"}, r.got)
			r.publish("4")
			r.read(1)
			watcher.Expect("message", channel)
			watcher.ExpectNothing()

			// Without positions it is refused as ever, and harms nothing.
			r.send(nil)
			expectError(t, r.c, 0, "Existing subscription to channel "+channel)
			r.publish("5")
			r.read(1)
			info, err := kit.App.Channel(t.Context(), channel)
			require.NoError(t, err)
			assert.Equal(t, 2, info.SubscriptionCount)
			r.c.Unsubscribe(channel)
			r.publish("6")
			r.c.ExpectNothing()
			require.NoError(t, kit.Broker.Shutdown(t.Context()))
			assert.Len(t, slices.DeleteFunc(hooks, func(h string) bool { return h != "subscribed" && h != "unsubscribed" }), 4)
		})
	}
}

// A resync that is refused changes nothing, and one as another member is refused.
func TestAResyncIsAuthorizedAnew(t *testing.T) {
	allowed := true
	kit := brokertest.New(t, keeping(broker.ChannelRule{}), broker.WithHooks(broker.Hooks{
		Subscribe: func(context.Context, *broker.SubscribeRequest) error {
			if !allowed {
				return broker.Refuse(403, "not any more")
			}
			return nil
		}}))
	r := newResumer(t, kit, "presence-room")
	r.subscribe()
	eve := `{"user_id":"eve"}`
	r.c.Write(fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":"presence-room","auth":%q,"channel_data":%q,"resume":{"v":1}}}`, r.c.Auth("presence-room", eve), eve))
	expectError(t, r.c, 0, "Existing subscription")
	r.c.Write(`{"event":"pusher:subscribe","data":{"channel":"presence-room","auth":"test-key:00","channel_data":"{\"user_id\":\"ann\"}","resume":{"v":1}}}`)
	expectSubscriptionError(t, r.c, "presence-room", "AuthError", 401, "invalid signature")
	expectError(t, r.c, 0, "Invalid signature")
	allowed = false
	r.ask(r.last)
	expectSubscriptionError(t, r.c, "presence-room", "AuthError", 403, "not any more")
	r.publish("1")
	r.read(1)
}

// A rule bounds what can be read with a position that somebody has made up.
func TestARuleBoundsHowFarBackAPositionReaches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			reach  broker.Reach
			missed int
			signIn bool
			status string
		}{
			"all":                  {status: "resumed", missed: 9},
			"as many as it says":   {reach: broker.Reach{Events: 9}, status: "resumed", missed: 9},
			"more than it says":    {reach: broker.Reach{Events: 8}, status: "gap", missed: 9},
			"fewer, of many":       {reach: broker.Reach{Events: 8}, status: "resumed", missed: 8},
			"young enough":         {reach: broker.Reach{Age: time.Minute}, status: "resumed", missed: 4},
			"too old":              {reach: broker.Reach{Age: time.Minute}, status: "gap", missed: 5},
			"nobody":               {reach: broker.Reach{Readers: broker.NoSubscriber}, status: "gap", missed: 1},
			"only users":           {reach: broker.Reach{Readers: broker.OnlyUsers}, status: "gap", missed: 1},
			"only users, and is":   {reach: broker.Reach{Readers: broker.OnlyUsers}, status: "resumed", missed: 9, signIn: true},
			"nobody, nothing lost": {reach: broker.Reach{Readers: broker.NoSubscriber}, status: "gap"},
		} {
			kit := brokertest.New(t, keeping(broker.ChannelRule{Reach: test.reach}))
			r := newResumer(t, kit, "room")
			r.subscribe()
			positions := []string{r.last}
			for i := range 9 {
				if i == 5 {
					time.Sleep(2 * time.Minute)
				}
				r.publish("x")
				r.read(1)
				positions = append(positions, r.last)
			}
			forged := kit.Connect(t)
			if test.signIn {
				forged.SignIn("ann")
			}
			forged.Write(`{"event":"pusher:subscribe","data":{"channel":"room","resume":{"v":1,"after":"` + positions[9-test.missed] + `"}}}`)
			f := frameOf(t, forged.Next().Raw)
			assert.Equal(t, test.status, f.Resume.Status, name)
			if test.status == "gap" {
				assert.Equal(t, r.last, f.Pos, name)
				forged.ExpectNothing()
			} else {
				assert.Equal(t, test.missed, f.Resume.Missed, name)
			}
		}
	})
}

// A hook sees where a client wants to go on, and may take it away or bound it.
func TestAHookBoundsHowFarBackAPositionReaches(t *testing.T) {
	for _, test := range []struct {
		name, status string
		hook         func(*broker.SubscribeRequest)
	}{
		{"it takes the position away", "gap", func(r *broker.SubscribeRequest) { r.After = nil }},
		{"it allows fewer", "gap", func(r *broker.SubscribeRequest) { r.Reach.Events = 1 }},
		{"it allows nobody", "gap", func(r *broker.SubscribeRequest) { r.Reach.Readers = broker.NoSubscriber }},
		{"it cannot change what is spoken", "resumed", func(r *broker.SubscribeRequest) { r.Protocol, r.Again, r.Sockets = nil, false, []string{"1.1"} }},
	} {
		var after *broker.Position
		kit := brokertest.New(t, keeping(broker.ChannelRule{}), broker.WithHooks(broker.Hooks{
			Subscribe: func(_ context.Context, r *broker.SubscribeRequest) error {
				if after = r.After; after != nil {
					test.hook(r)
				}
				return nil
			}}))
		r := newResumer(t, kit, "room")
		r.subscribe()
		assert.Nil(t, after)
		r.connect()
		r.publish("1", broker.Exclude("1.1"))
		r.publish("2")
		asked := r.last
		status, _ := r.subscribe()
		assert.Equal(t, test.status, status, test.name)
		require.NotNil(t, after)
		assert.Equal(t, asked, after.String())
		if status == "resumed" {
			r.read(2)
		}
		r.publish("3")
		r.read(1)
	}
}

// A page that is refused does not ask again until it reconnects: where a store fails it is
// made to, after a while.
func TestAStoreThatFailsClosesWhoResumes(t *testing.T) {
	for _, again := range []bool{false, true} {
		var broken atomic.Bool
		kit := brokertest.New(t, keeping(broker.ChannelRule{}), broker.WithHistory(storagetest.NewFaults(memory.New(), func(c storagetest.Call) (f storagetest.Fault) {
			if broken.Load() && c.Op == storagetest.OpRead {
				f.Err = errAway
			}
			return f
		})))
		r := newResumer(t, kit, "room")
		r.subscribe()
		if !again {
			r.connect()
		}
		last := r.last
		r.publish("1")
		if again {
			r.c.Next()
		}
		broken.Store(true)
		r.ask(last)
		expectError(t, r.c, 4100, "internal error")
		assert.Equal(t, 4100, r.c.CloseCode())

		broken.Store(false)
		r.connect()
		status, missed := r.subscribe()
		assert.Equal(t, "resumed", status)
		assert.Equal(t, 1, missed)
	}
}

// So it is where members are kept by a store that fails.
func TestAPresenceStoreThatFailsClosesWhoResumes(t *testing.T) {
	kit := brokertest.New(t, keeping(broker.ChannelRule{}), broker.WithPresence(&brokenPresence{memory.New()}))
	r := newResumer(t, kit, "presence-room")
	r.ask("")
	expectError(t, r.c, 4100, "internal error")
	assert.Equal(t, 4100, r.c.CloseCode())
}

// Whoever asked for positions is told of what the subscribers of a channel have missed.
func TestGapsAreToldToThoseWhoKeepPositions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := storagetest.NewEngine(false)
		kit := brokertest.New(t, keeping(broker.ChannelRule{History: broker.Retention{Events: 1}}), broker.WithHistory(engine))
		r := newResumer(t, kit, "room")
		plain := kit.Connect(t)
		plain.Subscribe("room")
		r.subscribe()
		r.publish("1")
		r.read(1)
		plain.Expect("message", "room")
		copied := engine.Copy()
		r.publish("lost")
		r.read(1)
		plain.Expect("message", "room")
		engine.Restore(copied)
		r.publish("2")
		time.Sleep(time.Minute)
		gap := frameOf(t, r.c.Expect("pusher_internal:gap", "room").Raw)
		assert.Equal(t, "{}", gap.Data)
		r.last = gap.Pos
		r.read(1)
		assert.Equal(t, []any{"1", "lost", "2"}, r.got)
		assert.Equal(t, `{"event":"message","channel":"room","data":"2"}`, plain.Next().Raw, "who cannot be told goes on")
		plain.ExpectNothing()

		// The lost event's position cannot be gone on from, and the new one can.
		lost := r.last
		r.connect()
		status, _ := r.subscribe()
		assert.Equal(t, "resumed", status)
		r.publish("3")
		r.read(1)
		assert.NotEqual(t, lost, r.last)
	})
}

// Positions go on across epochs, and where offsets have holes.
func TestPositionsGoOnAcrossEpochs(t *testing.T) {
	for _, holes := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			engine := storagetest.NewEngine(holes)
			kit := brokertest.New(t, keeping(broker.ChannelRule{}), broker.WithHistory(engine))
			r := newResumer(t, kit, "room")
			r.subscribe()
			var want []any
			publish := func() {
				data := fmt.Sprint(len(want))
				r.publish(data)
				want = append(want, data)
			}
			for range 3 {
				publish()
				publish()
				r.read(2)
				engine.Restart()
				publish()
				r.read(1) // of a new epoch, to who was there
				r.connect()
				publish()
				engine.Restart()
				publish()
				status, missed := r.subscribe()
				assert.Equal(t, "resumed", status)
				assert.Equal(t, 2, missed)
				r.read(2)
				r.connect()
				engine.Restart()
				status, _ = r.subscribe() // to an epoch without events
				assert.Equal(t, "resumed", status)
			}
			publish()
			r.read(1)
			assert.Equal(t, want, r.got)
		})
	}
}

// An event is encoded once for all who asked for positions, and once for all others.
func TestPositionsAreEncodedOnceForAllWhoAsked(t *testing.T) {
	kit := brokertest.New(t, keeping(broker.ChannelRule{}))
	var conns []*memoryConn
	for range 3 {
		for _, resume := range []string{"", `,"resume":{"v":1}`} {
			c := dialCounted(t, kit)
			c.receive(`{"event":"pusher:subscribe","data":{"channel":"room"` + resume + `}}`)
			conns = append(conns, c)
		}
	}
	_, err := kit.App.Publish(t.Context(), "room", "message", []byte("x"))
	require.NoError(t, err)
	distinct := make(map[*transport.Message]int)
	for _, c := range conns {
		distinct[c.last]++
	}
	assert.Len(t, distinct, 2)
	for m, n := range distinct {
		assert.Equal(t, 3, n, "%s", m.Payload())
	}
}

// memoryConn is a connection that notes what is sent to it.
type memoryConn struct {
	receiver transport.Receiver
	last     *transport.Message
}

func dialCounted(t *testing.T, kit *brokertest.Kit) *memoryConn {
	c := new(memoryConn)
	c.receiver = kit.Handler.Open(t.Context(), pusher.Dial{Key: kit.Config.Key, Protocol: "7"})(c)
	t.Cleanup(func() { c.receiver.Closed(1000, nil) })
	return c
}

func (c *memoryConn) receive(message string) { c.receiver.Receive([]byte(message)) }

// Send implements transport.Conn.
func (c *memoryConn) Send(m *transport.Message) error { c.last = m; return nil }

// Close implements transport.Conn.
func (c *memoryConn) Close(int, string) {}

// Info implements transport.Conn.
func (c *memoryConn) Info() transport.Info { return transport.Info{Transport: "test"} }

// LastReceived implements transport.Conn.
func (c *memoryConn) LastReceived() time.Time { return time.Now() }

// Queue implements transport.Conn.
func (c *memoryConn) Queue() transport.Queue {
	return transport.Queue{MessageLimit: transport.DefaultQueueMessages, ByteLimit: transport.DefaultQueueBytes}
}
