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
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/carillon-rt/carillon/internal/wheel"
	"github.com/carillon-rt/carillon/presence"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/transport"
)

// Broker accepts events and hands them out to subscribers. Make one with New, and share
// it freely: all methods are safe for concurrent use.
type Broker struct {
	node
	name          string   // in the presence store
	rules         *ruleSet // nil if there are none
	rateLimits    rateLimits
	maxEventBytes int
	bound         atomic.Pointer[eventBound]
	storeTimeout  time.Duration
	drainWindow   *time.Duration

	channels  registry
	quotas    quotas
	ids       *eventIDs
	grantEnds *wheel.Wheel

	presenceStore storage.Presence
	presenceWaits bool // presenceStore may
	tracker       *presence.Tracker
	signedIn      presence.UserIndex[*Session]
	watchers      presence.UserIndex[*Session]

	mayLose bool // the store of events may lose what it has acknowledged
	// stopWatching ends what is done about events that others publish; nil if nothing
	// is.
	stopWatching func()
}

// AddHooks makes the broker use another set of hooks from now on. Protocol
// handlers use it for their webhooks; programs usually have WithHooks.
func (b *Broker) AddHooks(h Hooks) { b.hooks.add(h) }

// AddObserver makes the broker tell another observer from now on, behind those it has. What
// has begun by then it may learn of by halves: WithObserver tells of all. The error is a
// *FieldError if there is no observer.
func (b *Broker) AddObserver(o Observer) error {
	if o == nil {
		return &FieldError{Field: "observer", Problem: "is nil"}
	}
	b.observers.add(newObserver(o))
	return nil
}

// observeSlow is for the session, which knows of no observers.
func (b *Broker) observeSlow(s *Session, err error) {
	if b.observers.want(s.app, ObserveSessionSlow) {
		b.observers.tell(s.ctx, s.app, SessionSlow{Session: s, Queue: s.conn.Queue(), Err: err})
	}
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

// Stats returns the broker's counts. It is safe for concurrent use; counts that
// belong together may be one event apart.
func (b *Broker) Stats() Stats {
	s, budget := &b.stats, b.budget.Stats()
	return Stats{
		QueuedBytes:            budget.Bytes,
		BudgetCuts:             budget.Cut,
		Sessions:               int64(b.sessions.Size()),
		Channels:               s.channels.Load(),
		InProcessSubscriptions: s.inProcess.Load(),
		Connected:              s.connected.Load(),
		Published:              s.published.Value(),
		Delivered:              s.delivered.Value(),
		SlowSessions:           s.slowSessions.Load(),
		SlowInProcess:          s.slowInProcess.Load(),
		RewindsCut:             s.rewindsCut.Load(),
		Resumed:                s.resumed.Load(),
		ResumeGaps:             s.resumeGaps.Load(),
		Refused:                s.refused.Load(),
		HooksDropped:           s.hooksDropped.Load(),
		HookPanics:             s.hookPanics.Load(),
		ObserverPanics:         s.observerPanics.Load(),
		StoreErrors:            s.storeErrors.Load(),
		StorePanics:            s.storePanics.Load(),
		StoreTimeouts:          s.storeTimeouts.Load(),
		Gaps:                   s.gaps.Load(),
	}
}

// UseCipher tells the broker how to seal events of encrypted channels. Protocol
// handlers call it when they are made. A broker has one cipher: it returns
// ErrHasCipher, and changes nothing, where there is one already.
func (b *Broker) UseCipher(c Cipher) error {
	c = &cipherCalls{&b.faults, c}
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

// rule returns the rule of a channel whose name was checked. A channel that is open
// has it already.
func (b *Broker) rule(ch storage.ChannelID) *ChannelRule {
	key := b.channels.key(ch)
	return b.rules.of(&key)
}
