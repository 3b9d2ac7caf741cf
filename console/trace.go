package console

import (
	"cmp"
	"slices"
	"time"

	"github.com/carillon-rt/carillon/broker"
)

// question is what somebody wants to know of an event.
type question struct {
	App     string `json:"app"`
	Channel string `json:"channel,omitempty"`
	Event   string `json:"event,omitempty"` // its ID
	Seq     uint64 `json:"seq,omitempty"`   // of the log
	Session string `json:"session,omitempty"`
	User    string `json:"user,omitempty"`
}

type notRecordedJSON struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

type tracedJSON struct {
	ID       string `json:"id,omitempty"`
	Seq      uint64 `json:"seq,omitempty"`
	At       int64  `json:"at,omitempty"`
	Name     string `json:"name,omitempty"`
	Channel  string `json:"channel"`
	Size     int    `json:"size"`
	Position string `json:"position,omitempty"`
	Session  string `json:"session,omitempty"`
	User     string `json:"user,omitempty"`
}

// answer is why a user did, or did not, get an event.
type answer struct {
	Event        *tracedJSON `json:"event"`
	Question     question    `json:"question"`
	Verdict      string      `json:"verdict"`
	Reason       string      `json:"reason"`
	Text         string      `json:"text"`
	Common       []traceStep `json:"common"`
	Sessions     []outcome   `json:"sessions"`
	MoreSessions int         `json:"moreSessions"`
	// Got is how many sessions got it, those that are not listed included.
	Got          int               `json:"got"`
	NotRecorded  []notRecordedJSON `json:"notRecorded"`
	ArmedSince   int64             `json:"armedSince,omitempty"`
	RecordedFrom int64             `json:"recordedFrom,omitempty"`
}

func (a *answer) end(verdict, reason, text string) {
	a.Verdict, a.Reason, a.Text = verdict, reason, text
}

func (a *answer) missing(what, why string) {
	a.NotRecorded = append(a.NotRecorded, notRecordedJSON{what, why})
}

// maxOutcomes is how many sessions an answer lists.
const maxOutcomes = 200

func (c *Console) trace(k *call) (any, error) {
	q := question{App: k.query.Get("app"), Channel: k.query.Get("channel"), Event: k.query.Get("event"),
		Session: k.query.Get("session"), User: k.query.Get("user")}
	seq, err := k.number("seq", 0, 1, 1<<62)
	if err != nil {
		return nil, err
	}
	q.Seq = uint64(seq)
	switch {
	case q.Event == "" && q.Seq == 0:
		return nil, invalid("event", "is missing: give its ID, or seq")
	case q.Seq == 0 && (q.App == "" || q.Channel == ""):
		return nil, invalid("channel", "is missing, or app: they are needed with an event's ID")
	case q.Session != "" && q.User != "":
		return nil, invalid("user", "cannot be given with session")
	}
	f := &finding{question: q, now: time.Now()}
	if err := c.find(k, f); err != nil {
		return nil, err
	}
	return f.answer(), nil
}

// finding is what is known of what was asked.
type finding struct {
	question question
	now      time.Time
	facts    *eventFacts // nil if nothing is known of the event
	seq      uint64
	// refused is the entry of the log that says that it was not accepted.
	refused *logged
	refusal string
	// nobody says that it is known to have been handed out to nobody.
	nobody bool
	to     int
	took   time.Duration
	logged bool
	// traced are the records of arms that cover the channel, best first, and tracked are
	// sessions that were followed at the time.
	traced  *tracedEvent
	exact   bool // traced has all sessions, and not only those that one arm is about
	notes   []note
	tracked map[string]*trackedSession
	since   time.Time      // of the arm that traced or tracked
	counts  map[string]int // of the sessions' verdicts, those that have no room in the answer included
	gone    bool           // its arm had it, and has forgotten it
	from    time.Time      // of the oldest entry of the log
}

// find looks for the event: in what is armed, in the log, and in what the channel has kept.
func (c *Console) find(k *call, f *finding) error {
	q := &f.question
	if oldest := c.journal.read(0, nil); len(oldest) > 0 {
		f.from = oldest[0].at
	}
	if q.Seq != 0 {
		e, ok := c.journal.at(q.Seq)
		if !ok {
			return notFound("This entry is no longer in the log.")
		}
		q.App, q.Channel, q.Event = e.text(textApp), e.text(textChannel), e.text(textID)
		if !c.fromLog(f, &e) {
			return invalid("seq", "is of an entry of the log that is about no event")
		}
	} else {
		filter := filter{app: q.App, kinds: 1<<kindPublish | 1<<kindClientEvent}
		c.newest(k.r.Context(), &filter, 1<<62, func(e *logged) bool {
			if e.text(textID) != q.Event || e.text(textChannel) != q.Channel {
				return true
			}
			c.fromLog(f, e)
			return false
		})
	}
	if f.refused != nil {
		return nil
	}
	c.traces.find(f)
	if f.facts == nil && q.Event != "" {
		return c.fromHistory(k, f)
	}
	return nil
}

// fromLog takes an entry of the log, and reports whether it tells of an event, or of a refusal.
func (c *Console) fromLog(f *finding, e *logged) bool {
	switch e.kind {
	case kindPublish, kindClientEvent:
	case kindRefusePublish, kindAPI, kindRefuseSubscribe, kindRefuseConnect, kindRefuseRequest:
		if e.text(textReason) == "" {
			return false
		}
		f.refused, f.refusal = e, c.line(e)
		return true
	default:
		return false
	}
	f.logged, f.seq = true, e.seq
	f.to, f.took = e.to, e.took
	f.nobody = e.to == 0 && e.passed == 0
	f.facts = &eventFacts{id: e.text(textID), name: e.text(textEvent), channel: e.text(textChannel), position: e.text(textPosition),
		session: e.text(textSession), user: e.text(textUser), exclude: e.text(textReason), at: e.at.Add(-e.took), size: e.size}
	return true
}

// historySearched is how many kept events are looked through for an ID.
const historySearched = 1000

func (c *Console) fromHistory(k *call, f *finding) error {
	q := &f.question
	app := k.broker.App(q.App)
	rule, err := app.Rule(q.Channel)
	if err != nil {
		return err
	}
	if rule.Retention(q.Channel).Events == 0 {
		return nil
	}
	for ev, err := range app.History(k.r.Context(), q.Channel, broker.Backward(), broker.AtMost(historySearched), broker.Log()) {
		if err != nil {
			return err
		}
		if ev.ID == q.Event {
			facts := factsOf(&ev)
			f.facts = &facts
			c.traces.find(f)
			break
		}
	}
	return nil
}

// find adds what arms know.
func (t *traces) find(f *finding) {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := &f.question
	f.tracked = make(map[string]*trackedSession)
	for _, a := range t.arms {
		if a.app != q.App || a.channel != "" && a.channel != q.Channel {
			continue
		}
		var found *tracedEvent
		for _, e := range a.events {
			if e.facts.channel == q.Channel && (q.Seq != 0 && e.seq == q.Seq || q.Event != "" && e.facts.id == q.Event) {
				found = e
			}
		}
		if found != nil && (f.traced == nil || a.channel != "" && !f.exact) {
			// Of an event that was being handed out when the arm came, some steps are missing.
			complete := !found.handed.IsZero() || found.known && found.to == 0
			f.traced, f.exact, f.since = found.clone(), a.channel != "" && complete, a.since
			f.facts, f.to, f.took = &f.traced.facts, found.to, found.took
			f.seq = cmp.Or(f.seq, found.seq)
			f.nobody = found.known && found.to == 0 && found.excluded == 0
		}
		f.notes = append(f.notes, a.notes...)
		for id, s := range a.tracked {
			if f.tracked[id] == nil {
				f.tracked[id] = s.clone()
			}
		}
		if found == nil && f.facts != nil && !f.facts.at.Before(a.since) {
			if f.since.IsZero() || a.since.Before(f.since) {
				f.since = a.since
			}
			f.gone = f.gone || a.forgotten > 0 && !f.facts.at.After(a.forgottenUpTo)
		}
	}
	slices.SortFunc(f.notes, func(a, b note) int { return a.at.Compare(b.at) })
}

func (e *tracedEvent) clone() *tracedEvent {
	c := *e
	c.sessions = make(map[string]*way, len(e.sessions))
	for id, w := range e.sessions {
		c.sessions[id] = &way{w.user, slices.Clone(w.steps)}
	}
	return &c
}

func (s *trackedSession) clone() *trackedSession {
	c := *s
	c.spans = make(map[string][]span, len(s.spans))
	for channel, spans := range s.spans {
		c.spans[channel] = slices.Clone(spans)
	}
	return &c
}
