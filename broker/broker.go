// Package broker is the core of Carillon: it accepts events, stores them where a rule
// says so, puts those of each channel into one order, and hands them out to every
// subscriber: to sessions of clients and to Go code in the same process.
//
// It knows no wire protocol and opens no socket: package pusher connects it to the
// clients of Pusher over HTTP, and package brokertest gives tests clients without
// sockets.
//
//	b, err := broker.New()
//	app := b.App("1")
//	sub, err := app.Subscribe(ctx, "room")
//	go func() {
//		for ev, err := range sub.Events() { … }
//	}()
//	app.Publish(ctx, "room", "message", []byte(`{"text":"hello"}`))
//	defer b.Shutdown(ctx)
//
// Three things bound or shape what is done: a [ChannelRule] says how the channels of a
// pattern behave; [SessionLimits] bound what one connection may pile up, where package
// pusher takes them from an app's pusher.Limits; and rate limits, which are a
// ratelimit.Rules given to [WithRateLimits], bound how often anything is done by anybody.
package broker

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v3"

	"github.com/carillon-rt/carillon/internal/wheel"
	"github.com/carillon-rt/carillon/presence"
	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
	"github.com/carillon-rt/carillon/transport"
)

// Broker accepts events and hands them out to subscribers. Make one with New, and share
// it freely: all methods are safe for concurrent use.
type Broker struct {
	rules         *ruleSet // nil if there are none
	rateLimits    *ratelimit.Rules
	history       storage.History
	presenceStore storage.Presence
	presenceWaits bool // presenceStore may
	shared        bool // presenceStore may be used by other brokers at the same time
	log           *slog.Logger
	maxEventBytes int
	budget        *transport.Budget
	storeTimeout  time.Duration
	drainWindow   *time.Duration
	node          string

	channels  registry
	sessions  *xsync.MapOf[string, *Session]
	quotas    quotas
	signedIn  presence.UserIndex[*Session]
	watchers  presence.UserIndex[*Session]
	tracker   *presence.Tracker
	notifiers atomic.Pointer[[]*notifier]
	// hooksTime ends when informing hooks have to be over: hooksOver ends it.
	hooksTime context.Context
	hooksOver context.CancelCauseFunc
	// hearPublished says that some set of hooks hears of published events.
	hearPublished atomic.Bool
	cipher        atomic.Pointer[Cipher]
	bound         atomic.Pointer[eventBound]
	ids           *eventIDs
	stats         stats
	grantEnds     *wheel.Wheel

	appendTime appendTime
	mayLose    bool // the store of events may lose what it has acknowledged
	// stopWatching ends what is done about events that others publish; nil if nothing
	// is.
	stopWatching func()

	lifecycle
}

// New returns a broker. Without options it keeps everything in memory and starts
// no goroutine until there is something to do.
func New(opts ...Option) (*Broker, error) {
	b := &Broker{
		log:           slog.Default(),
		maxEventBytes: DefaultMaxEventBytes,
		budget:        transport.NewBudget(0),
		storeTimeout:  DefaultStoreTimeout,
		node:          "node",
		channels:      newRegistry(),
		sessions:      xsync.NewMapOf[string, *Session](),
		ids:           newEventIDs(),
		grantEnds:     wheel.New(grantTick, 512),
		stats:         stats{published: xsync.NewCounter(), delivered: xsync.NewCounter()},
	}
	b.hooksTime, b.hooksOver = context.WithCancelCause(context.Background())
	for _, opt := range opts {
		if err := opt(b); err != nil {
			return nil, fmt.Errorf("broker: %w", err)
		}
	}
	if b.history == nil || b.presenceStore == nil {
		store := memory.New()
		if b.history == nil {
			b.history = store
		}
		if b.presenceStore == nil {
			b.presenceStore = store
		}
	}
	history := b.history
	b.history = &historyCalls{b.newStoreCalls(b.history), b.history}
	members := &presenceCalls{storeCalls: b.newStoreCalls(b.presenceStore), store: b.presenceStore, seed: maphash.MakeSeed()}
	b.presenceStore, b.presenceWaits = members, members.calls != nil
	b.tracker = presence.NewTracker(b.presenceStore, b.node+"-"+strconv.FormatUint(rand.Uint64(), 36))
	b.shareMembers(members.store)
	b.lifecycle.init()
	b.shareHistory(history)
	return b, nil
}

// App returns a handle on the app with the given ID: its channels are apart from
// those of every other app. An app comes into being by being used.
func (b *Broker) App(id string) *App { return &App{broker: b, id: id} }

// UseCipher tells the broker how to seal events of encrypted channels. Protocol
// handlers call it when they are made. A broker has one cipher: it returns
// ErrHasCipher, and changes nothing, where there is one already.
func (b *Broker) UseCipher(c Cipher) error {
	c = &cipherCalls{b, c}
	if !b.cipher.CompareAndSwap(nil, &c) {
		return ErrHasCipher
	}
	return nil
}

// BoundEvents makes publishing fail with the error of check, which is called for events
// with more than free bytes of data. Protocol handlers call it when they are made: they
// know how large an event is once it is encoded, and how much the queues of their
// connections take. check is called concurrently.
func (b *Broker) BoundEvents(free int, check func(Event) error) {
	b.bound.Store(&eventBound{free: free, check: check})
}

type eventBound struct {
	free  int
	check func(Event) error
}

// fits says whether the queues of connections have room for an event with this
// data.
func (b *Broker) fits(channel, name, userID string, data []byte, isJSON bool) error {
	bound := b.bound.Load()
	if bound == nil || len(data) <= bound.free {
		return nil
	}
	if err := bound.check(Event{Channel: channel, Name: name, UserID: userID, Data: data, JSON: isJSON}); err != nil {
		return b.refusal(err)
	}
	return nil
}

// StoreTimeout returns how long a call of a store may take; see WithStoreTimeout.
func (b *Broker) StoreTimeout() time.Duration { return b.storeTimeout }

// QueueBudget bounds what all queues hold together: see WithQueueBudget. Protocol
// handlers give it to their transports.
func (b *Broker) QueueBudget() *transport.Budget { return b.budget }

// Logger returns where the broker logs.
func (b *Broker) Logger() *slog.Logger { return b.log }

// Session returns the session with the given socket ID, or nil.
func (b *Broker) Session(socketID string) *Session {
	s, _ := b.sessions.Load(socketID)
	return s
}

// refusal counts a refusal, and hides from the client what it is not told.
func (b *Broker) refusal(err error) error {
	b.stats.refused.Add(1)
	for _, known := range [...]error{ErrRefused, ErrInvalid, ratelimit.ErrLimited, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return err
		}
	}
	b.log.Error("hook failed", "error", err)
	return fmt.Errorf("%w: %w", ErrRefused, &RefusedError{Status: 500, Message: "internal error"})
}

// storeFailed counts and logs what a store could not do.
func (b *Broker) storeFailed(what string, ch storage.ChannelID, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	b.stats.storeErrors.Add(1)
	b.log.Error("store failed", "operation", what, "channel", ch.String(), "error", err)
	return fmt.Errorf("%s of channel %q: %w", what, ch.Name, err)
}

// quotas counts the sessions of each app.
type quotas struct {
	mu   sync.Mutex
	apps map[string]int // guarded by mu
}

func (q *quotas) take(app string, max int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if max > 0 && q.apps[app] >= max {
		return fmt.Errorf("%w: app %q has %d connections, the limit is %d", ErrQuota, app, q.apps[app], max)
	}
	if q.apps == nil {
		q.apps = make(map[string]int)
	}
	q.apps[app]++
	return nil
}

func (q *quotas) give(app string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.apps[app]--; q.apps[app] <= 0 {
		delete(q.apps, app)
	}
}
