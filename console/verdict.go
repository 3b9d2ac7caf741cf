package console

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/carillon-rt/carillon/broker"
)

// Verdicts of a step.
const (
	stepOK      = "ok"
	stepStop    = "stop"
	stepWait    = "wait"
	stepUnknown = "unknown"
)

// Verdicts of a session, or of all that were asked about.
const (
	got     = "got"
	notGot  = "not-got"
	partly  = "partly"
	unknown = "unknown"
)

// traceStep is a step as the API has it.
type traceStep struct {
	At      int64   `json:"at,omitempty"`
	AfterMs float64 `json:"afterMs"`
	Step    string  `json:"step"`
	Verdict string  `json:"verdict"`
	Text    string  `json:"text"`
	TookMs  float64 `json:"tookMs,omitempty"`
}

// outcome is what became of an event for one session.
type outcome struct {
	Session string      `json:"session"`
	User    string      `json:"user,omitempty"`
	Verdict string      `json:"verdict"`
	Reason  string      `json:"reason"`
	Text    string      `json:"text"`
	Steps   []traceStep `json:"steps"`
}

// end decides the outcome by its last step.
func (o *outcome) end(verdict, reason, text string) {
	o.Verdict, o.Reason, o.Text = verdict, reason, text
}

func (o *outcome) step(began, at time.Time, step, verdict, text string) *traceStep {
	s := traceStep{Step: step, Verdict: verdict, Text: text}
	if !at.IsZero() {
		s.At = millis(at)
		if !began.IsZero() {
			s.AfterMs = ms(at.Sub(began))
		}
	}
	o.Steps = append(o.Steps, s)
	return &o.Steps[len(o.Steps)-1]
}

// walk tells what the recorded steps of an event say of a session that it was handed out to.
func (w *way) walk(session string, e *tracedEvent, now time.Time) outcome {
	o := outcome{Session: session, User: w.user}
	began := e.facts.at
	o.step(began, e.handed, "subscribed", stepOK, "the session was subscribed when the event was handed out")
	var parked, queued time.Time
	// They are told of by those who do them, which may be in another order.
	steps := slices.SortedStableFunc(slices.Values(w.steps), func(a, b wayStep) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.step, b.step))
	})
	for _, s := range steps {
		switch s.step {
		case broker.DeliveryExcluded:
			o.step(began, s.at, "excluded", stepStop, excludedText(e, session))
			o.end(notGot, "excluded", excludedText(e, session))
		case broker.DeliveryParked:
			parked = s.at
			o.step(began, s.at, "parked", stepWait, "it waits behind the start of the subscription: its success and past events")
			o.end(notGot, "parked", "It still waits behind the start of the subscription, for "+roughly(now.Sub(s.at))+" so far.")
		case broker.DeliveryHad:
			o.step(began, s.at, "already-had", stepOK, "it was among the past events that the subscription began with")
			o.end(got, "already-had", "The session had it already: it was among the past events that its subscription began with.")
		case broker.DeliveryQueued:
			queued = s.at
			step := o.step(began, s.at, "queued", stepOK, queuedText(s))
			if !parked.IsZero() {
				step.TookMs = ms(s.at.Sub(parked))
			}
			o.end(notGot, "queued", fmt.Sprintf("It is in the session's queue for %s so far: its client reads slowly, or its network is slow.", roughly(now.Sub(s.at))))
		case broker.DeliveryWritten:
			step := o.step(began, s.at, "written", stepOK, "it was handed to the system for the socket")
			text := "The session got it " + roughly(s.at.Sub(began)) + " after it was accepted."
			if !queued.IsZero() {
				step.TookMs = ms(s.at.Sub(queued))
				text = fmt.Sprintf("The session got it %s after it was accepted; it was in the queue for %s.", roughly(s.at.Sub(began)), roughly(s.at.Sub(queued)))
			}
			o.end(got, "written", text)
		case broker.DeliveryFailed:
			if s.slow {
				o.step(began, s.at, "cut-off", stepStop, "the session was cut off, since more waited for it than may: "+s.text)
				o.end(notGot, "cut-off", "The session was cut off as too slow: "+s.text+".")
			} else {
				o.step(began, s.at, "closed", stepStop, "its connection was closed: "+s.text)
				o.end(notGot, "closed", "The connection was closed before the event could be written.")
			}
		case broker.DeliverySilent:
			o.step(began, s.at, "excluded", stepStop, "the session's protocol has no words for this event")
			o.end(notGot, "excluded", "The protocol that the session speaks has no words for this event.")
		}
	}
	if o.Verdict == "" {
		o.end(unknown, "not-recorded", "Its way to this session was not recorded to the end.")
	}
	return o
}

func excludedText(e *tracedEvent, session string) string {
	switch {
	case e.facts.session == session:
		return "the session has published it itself"
	case e.facts.exclude == session:
		return "its publisher has excluded this session"
	case e.facts.session != "":
		return "the session's client has published it itself, over an earlier connection"
	}
	return "its publisher has excluded this session, or an earlier one of its client"
}

func queuedText(s wayStep) string {
	if s.queued == 0 {
		return "it was put into the session's queue, which was empty"
	}
	return fmt.Sprintf("it was put into the session's queue, behind %s messages, %s bytes", number(s.queued), number(s.bytes))
}

// absent tells why a session did not get an event that was handed out without it: it was not
// subscribed. What is known of its subscription says more.
func absent(session, user string, e *tracedEvent, at time.Time, notes []note) outcome {
	o := outcome{Session: session, User: user}
	o.end(notGot, "not-subscribed", "The session was not subscribed to the channel when the event was handed out.")
	var before, after *note
	for i := range notes {
		n := &notes[i]
		if n.session != session || n.channel != "" && n.channel != e.facts.channel {
			continue
		}
		if !n.at.After(at) {
			before = n
		} else if after == nil {
			after = n
		}
	}
	began := e.facts.at
	if before != nil {
		switch before.what {
		case noteClosed:
			o.end(notGot, "unsubscribed-before", "The session had left the channel "+roughly(at.Sub(before.at))+" before.")
		case noteRefused:
			o.step(time.Time{}, before.at, "refused", stepStop, "its subscription was refused: "+before.text)
			o.end(notGot, "subscription-refused", "The session's subscription had been refused: "+before.text+".")
		}
	}
	o.step(began, at, "not-subscribed", stepStop, o.Text)
	if after != nil && after.what == noteOpened && o.Reason == "not-subscribed" {
		o.step(began, after.at, "subscribed", stepUnknown, "it subscribed "+roughly(after.at.Sub(at))+" later")
		o.end(notGot, "subscribed-later", "The session subscribed only "+roughly(after.at.Sub(at))+" after the event was handed out.")
	}
	return o
}

// state is what is known of a session's being on a channel at a time.
type state uint8

const (
	stateUnknown state = iota
	stateOff
	stateOn
)

// at says whether the session was on a channel at a time, as far as it was recorded.
func (s *trackedSession) at(channel string, t time.Time) state {
	if t.Before(s.since) {
		return stateUnknown
	}
	for _, sp := range s.spans[channel] {
		switch {
		case t.Before(sp.asked):
		case t.Before(sp.from):
			return stateUnknown // it was being subscribed
		case sp.to.IsZero() || t.Before(sp.to):
			return stateOn
		}
	}
	if s.lost {
		return stateUnknown
	}
	return stateOff
}

// notes makes notes of what is known of a session's subscriptions.
func (s *trackedSession) notes(session string) (notes []note) {
	for channel, spans := range s.spans {
		for _, sp := range spans {
			notes = append(notes, note{at: sp.from, session: session, channel: channel, what: noteOpened})
			if !sp.to.IsZero() {
				notes = append(notes, note{at: sp.to, session: session, channel: channel, what: noteClosed})
			}
		}
	}
	return notes
}
