package console

import (
	"strings"
	"time"
	"weak"

	"github.com/carillon-rt/carillon/broker"
)

// arm is what somebody wants to know exactly: what becomes of the events of a channel, or of
// those for a session or a user. From the moment that it is armed until it ends it records
// every step of each such event. The lock of traces guards all of it.
type arm struct {
	id, app                string
	channel, session, user string // one of them
	since, until           time.Time

	events []*tracedEvent // oldest first
	byKey  map[weak.Pointer[broker.Event]]*tracedEvent
	// forgotten is how many events made room for others, and the latest of them.
	forgotten     int
	forgottenUpTo time.Time

	// tracked are the sessions of an arm that is not about a channel, by their ID.
	tracked map[string]*trackedSession
	// members are the users of a presence channel's sessions, of an arm that is about one.
	members map[string]string
	// notes are what happened to subscriptions since then, oldest first.
	notes []note
}

const (
	// maxTracked is how many sessions of one user are followed, maxSpans how many
	// subscriptions of each are remembered, and maxNotes how many notes of one channel.
	maxTracked = 64
	maxSpans   = 2048
	maxNotes   = 4096
)

// trackedSession is a session that is followed: on which channels it was, and when.
type trackedSession struct {
	user  string
	since time.Time // from when on this is known
	ended time.Time // zero if it has not
	spans map[string][]span
	// lost says that there were more subscriptions than are remembered.
	count int
	lost  bool
}

// span is one subscription.
type span struct {
	// asked is when it was asked for: whether what was handed out between then and from was
	// for it is not known without its steps.
	asked, from time.Time
	to          time.Time // zero while it goes on
}

// note is what happened to a subscription.
type note struct {
	at               time.Time
	session, channel string
	user             string
	what             noteKind
	text             string // of a refusal
}

type noteKind uint8

const (
	noteOpened noteKind = iota
	noteClosed
	noteRefused
)

// covers reports whether the arm records what becomes of a channel's events.
func (a *arm) covers(app, channel string) bool {
	if a.app != app {
		return false
	}
	if a.channel != "" {
		return a.channel == channel
	}
	for _, s := range a.tracked {
		if spans := s.spans[channel]; len(spans) > 0 {
			// What is on its way when a subscription ends is still recorded.
			if last := spans[len(spans)-1]; last.to.IsZero() || time.Since(last.to) < time.Second {
				return true
			}
		}
	}
	return false
}

// concerns reports whether the arm is about a session, as far as one can tell from it.
func (a *arm) concerns(id, user string) bool {
	switch {
	case a.channel != "":
		return true
	case a.session != "":
		return a.session == id
	}
	return a.user == user || a.tracked[id] != nil
}

// tracedEvent is an event whose way is recorded.
type tracedEvent struct {
	key      weak.Pointer[broker.Event]
	facts    eventFacts
	handed   time.Time // when it began to be handed out
	seq      uint64    // in the log; 0 if it is not there
	known    bool      // the outcome below is known
	to       int
	excluded int
	took     time.Duration

	sessions map[string]*way
	steps    int
	lost     int // steps for which there was no room
}

// eventFacts are what is known of an event.
type eventFacts struct {
	id, name, channel, position string
	session, user, exclude      string
	at                          time.Time // when it was accepted
	size                        int
}

func factsOf(ev *broker.Event) eventFacts {
	// Copies, since they may be parts of something large.
	f := eventFacts{id: strings.Clone(ev.ID), name: strings.Clone(ev.Name), channel: strings.Clone(ev.Channel), session: strings.Clone(ev.SocketID),
		user: strings.Clone(ev.UserID), exclude: strings.Clone(ev.Exclude), at: ev.Time, size: len(ev.Data)}
	if !ev.Position.IsZero() {
		f.position = ev.Position.String()
	}
	return f
}

// way is the way of an event to one session.
type way struct {
	user  string
	steps []wayStep
}

type wayStep struct {
	at     time.Time
	step   broker.DeliveryStep
	queued int    // messages before it
	bytes  int    // bytes before it
	slow   bool   // of a failure: it was cut off
	text   string // of a failure
}
