package broker_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
	"github.com/carillon-rt/carillon/transport"
)

// watcher is a protocol that notes what a session is told of its watchlist.
type watcher struct {
	plain
	mu      sync.Mutex
	notices []broker.WatchlistNotice
}

func (w *watcher) Encode(n broker.Notice) *transport.Message {
	if n, ok := n.(broker.WatchlistNotice); ok {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.notices = append(w.notices, n)
	}
	return w.plain.Encode(n)
}

func (w *watcher) told() []broker.WatchlistNotice {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.notices
}

// signIn connects a session and signs it in.
func signIn(t *testing.T, b *broker.Broker, user string, watchlist ...string) (*broker.Session, *watcher) {
	w := new(watcher)
	s, err := b.Connect(t.Context(), broker.ConnectOptions{ConnectRequest: broker.ConnectRequest{App: "1"}, Conn: &sink{}, Protocol: w})
	require.NoError(t, err)
	require.NoError(t, s.SignIn(t.Context(), broker.User{ID: user, Watchlist: watchlist}, func() {}))
	return s, w
}

// askedPresence counts the look-ups of users, of which the first failing fail.
type askedPresence struct {
	storage.Presence
	asked, failing atomic.Int64
}

func (p *askedPresence) AreMembers(ctx context.Context, ch storage.ChannelID, userIDs []string) ([]bool, error) {
	p.asked.Add(1)
	if p.failing.Add(-1) >= 0 {
		return nil, assert.AnError
	}
	return p.Presence.AreMembers(ctx, ch, userIDs)
}

func TestAWatchlistIsAskedForOnce(t *testing.T) {
	store := &askedPresence{Presence: memory.New()}
	b := newBroker(t, broker.WithPresence(store))
	defer func() { assert.NoError(t, b.Shutdown(t.Context())) }()
	bob, _ := signIn(t, b, "user7")
	defer bob.End(1000)
	watchlist := make([]string, 100)
	for i := range watchlist {
		watchlist[i] = fmt.Sprint("user", i)
	}
	ann, w := signIn(t, b, "ann", watchlist...)
	defer ann.End(1000)
	assert.EqualValues(t, 1, store.asked.Load())
	require.Len(t, w.told(), 1)
	assert.Equal(t, []string{"user7"}, w.told()[0].Online)
	assert.Len(t, w.told()[0].Offline, 99)

	eve, w := signIn(t, b, "eve", "\x00", "a\nb")
	defer eve.End(1000)
	assert.EqualValues(t, 1, store.asked.Load(), "nobody is called that")
	assert.Equal(t, []broker.WatchlistNotice{{Offline: []string{"\x00", "a\nb"}}}, w.told())
}

// Who could not be told for a start hears of changes all the same.
func TestChangesAreToldThoughTheWatchlistFailed(t *testing.T) {
	for name, opts := range map[string][]memory.Option{"own": nil, "shared": {memory.WithShared()}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &askedPresence{Presence: memory.New(opts...)}
				b := newBroker(t, broker.WithPresence(store), broker.WithLogger(slog.New(slog.DiscardHandler)))
				defer func() { assert.NoError(t, b.Shutdown(t.Context())) }()
				store.failing.Store(1)
				ann, w := signIn(t, b, "ann", "bob")
				defer ann.End(1000)
				assert.Empty(t, w.told())
				bob, _ := signIn(t, b, "bob")
				bob.End(1000)
				synctest.Wait()
				assert.Equal(t, []broker.WatchlistNotice{{Online: []string{"bob"}}, {Offline: []string{"bob"}}}, w.told())
			})
		})
	}
}

// slowPresence answers before or after it has done what it is asked, and notifies
// late.
type slowPresence struct{ *memory.Store }

func pause() { time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond) }

func (p slowPresence) Join(ctx context.Context, ch storage.ChannelID, conn storage.Connection, m storage.Member, opts storage.JoinOptions) (storage.Joined, error) {
	pause()
	defer pause()
	return p.Store.Join(ctx, ch, conn, m, opts)
}

func (p slowPresence) Leave(ctx context.Context, ch storage.ChannelID, conn storage.Connection) (storage.Departure, error) {
	pause()
	defer pause()
	return p.Store.Leave(ctx, ch, conn)
}

func (p slowPresence) AreMembers(ctx context.Context, ch storage.ChannelID, userIDs []string) ([]bool, error) {
	pause()
	defer pause()
	return p.Store.AreMembers(ctx, ch, userIDs)
}

// TestWatchlistsAreExactWhileUsersComeAndGo has watchers sign in while the users they
// watch come and go, on the same broker or on another: of each user every watcher hears
// once how it is, and then of changes until what it knows is true. On one broker each
// change is the opposite of what it knew.
func TestWatchlistsAreExactWhileUsersComeAndGo(t *testing.T) {
	for name, opts := range map[string][]memory.Option{"own": nil, "shared": {memory.WithShared()}} {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				synctest.Test(t, func(t *testing.T) { watchlistsAreExact(t, memory.New(opts...), len(opts) > 0) })
			}
		})
	}
}

func watchlistsAreExact(t *testing.T, store *memory.Store, shared bool) {
	brokers := []*broker.Broker{newBroker(t, broker.WithPresence(slowPresence{store}))}
	if shared {
		brokers = append(brokers, newBroker(t, broker.WithPresence(slowPresence{store})))
	}
	users := []string{"a", "b", "c", "d"}
	truth := map[string]bool{"a": true, "b": false, "c": true, "d": false}
	var running sync.WaitGroup
	var mu sync.Mutex
	var sessions []*broker.Session // guarded by mu
	var watchers []*watcher        // guarded by mu
	for i, user := range users {
		running.Go(func() {
			for n := range 8 {
				s, _ := signIn(t, brokers[(i+n)%len(brokers)], user)
				pause()
				if n == 7 && truth[user] {
					mu.Lock()
					sessions = append(sessions, s)
					mu.Unlock()
					break
				}
				s.End(1000)
				pause()
			}
		})
	}
	for i := range 12 {
		running.Go(func() {
			for range i {
				pause()
			}
			s, w := signIn(t, brokers[i%len(brokers)], fmt.Sprint("watcher", i), users...)
			mu.Lock()
			defer mu.Unlock()
			sessions, watchers = append(sessions, s), append(watchers, w)
		})
	}
	running.Wait()
	time.Sleep(5 * time.Second)
	for _, w := range watchers {
		last := map[string]bool{}
		for i, n := range w.told() {
			for online, ids := range map[bool][]string{true: n.Online, false: n.Offline} {
				for _, id := range ids {
					was, told := last[id]
					assert.Equal(t, i > 0, told)
					// That somebody went from one broker before coming to another may be
					// heard of too late to be told.
					assert.False(t, told && was == online && !shared, "%s is told to be as it was", id)
					last[id] = online
				}
			}
		}
		assert.Equal(t, truth, last)
	}
	for _, s := range sessions {
		s.End(1000)
	}
	for _, b := range brokers {
		assert.NoError(t, b.Shutdown(t.Context()))
	}
}
