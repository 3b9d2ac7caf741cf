package broker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/storage"
)

// roster is what a presence subscription's success says.
type roster struct {
	Presence struct {
		Count int                        `json:"count"`
		IDs   []string                   `json:"ids"`
		Hash  map[string]json.RawMessage `json:"hash"`
	} `json:"presence"`
}

type memberData struct {
	UserID string `json:"user_id"`
}

func TestPresenceCountsUsersNotConnections(t *testing.T) {
	kit := brokertest.New(t)
	ann, ann2, bob := kit.Connect(t), kit.Connect(t), kit.Connect(t)
	var r roster
	ann.SubscribeAs("presence-room", "ann", `{"name":"Ann"}`).Decode(t, &r)
	assert.Equal(t, []string{"ann"}, r.Presence.IDs)
	assert.JSONEq(t, `{"name":"Ann"}`, string(r.Presence.Hash["ann"]))

	ann2.SubscribeAs("presence-room", "ann", "").Decode(t, &r)
	assert.Equal(t, 1, r.Presence.Count)
	ann.ExpectNothing()

	bob.SubscribeAs("presence-room", "bob", "").Decode(t, &r)
	assert.Equal(t, []string{"ann", "bob"}, r.Presence.IDs)
	for _, c := range []*brokertest.Client{ann, ann2} {
		var m memberData
		c.Expect("pusher_internal:member_added", "presence-room").Decode(t, &m)
		assert.Equal(t, "bob", m.UserID)
	}
	info, err := kit.App.Channel(t.Context(), "presence-room")
	require.NoError(t, err)
	assert.Equal(t, broker.ChannelInfo{Name: "presence-room", Occupied: true, SubscriptionCount: 3, UserCount: 2}, info)

	ann2.Close()
	bob.ExpectNothing()
	ann.Unsubscribe("presence-room")
	var m memberData
	bob.Expect("pusher_internal:member_removed", "presence-room").Decode(t, &m)
	assert.Equal(t, "ann", m.UserID)
	members, err := kit.App.Members(t.Context(), "presence-room")
	require.NoError(t, err)
	require.Len(t, members, 1)
	assert.Equal(t, "bob", members[0].UserID)
}

func TestPresenceLimit(t *testing.T) {
	kit := brokertest.New(t, broker.WithChannelRules(broker.ChannelRule{Pattern: "presence-small", MaxMembers: 2}))
	for _, user := range []string{"a", "b", "a"} {
		kit.Connect(t).SubscribeAs("presence-small", user, "")
	}
	c := kit.Connect(t)
	c.Write(subscribeFrame(t, c, "presence-small", "c"))
	f := c.Expect("pusher:subscription_error", "presence-small")
	assert.Contains(t, f.Data, "the limit is 2 members")
	assert.Contains(t, f.Data, "LimitReached")
}

func TestLeaveGraceHidesAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t, broker.WithChannelRules(broker.ChannelRule{Pattern: "presence-*", LeaveGrace: 5 * time.Second}))
		watcher, ann := kit.Connect(t), kit.Connect(t)
		watcher.SubscribeAs("presence-room", "watcher", "")
		ann.SubscribeAs("presence-room", "ann", "")
		watcher.Expect("pusher_internal:member_added", "presence-room")

		ann.Close()
		time.Sleep(4 * time.Second)
		ann = kit.Connect(t)
		ann.SubscribeAs("presence-room", "ann", "")
		time.Sleep(time.Minute)
		synctest.Wait()
		watcher.ExpectNothing()

		ann.Close()
		time.Sleep(5*time.Second - 1)
		synctest.Wait()
		watcher.ExpectNothing()
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		watcher.Expect("pusher_internal:member_removed", "presence-room")

		ann = kit.Connect(t)
		ann.SubscribeAs("presence-room", "ann", "")
		watcher.Expect("pusher_internal:member_added", "presence-room")
		ann.Unsubscribe("presence-room")
		watcher.Expect("pusher_internal:member_removed", "presence-room")
	})
}

// However many tabs of however many users come and go at once, every observer
// can tell at any time who is there from what it has been told.
func TestObserversAgreeOnPresence(t *testing.T) {
	kit := brokertest.New(t)
	var observers []*brokertest.Client
	seen := make([]map[string]bool, 3)
	for i := range seen {
		c := kit.Connect(t)
		var r roster
		c.SubscribeAs("presence-room", fmt.Sprint("observer", i), "").Decode(t, &r)
		seen[i] = make(map[string]bool)
		for _, id := range r.Presence.IDs {
			seen[i][id] = true
		}
		observers = append(observers, c)
	}
	const users, rounds = 6, 60
	var wg sync.WaitGroup
	for u := range users {
		for range 2 {
			wg.Go(func() {
				for range rounds {
					c := kit.Connect(t)
					c.SubscribeAs("presence-room", fmt.Sprint("user", u), "")
					c.Close()
				}
			})
		}
	}
	wg.Wait()
	marker := kit.Connect(t)
	marker.SubscribeAs("presence-room", "marker", "")
	for i, c := range observers {
		for !seen[i]["marker"] {
			f := c.Next()
			var m memberData
			f.Decode(t, &m)
			switch f.Event {
			case "pusher_internal:member_added":
				require.False(t, seen[i][m.UserID], "%s was added twice", m.UserID)
				seen[i][m.UserID] = true
			case "pusher_internal:member_removed":
				require.True(t, seen[i][m.UserID], "%s was removed twice", m.UserID)
				delete(seen[i], m.UserID)
			default:
				t.Fatalf("unexpected %s", f.Raw)
			}
		}
		assert.Len(t, seen[i], len(observers)+1, "only observers and the marker are left")
	}
}

// presenceModel is what a presence channel should hold.
type presenceModel struct {
	kit     *brokertest.Kit
	t       *testing.T
	tabs    map[*brokertest.Client]string
	joined  []string
	watcher *brokertest.Client
}

func (m *presenceModel) users() map[string]int {
	n := make(map[string]int)
	for _, user := range m.tabs {
		n[user]++
	}
	return n
}

func TestPresenceModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		kit := brokertest.New(t)
		m := &presenceModel{kit: kit, t: t, tabs: make(map[*brokertest.Client]string), joined: []string{}, watcher: kit.Connect(t)}
		m.watcher.SubscribeAs("presence-room", "watcher", "")
		var open []*brokertest.Client
		r.Repeat(map[string]func(*rapid.T){
			"join": func(r *rapid.T) {
				user := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(r, "user")
				c := kit.Connect(t)
				c.SubscribeAs("presence-room", user, "")
				if m.users()[user] == 0 {
					m.watcher.Expect("pusher_internal:member_added", "presence-room")
					m.joined = append(m.joined, user)
				}
				m.tabs[c] = user
				open = append(open, c)
			},
			"leave": func(r *rapid.T) {
				if len(open) == 0 {
					r.Skip("nobody is there")
				}
				i := rapid.IntRange(0, len(open)-1).Draw(r, "tab")
				c := open[i]
				open = slices.Delete(open, i, i+1)
				user := m.tabs[c]
				delete(m.tabs, c)
				if rapid.Bool().Draw(r, "close") {
					c.Close()
				} else {
					c.Unsubscribe("presence-room")
				}
				if m.users()[user] == 0 {
					m.watcher.Expect("pusher_internal:member_removed", "presence-room")
					m.joined = slices.DeleteFunc(m.joined, func(u string) bool { return u == user })
				}
			},
			"": func(r *rapid.T) {
				m.watcher.ExpectNothing()
				members, err := kit.App.Members(t.Context(), "presence-room")
				require.NoError(r, err)
				ids := []string{}
				for _, member := range members[1:] {
					ids = append(ids, member.UserID)
				}
				require.Equal(r, m.joined, ids)
				info, err := kit.App.Channel(t.Context(), "presence-room")
				require.NoError(r, err)
				require.Equal(r, len(m.tabs)+1, info.SubscriptionCount)
				require.Equal(r, len(m.joined)+1, info.UserCount)
			},
		})
	})
}

func TestOnlineUsersAndWatchlists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changes []string
		kit := brokertest.New(t, broker.WithHooks(broker.Hooks{
			UserOnline:  func(_ context.Context, c broker.UserChange) { changes = append(changes, "+"+c.UserID) },
			UserOffline: func(_ context.Context, c broker.UserChange) { changes = append(changes, "-"+c.UserID) },
		}))
		ann := kit.Connect(t)
		ann.SignIn("ann", "bob", "cleo")
		assert.JSONEq(t, `{"events":[{"name":"offline","user_ids":["bob","cleo"]}]}`,
			ann.Expect("pusher_internal:watchlist_events", "").Data)

		bob, bob2 := kit.Connect(t), kit.Connect(t)
		bob.SignIn("bob")
		assert.JSONEq(t, `{"events":[{"name":"online","user_ids":["bob"]}]}`,
			ann.Expect("pusher_internal:watchlist_events", "").Data)
		bob2.SignIn("bob")
		ann.ExpectNothing()
		is, err := kit.App.IsOnline(t.Context(), "bob")
		require.NoError(t, err)
		assert.True(t, is)

		bob.Close()
		ann.ExpectNothing()
		gone := time.Now()
		bob2.Close()
		assert.JSONEq(t, `{"events":[{"name":"offline","user_ids":["bob"]}]}`,
			ann.Expect("pusher_internal:watchlist_events", "").Data)
		time.Sleep(time.Minute)
		last, err := kit.App.LastSeen(t.Context(), "bob")
		require.NoError(t, err)
		assert.Equal(t, gone, last)
		synctest.Wait()
		assert.Equal(t, []string{"+ann", "+bob", "-bob"}, changes)
	})
}

func TestLastSeenOnAChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t)
		bob, tab := kit.Connect(t), kit.Connect(t)
		for _, channel := range []string{"presence-a", "presence-b"} {
			bob.SubscribeAs(channel, "bob", "")
			tab.SubscribeAs(channel, "bob", "")
		}
		seen := func(channel string) time.Time {
			at, err := kit.App.LastSeenOn(t.Context(), channel, "bob")
			require.NoError(t, err)
			return at
		}
		bob.Unsubscribe("presence-a")
		time.Sleep(time.Minute)
		assert.Zero(t, seen("presence-a"), "the other tab is there")
		tab.Unsubscribe("presence-a")
		left := time.Now()
		time.Sleep(time.Minute)
		assert.Equal(t, left, seen("presence-a"))
		assert.Zero(t, seen("presence-b"))
		assert.Zero(t, seen("presence-c"))
		for _, channel := range []string{"room", "presence b"} {
			_, err := kit.App.LastSeenOn(t.Context(), channel, "bob")
			require.ErrorIs(t, err, broker.ErrInvalid)
		}
	})
}

func TestServerToUserChannelIsForThatUserOnly(t *testing.T) {
	kit := brokertest.New(t)
	ann, eve := kit.Connect(t), kit.Connect(t)
	ann.SignIn("ann")
	ann.Subscribe("#server-to-user-ann")
	eve.SignIn("eve")
	for _, c := range []*brokertest.Client{eve, kit.Connect(t)} {
		c.Write(`{"event":"pusher:subscribe","data":{"channel":"#server-to-user-ann","auth":""}}`)
		c.Expect("pusher:subscription_error", "#server-to-user-ann")
	}
	_, err := kit.App.PublishToUser(t.Context(), "ann", "message", []byte("x"))
	require.NoError(t, err)
	ann.Expect("message", "#server-to-user-ann")
	eve.ExpectNothing()
}

func TestRulesHoldForEveryUserID(t *testing.T) {
	kit := brokertest.New(t, broker.WithChannelRules(
		broker.ChannelRule{Pattern: "#server-to-user-a/[/x]*", History: broker.Retention{Events: 1}},
		broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 2}}))
	for userID, kept := range map[string]int{"a": 2, "b/c": 2, "a/b": 2, "a//c/d": 1, "世/界": 2} {
		for range 3 {
			_, err := kit.App.PublishToUser(t.Context(), userID, "message", []byte("x"))
			require.NoError(t, err)
		}
		n := 0
		for _, err := range kit.App.History(t.Context(), "#server-to-user-"+userID) {
			require.NoError(t, err)
			n++
		}
		assert.Equal(t, kept, n, userID)
	}
}

func TestTerminateEndsTheConnectionsSignedInAsTheUser(t *testing.T) {
	kit := brokertest.New(t)
	tabs := []*brokertest.Client{kit.Connect(t), kit.Connect(t)}
	for _, c := range tabs {
		c.SignIn("ann")
	}
	member := kit.Connect(t)
	member.SubscribeAs("presence-room", "ann", "")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	n, err := kit.App.TerminateUser(over, "ann")
	require.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, n)
	n, err = kit.App.TerminateUser(t.Context(), "ann")
	require.NoError(t, err)
	assert.Equal(t, 2, n)
	for _, c := range tabs {
		assert.Equal(t, 4009, c.CloseCode())
	}
	member.ExpectNothing()
}

// Somebody who is refused because the channel is full must not be taken for
// somebody who is there.
func TestWhoIsRefusedIsNeverAMember(t *testing.T) {
	kit := brokertest.New(t, broker.WithChannelRules(broker.ChannelRule{Pattern: "*", MaxSubscribers: 2}))
	watcher := kit.Connect(t)
	watcher.SubscribeAs("presence-room", "watcher", "")
	var tabs sync.WaitGroup
	for range 4 {
		c := kit.Connect(t)
		frame := subscribeFrame(t, c, "presence-room", "ann")
		tabs.Go(func() {
			for range 300 {
				c.Write(frame)
				c.Unsubscribe("presence-room")
			}
		})
	}
	tabs.Wait()
	publish(t, kit.App, "presence-room", 1, 1)
	there := false
	for f := watcher.Next(); f.Event != "message"; f = watcher.Next() {
		require.Equal(t, there, f.Event == "pusher_internal:member_removed", "ann came or went twice: %s", f.Raw)
		there = !there
	}
	assert.False(t, there)
}

// Who cannot resume subscribes all the same: an error would leave a client without
// the channel.
func TestWhoCannotResumeStartsAfresh(t *testing.T) {
	b := newBroker(t, keeping(2))
	for _, channel := range []string{"presence-room", "room"} {
		conn := &sink{}
		s, err := b.Connect(t.Context(), broker.ConnectOptions{
			ConnectRequest: broker.ConnectRequest{App: "1"}, Conn: conn, Protocol: &plain{}})
		require.NoError(t, err)
		require.NoError(t, s.Subscribe(t.Context(), broker.SubscribeRequest{Channel: channel, Authorized: true,
			Member: &broker.Member{UserID: "ann"}, After: &broker.Position{Epoch: storage.Epoch{Number: 1}, Offset: 1}}))
		assert.True(t, conn.gap, channel)
		assert.Equal(t, 1, conn.sent)
		publish(t, b.App("1"), channel, 1, 1)
		assert.Equal(t, 2, conn.sent)
		s.End(1000)
	}
	require.NoError(t, b.Shutdown(t.Context()))
}
