package broker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/presence"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
)

// handle is how one process reaches a store that others use as well.
type handle struct {
	*memory.Store
	dead  atomic.Bool                                                         // nothing reaches the store any more
	mute  bool                                                                // the store cannot notify
	fault func(c storage.PresenceChange, notify func(storage.PresenceChange)) // what becomes of a notification
}

var errDead = errors.New("store is out of reach")

func (h *handle) err() error {
	if h.dead.Load() {
		return errDead
	}
	return nil
}

func (h *handle) Join(ctx context.Context, ch storage.ChannelID, conn storage.Connection, m storage.Member, opts storage.JoinOptions) (storage.Joined, error) {
	if err := h.err(); err != nil {
		return storage.Joined{}, err
	}
	return h.Store.Join(ctx, ch, conn, m, opts)
}

func (h *handle) Leave(ctx context.Context, ch storage.ChannelID, conn storage.Connection) (storage.Departure, error) {
	if err := h.err(); err != nil {
		return storage.Departure{}, err
	}
	return h.Store.Leave(ctx, ch, conn)
}

func (h *handle) Renew(ctx context.Context, node string, lease time.Duration) (bool, error) {
	if err := h.err(); err != nil {
		return false, err
	}
	return h.Store.Renew(ctx, node, lease)
}

func (h *handle) Expire(ctx context.Context) ([]storage.Departure, error) {
	if err := h.err(); err != nil {
		return nil, err
	}
	return h.Store.Expire(ctx)
}

func (h *handle) Counts(ctx context.Context, channels []storage.ChannelID) ([]storage.Count, error) {
	if err := h.err(); err != nil {
		return nil, err
	}
	return h.Store.Counts(ctx, channels)
}

func (h *handle) WatchPresence(ctx context.Context, notify func(storage.PresenceChange)) error {
	if h.mute {
		notify(storage.PresenceChange{})
		<-ctx.Done()
		return ctx.Err()
	}
	return h.Store.WatchPresence(ctx, func(c storage.PresenceChange) {
		switch {
		case h.dead.Load():
		case h.fault != nil:
			h.fault(c, notify)
		default:
			notify(c)
		}
	})
}

// deaf hides that a store can notify.
type deaf struct{ storage.Presence }

func (d deaf) Capabilities() storage.Capabilities { return storage.CapabilitiesOf(d.Presence) }

// process is a broker on a store that others use as well.
type process struct {
	*brokertest.Kit
	store *handle
}

// told notes what hooks are told on all processes together.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (h *told) add(line string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, line)
}

func (h *told) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	lines := slices.Clone(h.lines)
	h.lines = nil
	return lines
}

func (h *told) hooks() broker.Hooks {
	return broker.Hooks{
		MemberJoined: func(_ context.Context, c broker.MemberChange) { h.add("+" + c.Member.UserID) },
		MemberLeft:   func(_ context.Context, c broker.MemberChange) { h.add("-" + c.Member.UserID) },
		UserOnline:   func(_ context.Context, c broker.UserChange) { h.add("online " + c.UserID) },
		UserOffline:  func(_ context.Context, c broker.UserChange) { h.add("offline " + c.UserID) },
	}
}

func newProcess(t *testing.T, store *handle, hooks *told, opts ...broker.Option) *process {
	return &process{brokertest.New(t, append([]broker.Option{broker.WithPresence(store), broker.WithHooks(hooks.hooks()),
		broker.WithLogger(slog.New(slog.DiscardHandler))}, opts...)...), store}
}

func expectMember(t *testing.T, c *brokertest.Client, event, userID string) {
	t.Helper()
	var m memberData
	c.Expect("pusher_internal:member_"+event, "presence-room").Decode(t, &m)
	assert.Equal(t, userID, m.UserID)
}

func TestTwoBrokersSeeEachOthersMembers(t *testing.T) {
	for name, wait := range map[string]time.Duration{"notified": 0, "asked": time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, hooks := memory.New(memory.WithShared()), new(told)
				var kits [2]*brokertest.Kit
				for i := range kits {
					var p storage.Presence = &handle{Store: store}
					if name == "asked" {
						p = deaf{p}
					}
					kits[i] = brokertest.New(t, broker.WithPresence(p), broker.WithHooks(hooks.hooks()))
				}
				settle := func() { time.Sleep(wait); synctest.Wait() }
				ann, bob, bob2, eve := kits[0].Connect(t), kits[1].Connect(t), kits[0].Connect(t), kits[1].Connect(t)
				var r roster
				ann.SubscribeAs("presence-room", "ann", "")
				bob.SubscribeAs("presence-room", "bob", `{"name":"Bob"}`).Decode(t, &r)
				assert.Equal(t, []string{"ann", "bob"}, r.Presence.IDs)
				settle()
				expectMember(t, ann, "added", "bob")

				bob2.SubscribeAs("presence-room", "bob", "").Decode(t, &r)
				assert.Equal(t, []string{"ann", "bob"}, r.Presence.IDs)
				assert.JSONEq(t, `{"name":"Bob"}`, string(r.Presence.Hash["bob"]))
				bob.Close()
				settle()
				ann.ExpectNothing()

				eve.SubscribeAs("presence-room", "eve", "").Decode(t, &r)
				assert.Equal(t, []string{"ann", "bob", "eve"}, r.Presence.IDs)
				settle()
				expectMember(t, ann, "added", "eve")
				expectMember(t, bob2, "added", "eve")
				bob2.Unsubscribe("presence-room")
				settle()
				expectMember(t, ann, "removed", "bob")
				expectMember(t, eve, "removed", "bob")
				ann.Close()
				settle()
				expectMember(t, eve, "removed", "ann")
				for _, c := range []*brokertest.Client{eve, bob2} {
					c.ExpectNothing()
				}
				info, err := kits[0].App.Channel(t.Context(), "presence-room")
				require.NoError(t, err)
				assert.Equal(t, 1, info.UserCount)
				assert.ElementsMatch(t, []string{"+ann", "+bob", "+eve", "-bob", "-ann"}, hooks.all(), "hooks are told by one of them")
			})
		})
	}
}

func TestAUserWhoIsOnlineElsewhereIsTold(t *testing.T) {
	for name, mute := range map[string]bool{"notified": false, "asked": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, hooks := memory.New(memory.WithShared()), new(told)
				here := newProcess(t, &handle{Store: store, mute: mute}, hooks)
				there := newProcess(t, &handle{Store: store, mute: mute}, hooks)
				settle := func() {
					if mute {
						time.Sleep(10 * time.Second)
					}
					synctest.Wait()
				}
				expect := func(c *brokertest.Client, event string, userIDs ...string) {
					t.Helper()
					assert.JSONEq(t, fmt.Sprintf(`{"events":[{"name":%q,"user_ids":["%s"]}]}`, event, strings.Join(userIDs, `","`)), c.Expect("pusher_internal:watchlist_events", "").Data)
				}
				watcher, late := here.Connect(t), there.Connect(t)
				watcher.SignIn("watcher", "ann", "bob")
				expect(watcher, "offline", "ann", "bob")
				ann, ann2 := there.Connect(t), here.Connect(t)
				ann.SignIn("ann")
				settle()
				expect(watcher, "online", "ann")
				ann2.SignIn("ann")
				ann.Close()
				settle()
				watcher.ExpectNothing()
				late.SignIn("late", "ann")
				expect(late, "online", "ann")
				ann2.Close()
				settle()
				expect(watcher, "offline", "ann")
				expect(late, "offline", "ann")
				assert.ElementsMatch(t, []string{"online watcher", "online ann", "online late", "offline ann"}, hooks.all())
			})
		})
	}
}

// A process that was killed says nothing: its members leave in 30 s, and that is
// told once.
func TestMembersOfAKilledProcessLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hooks := memory.New(memory.WithShared()), new(told)
		var all []*process
		for range 3 {
			all = append(all, newProcess(t, &handle{Store: store}, hooks))
		}
		var clients []*brokertest.Client
		for i, p := range all {
			c := p.Connect(t)
			c.SignIn(fmt.Sprint("user", i))
			clients = append(clients, c)
		}
		clients[0].SignIn("user0", "user2")
		clients[0].Expect("pusher_internal:watchlist_events", "")
		for i, c := range clients {
			c.SubscribeAs("presence-room", fmt.Sprint("user", i), "")
		}
		synctest.Wait()
		expectMember(t, clients[0], "added", "user1")
		expectMember(t, clients[0], "added", "user2")
		expectMember(t, clients[1], "added", "user2")
		hooks.all()
		time.Sleep(time.Hour)
		clients[0].ExpectNothing()

		all[2].store.dead.Store(true)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		got := map[string]bool{clients[0].Next().Event: true, clients[0].Next().Event: true}
		assert.Equal(t, map[string]bool{"pusher_internal:member_removed": true, "pusher_internal:watchlist_events": true}, got)
		expectMember(t, clients[1], "removed", "user2")
		assert.ElementsMatch(t, []string{"-user2", "offline user2"}, hooks.all(), "told once, by one of those that are left")
		time.Sleep(time.Hour)
		assert.Empty(t, hooks.all())

		// It was not dead after all: its clients are there, and are told so.
		all[2].store.dead.Store(false)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		expectMember(t, clients[1], "added", "user2")
		assert.ElementsMatch(t, []string{"+user2", "online user2"}, hooks.all())
		clients[2].Close()
		synctest.Wait()
		expectMember(t, clients[1], "removed", "user2")
		assert.ElementsMatch(t, []string{"-user2", "offline user2"}, hooks.all())
	})
}

// However notifications are lost, late, repeated and out of order, everybody is told
// a sequence that makes sense and ends with the truth.
func TestMembersWithABusThatLosesAndRepeats(t *testing.T) {
	for round := range 20 {
		synctest.Test(t, func(t *testing.T) {
			seed := rand.Uint64()
			defer func() {
				if t.Failed() {
					t.Logf("round %d, seed %d", round, seed)
				}
			}()
			random := rand.New(rand.NewPCG(seed, 0))
			var mu sync.Mutex
			chance := func(n int) int {
				mu.Lock()
				defer mu.Unlock()
				return random.IntN(n)
			}
			store, hooks := memory.New(memory.WithShared()), new(told)
			var all []*process
			var late sync.WaitGroup
			var calm atomic.Bool
			defer late.Wait()
			defer calm.Store(true)
			for range 3 {
				all = append(all, newProcess(t, &handle{Store: store, fault: func(c storage.PresenceChange, notify func(storage.PresenceChange)) {
					fate := chance(6)
					if calm.Load() {
						fate = 5
					}
					switch fate {
					case 0: // lost
					case 1:
						d := time.Duration(chance(3000)) * time.Millisecond
						late.Go(func() { time.Sleep(d); notify(c) })
					case 2:
						notify(c)
						notify(c)
					case 3:
						notify(storage.PresenceChange{Channel: c.Channel, Revision: c.Revision})
					default:
						notify(c)
					}
				}}, hooks))
			}
			type observer struct {
				*brokertest.Client
				there map[string]bool
			}
			var observers []*observer
			for _, p := range all {
				o := &observer{Client: p.Connect(t), there: map[string]bool{}}
				var r roster
				o.SubscribeAs("presence-room", "observer", "").Decode(t, &r)
				for _, id := range r.Presence.IDs {
					o.there[id] = true
				}
				observers = append(observers, o)
			}
			clients := map[*brokertest.Client]bool{}
			for range 60 {
				if len(clients) > 0 && chance(2) == 0 {
					for c := range clients {
						delete(clients, c)
						c.Close()
						break
					}
				} else {
					c := all[chance(len(all))].Connect(t)
					c.SubscribeAs("presence-room", fmt.Sprint("user", chance(5)), "")
					clients[c] = true
				}
				time.Sleep(time.Duration(chance(200)) * time.Millisecond)
			}
			late.Wait()
			time.Sleep(11 * time.Second)
			synctest.Wait()
			members, err := all[0].App.Members(t.Context(), "presence-room")
			require.NoError(t, err)
			want := map[string]bool{}
			for _, m := range members {
				want[m.UserID] = true
			}
			for _, o := range observers {
				o.Write(`{"event":"pusher:ping","data":{}}`)
				for f := o.Next(); f.Event != "pusher:pong"; f = o.Next() {
					var m memberData
					f.Decode(t, &m)
					added := f.Event == "pusher_internal:member_added"
					require.NotEqual(t, added, o.there[m.UserID], "%s of %s", f.Event, m.UserID)
					if added {
						o.there[m.UserID] = true
					} else {
						delete(o.there, m.UserID)
					}
				}
				assert.Equal(t, want, o.there)
			}
			net := map[string]int{}
			for _, line := range hooks.all() {
				if line[0] == '+' {
					net[line[1:]]++
				} else {
					net[line[1:]]--
				}
			}
			for id, n := range net {
				assert.Equal(t, want[id], n == 1, "hooks told %s to have come %d times more than gone", id, n)
			}
		})
	}
}

func TestALeaseThatCannotBeHadRefusesMembers(t *testing.T) {
	store := &handle{Store: memory.New(memory.WithShared())}
	p := newProcess(t, store, new(told))
	store.dead.Store(true)
	s := p.Broker.Session(p.Connect(t).SocketID())
	err := s.Subscribe(t.Context(), broker.SubscribeRequest{Channel: "presence-room", Authorized: true, Member: &broker.Member{UserID: "ann"}})
	require.ErrorIs(t, err, errDead)
	store.dead.Store(false)
	require.NoError(t, s.Subscribe(t.Context(), broker.SubscribeRequest{Channel: "presence-room", Authorized: true, Member: &broker.Member{UserID: "ann"}}))
	assert.Less(t, presence.Lease*4/3, 30*time.Second)
}

func TestOccupancyIsToldByOneOfAllBrokers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hooks := memory.New(memory.WithShared()), new(told)
		var all []*process
		for range 3 {
			all = append(all, newProcess(t, &handle{Store: store}, hooks, broker.WithHooks(broker.Hooks{
				ChannelOccupied: func(_ context.Context, c broker.ChannelChange) { hooks.add("occupied " + c.Channel) },
				ChannelVacated:  func(_ context.Context, c broker.ChannelChange) { hooks.add("vacated " + c.Channel) },
			})))
		}
		a, b, c := all[0].Connect(t), all[1].Connect(t), all[2].Connect(t)
		expect := func(lines ...string) {
			t.Helper()
			synctest.Wait()
			assert.ElementsMatch(t, lines, hooks.all())
		}
		a.Subscribe("room")
		expect("occupied room")
		b.Subscribe("room")
		c.Subscribe("other")
		c.Subscribe("room")
		expect("occupied other")
		a.Close()
		c.Close()
		expect("vacated other")
		b.Unsubscribe("room")
		expect("vacated room")
		for range 10 {
			b.Subscribe("room")
			b.Unsubscribe("room")
		}
		b.Subscribe("room")
		synctest.Wait()
		net := 0
		for _, line := range hooks.all() {
			if line == "occupied room" {
				net++
			} else {
				net--
			}
		}
		assert.Equal(t, 1, net, "what comes and goes is told in turn")

		// Killed, then back, then down in order.
		all[1].store.dead.Store(true)
		time.Sleep(30 * time.Second)
		expect("vacated room")
		all[1].store.dead.Store(false)
		time.Sleep(30 * time.Second)
		expect("occupied room")
		require.NoError(t, all[1].Broker.Shutdown(t.Context()))
		expect("vacated room")
	})
}

func TestOccupancyIsToldWhenTheStoreIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hooks := &handle{Store: memory.New(memory.WithShared())}, new(told)
		p := newProcess(t, store, hooks, broker.WithHooks(broker.Hooks{
			ChannelOccupied: func(_ context.Context, c broker.ChannelChange) { hooks.add("occupied " + c.Channel) },
			ChannelVacated:  func(_ context.Context, c broker.ChannelChange) { hooks.add("vacated " + c.Channel) },
		}))
		c := p.Connect(t)
		store.dead.Store(true)
		c.Subscribe("room")
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Empty(t, hooks.all())
		store.dead.Store(false)
		time.Sleep(presence.RetryLeave)
		synctest.Wait()
		assert.Equal(t, []string{"occupied room"}, hooks.all())
		store.dead.Store(true)
		c.Unsubscribe("room")
		time.Sleep(time.Minute)
		store.dead.Store(false)
		time.Sleep(presence.RetryLeave)
		synctest.Wait()
		assert.Equal(t, []string{"vacated room"}, hooks.all())
	})
}

// durable is a store of one process that outlives it.
type durable struct{ *handle }

func (durable) Capabilities() storage.Capabilities {
	return storage.Capabilities{ContiguousOffsets: true, Durable: true}
}

// A process that was killed and started again under the same name does not keep its
// own ghosts alive.
func TestMembersOfTheProcessBeforeLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hooks := memory.New(), new(told)
		before := &handle{Store: store}
		first := brokertest.New(t, broker.WithPresence(durable{before}), broker.WithNode("server"), broker.WithLogger(slog.New(slog.DiscardHandler)))
		ghost, back := first.Connect(t), first.Connect(t)
		ghost.SubscribeAs("presence-room", "ghost", "")
		back.SubscribeAs("presence-room", "back", "")
		synctest.Wait()
		before.dead.Store(true)

		again := brokertest.New(t, broker.WithPresence(durable{&handle{Store: store}}), broker.WithNode("server"), broker.WithHooks(hooks.hooks()),
			broker.WithHooks(broker.Hooks{ChannelOccupied: func(_ context.Context, c broker.ChannelChange) { hooks.add("occupied " + c.Channel) }}))
		c := again.Connect(t)
		var r roster
		c.SubscribeAs("presence-room", "back", "").Decode(t, &r)
		assert.Equal(t, []string{"ghost", "back"}, r.Presence.IDs)
		synctest.Wait()
		assert.Equal(t, []string{"occupied presence-room"}, hooks.all(), "who was there before comes back before anybody has noticed")
		time.Sleep(30 * time.Second)
		synctest.Wait()
		expectMember(t, c, "removed", "ghost")
		c.ExpectNothing()
		assert.Equal(t, []string{"-ghost"}, hooks.all())
	})
}
