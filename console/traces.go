package console

import (
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/transport"
)

// traces are all arms.
type traces struct {
	mu    sync.Mutex
	arms  []*arm // guarded by mu
	steps int    // guarded by mu: of all arms
	// armed is how many there are, for those who need not take the lock.
	armed atomic.Int64
	// news rises when something was recorded.
	news atomic.Uint64

	most, mostEvents, mostSteps int
}

func (t *traces) count() int { return int(t.armed.Load()) }

var errArms = errors.New("too many traces are armed")

// add arms. wanted is called when the arm is there, and sees to it that everything it needs is
// observed: from then on its records are complete. What is there already is told by snapshot
// and members, which are called after that and without the lock: what they return is older.
func (t *traces) add(a *arm, wanted func(), snapshot func() map[string]*trackedSession, members func() map[string]string) error {
	a.id, a.byKey = rand.Text(), make(map[weak.Pointer[broker.Event]]*tracedEvent)
	a.tracked, a.members = make(map[string]*trackedSession), make(map[string]string)
	if a.session != "" {
		a.tracked[a.session] = &trackedSession{spans: make(map[string][]span)}
	}
	t.mu.Lock()
	if len(t.arms) >= t.most {
		t.mu.Unlock()
		return errArms
	}
	t.arms = append(t.arms, a)
	t.armed.Store(int64(len(t.arms)))
	t.mu.Unlock()
	wanted()
	t.mu.Lock()
	a.since = time.Now()
	for _, s := range a.tracked {
		s.since = a.since
	}
	t.mu.Unlock()
	var tracked map[string]*trackedSession
	var users map[string]string
	if a.channel == "" {
		tracked = snapshot()
	} else {
		users = members()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	a.merge(tracked)
	for id, user := range users {
		if _, ok := a.members[id]; !ok {
			a.members[id] = user
		}
	}
	t.news.Add(1)
	return nil
}

// merge adds what a snapshot has found: it may miss what has begun meanwhile, and have what has
// ended meanwhile, both of which were recorded.
func (a *arm) merge(found map[string]*trackedSession) {
	for id, s := range found {
		known := a.tracked[id]
		if known == nil {
			if len(a.tracked) < maxTracked {
				a.tracked[id] = s
			}
			continue
		}
		if known.user == "" {
			known.user = s.user
		}
		for channel, spans := range s.spans {
			if len(known.spans[channel]) > 0 {
				continue
			}
			sp := spans[0]
			if s.since.After(known.since) { // when it began since then is not known
				sp.asked, sp.from = known.since, s.since
			}
			known.put(channel, sp)
		}
	}
}

func (s *trackedSession) put(channel string, sp span) {
	if s.count >= maxSpans {
		s.lost = true
		return
	}
	s.count++
	s.spans[channel] = append(s.spans[channel], sp)
}

// remove disarms.
func (t *traces) remove(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.drop(func(a *arm) bool { return a.id == id })
}

// drop takes arms away. The caller holds mu.
func (t *traces) drop(which func(*arm) bool) bool {
	n := len(t.arms)
	t.arms = slices.DeleteFunc(t.arms, func(a *arm) bool {
		if !which(a) {
			return false
		}
		for _, e := range a.events {
			t.steps -= e.steps
		}
		return true
	})
	t.armed.Store(int64(len(t.arms)))
	if len(t.arms) == n {
		return false
	}
	t.news.Add(1)
	return true
}

// refresh ends arms whose time is over, and looks for sessions of their users that have
// signed in: of that nothing tells.
func (t *traces) refresh(b *broker.Broker, now time.Time) {
	if t.count() == 0 {
		return
	}
	t.mu.Lock()
	t.drop(func(a *arm) bool { return !now.Before(a.until) })
	var users []*arm
	for _, a := range t.arms {
		if a.user != "" {
			users = append(users, a)
		}
	}
	t.mu.Unlock()
	for _, a := range users {
		found := trackUser(b, a.app, a.user, now)
		t.mu.Lock()
		a.merge(found)
		t.mu.Unlock()
	}
}

// trackUser finds the sessions of a user, and what they are subscribed to.
func trackUser(b *broker.Broker, app, user string, now time.Time) map[string]*trackedSession {
	found := make(map[string]*trackedSession)
	for s := range b.Sessions() {
		if s.App() == app && isUser(s, user) {
			found[s.ID()] = trackSession(s, now)
			if len(found) == maxTracked {
				break
			}
		}
	}
	return found
}

func trackSession(s *broker.Session, now time.Time) *trackedSession {
	some, total := s.Channels(maxSpans)
	t := &trackedSession{user: userOf(s, memberOf(some)), since: now, spans: make(map[string][]span, len(some)), lost: total > len(some)}
	for _, c := range some {
		t.put(c.Channel, span{asked: s.Since(), from: s.Since()})
	}
	return t
}

// TraceDeliveries implements broker.DeliveryTracer.
func (c *Console) TraceDeliveries(app, channel string, ev *broker.Event) bool {
	return c.traces.count() > 0 && c.traces.handedOut(app, channel, ev)
}

// SampleDelivery implements broker.DeliverySampler: it chooses about samplesPerSecond.
func (c *Console) SampleDelivery(string, string, *broker.Event) bool {
	return sampled(c.sampling.Load())
}

// handedOut notes an event that is about to be handed out, and reports whether its way is
// recorded.
func (t *traces) handedOut(app, channel string, ev *broker.Event) (traced bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range t.arms {
		if a.covers(app, channel) {
			t.event(a, ev).handed = time.Now()
			traced = true
		}
	}
	return traced
}

// event is what an arm has of an event. The caller holds mu.
func (t *traces) event(a *arm, ev *broker.Event) *tracedEvent {
	key := weak.Make(ev)
	e := a.byKey[key]
	if e == nil {
		e = &tracedEvent{key: key, facts: factsOf(ev), sessions: make(map[string]*way)}
		a.byKey[key] = e
		a.events = append(a.events, e)
		for len(a.events) > t.mostEvents || t.steps > t.mostSteps && len(a.events) > 1 {
			t.forget(a)
		}
	}
	return e
}

// forget takes the oldest event of an arm away. The caller holds mu.
func (t *traces) forget(a *arm) {
	old := a.events[0]
	a.events[0] = nil
	a.events = a.events[1:]
	delete(a.byKey, old.key)
	t.steps -= old.steps
	a.forgotten++
	a.forgottenUpTo = old.facts.at
}

// published notes the outcome of handing an event out.
func (t *traces) published(o *broker.EventPublished, seq uint64) {
	if t.count() == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range t.arms {
		if a.covers(o.App, o.Event.Channel) {
			e := t.event(a, o.Event)
			e.seq, e.known, e.to, e.excluded, e.took = seq, true, o.Subscribers, o.Excluded, o.Took
			t.news.Add(1)
		}
	}
}

// delivered notes a step on an event's way to a session.
func (t *traces) delivered(o *broker.Delivery) {
	if t.count() == 0 {
		return
	}
	id := o.Session.ID()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range t.arms {
		e := a.byKey[weak.Make(o.Event)]
		if e == nil {
			continue
		}
		user := ""
		if u := o.Session.User(); u != nil {
			user = u.ID
		} else if user = a.members[id]; user == "" && a.tracked[id] != nil {
			user = a.tracked[id].user
		}
		if !a.concerns(id, user) {
			continue
		}
		w := e.sessions[id]
		if t.steps >= t.mostSteps {
			if len(a.events) > 1 && a.events[0] != e {
				t.forget(a)
			} else {
				e.lost++
				continue
			}
		}
		if w == nil {
			w = &way{user: strings.Clone(user)}
			e.sessions[id] = w
		}
		step := wayStep{at: o.Time, step: o.Step, queued: o.Queue.Messages, bytes: o.Queue.Bytes}
		if o.Err != nil {
			step.slow, step.text = errors.Is(o.Err, transport.ErrSlow), cut(o.Err.Error(), 160)
		}
		w.steps = append(w.steps, step)
		e.steps++
		t.steps++
		t.news.Add(1)
	}
}

func (t *traces) subscribed(at time.Time, o *broker.SubscriptionOpened) {
	t.each(o.Session, o.UserID, func(a *arm, user string) {
		if a.channel != "" {
			if a.channel == o.Channel {
				if len(a.members) < t.mostSteps && user != "" {
					a.members[o.Session.ID()] = user
				}
				a.note(note{at: at, session: o.Session.ID(), channel: o.Channel, user: user, what: noteOpened})
			}
			return
		}
		s := a.tracked[o.Session.ID()]
		if s == nil {
			if a.user != user || len(a.tracked) >= maxTracked {
				return
			}
			// A subscription of a session that was not known to be this user's: what it had
			// before comes with the next look.
			s = &trackedSession{user: user, since: at, spans: make(map[string][]span)}
			a.tracked[o.Session.ID()] = s
		}
		if spans := s.spans[o.Channel]; len(spans) > 0 && spans[len(spans)-1].to.IsZero() {
			return // asked again
		}
		s.put(o.Channel, span{asked: at.Add(-o.Took), from: at})
	})
}

func (t *traces) unsubscribed(at time.Time, o *broker.SubscriptionClosed) {
	t.each(o.Session, o.UserID, func(a *arm, user string) {
		if a.channel != "" {
			if a.channel == o.Channel {
				a.note(note{at: at, session: o.Session.ID(), channel: o.Channel, user: user, what: noteClosed})
			}
			return
		}
		if s := a.tracked[o.Session.ID()]; s != nil {
			if spans := s.spans[o.Channel]; len(spans) > 0 {
				spans[len(spans)-1].to = at
			} else {
				s.put(o.Channel, span{asked: o.Session.Since(), from: o.Session.Since(), to: at})
			}
		}
	})
}

func (t *traces) subscriptionRefused(at time.Time, o *broker.SubscriptionRefused) {
	t.each(o.Session, "", func(a *arm, user string) {
		if a.channel == o.Channel || a.channel == "" && a.concerns(o.Session.ID(), user) {
			a.note(note{at: at, session: o.Session.ID(), channel: o.Channel, user: user, what: noteRefused, text: cut(errorText(o.Err), 160)})
		}
	})
}

func (t *traces) ended(at time.Time, session *broker.Session) {
	t.each(session, "", func(a *arm, user string) {
		if s := a.tracked[session.ID()]; s != nil {
			s.ended = at
		}
	})
}

// each calls f with every arm of a session's app.
func (t *traces) each(s *broker.Session, member string, f func(a *arm, user string)) {
	if t.count() == 0 {
		return
	}
	user := userOf(s, member)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range t.arms {
		if a.app == s.App() {
			f(a, user)
		}
	}
}

func (a *arm) note(n note) {
	if len(a.notes) >= maxNotes {
		a.notes = slices.Delete(a.notes, 0, maxNotes/8)
	}
	a.notes = append(a.notes, n)
}
