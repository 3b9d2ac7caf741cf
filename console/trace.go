package console

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
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
	Event        *tracedJSON       `json:"event"`
	Question     question          `json:"question"`
	Verdict      string            `json:"verdict"`
	Reason       string            `json:"reason"`
	Text         string            `json:"text"`
	Common       []traceStep       `json:"common"`
	Sessions     []outcome         `json:"sessions"`
	MoreSessions int               `json:"moreSessions"`
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
	since   time.Time // of the arm that traced or tracked
	gone    bool      // its arm had it, and has forgotten it
	from    time.Time // of the oldest entry of the log
}

// find looks for the event: in what is armed, in the log, and in what the channel has kept.
func (c *Console) find(k *call, f *finding) error {
	q := &f.question
	if oldest, _, _ := c.journal.bounds(); true {
		if e, ok := c.journal.at(oldest); ok {
			f.from = e.at
		}
	}
	if q.Seq != 0 {
		e, ok := c.journal.at(q.Seq)
		if !ok {
			return notFound("This entry is no longer in the log.")
		}
		q.App, q.Channel, q.Event = e.text(textApp), e.text(textChannel), e.text(textID)
		c.fromLog(f, &e)
	} else {
		filter := filter{app: q.App, kinds: 1<<kindPublish | 1<<kindClientEvent}
		c.newest(&filter, 1<<62, func(e *logged) bool {
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

func (c *Console) fromLog(f *finding, e *logged) {
	switch e.kind {
	case kindPublish, kindClientEvent:
	case kindRefusePublish, kindAPI, kindRefuseSubscribe, kindRefuseConnect, kindRefuseRequest:
		if e.text(textReason) != "" {
			f.refused, f.refusal = e, c.line(e)
			return
		}
	default:
	}
	f.logged, f.seq = true, e.seq
	f.to, f.took = e.to, e.took
	f.nobody = e.to == 0 && e.passed == 0
	f.facts = &eventFacts{id: e.text(textID), name: e.text(textEvent), channel: e.text(textChannel), position: e.text(textPosition),
		session: e.text(textSession), user: e.text(textUser), exclude: e.text(textReason), at: e.at.Add(-e.took), size: e.size}
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

// answer puts together what was found.
func (f *finding) answer() *answer {
	a := &answer{Question: f.question, Common: []traceStep{}, Sessions: []outcome{}, NotRecorded: []notRecordedJSON{},
		ArmedSince: millis(f.since), RecordedFrom: millis(f.from)}
	if f.refused != nil {
		f.wasRefused(a)
		return a
	}
	if f.facts == nil {
		a.end(unknown, "not-recorded", "Nothing is known of this event.")
		a.missing("the event", "it is neither in the log, nor in what the channel has kept, nor was anything armed for it")
		return a
	}
	e := f.facts
	a.Event = &tracedJSON{ID: e.id, Seq: f.seq, At: millis(e.at), Name: e.name, Channel: e.channel, Size: e.size, Position: e.position, Session: e.session, User: e.user}
	f.common(a)
	f.outcomes(a)
	sum(a, f)
	return a
}

func (f *finding) wasRefused(a *answer) {
	e := f.refused
	a.Event = &tracedJSON{Seq: e.seq, At: millis(e.at), Name: e.text(textEvent), Channel: e.text(textChannel), Size: e.size,
		Session: e.text(textSession), User: e.text(textUser)}
	a.Common = append(a.Common, traceStep{At: millis(e.at), Step: "refused", Verdict: stepStop, Text: f.refusal})
	a.end(notGot, e.text(textReason), "It never became an event: "+f.refusal+".")
}

// common are the steps of the event before it came to any session.
func (f *finding) common(a *answer) {
	e := f.facts
	by := "by the server side"
	if e.session != "" {
		by = "from session " + e.session
	}
	if e.user != "" {
		by += ", user " + e.user
	}
	a.Common = append(a.Common, traceStep{At: millis(e.at), Step: "accepted", Verdict: stepOK, Text: "accepted " + by})
	if e.position != "" {
		a.Common = append(a.Common, traceStep{Step: "stored", Verdict: stepOK, Text: "stored at " + e.position})
	}
	switch t := f.traced; {
	case t != nil && !t.handed.IsZero():
		a.Common = append(a.Common, traceStep{At: millis(t.handed), AfterMs: ms(t.handed.Sub(e.at)), Step: "order", Verdict: stepOK,
			Text: "it took its place among the channel's events"})
		fallthrough
	case f.logged || t != nil && t.known:
		text := "handed out to " + subscribers(f.to)
		a.Common = append(a.Common, traceStep{At: millis(e.at.Add(f.took)), AfterMs: ms(f.took), Step: "handed-out", Verdict: stepOK, Text: text, TookMs: ms(f.took)})
	default:
		a.missing("when it was handed out, and to how many", "it is not in the log: nobody looked, or the log has gone on")
	}
}

// outcomes says what became of the event for each session that was asked about.
func (f *finding) outcomes(a *answer) {
	q := &f.question
	var all []outcome
	switch {
	case q.Session != "":
		all = append(all, f.session(q.Session, ""))
	case q.User != "":
		for id, user := range f.sessionsOf(q.User) {
			all = append(all, f.session(id, user))
		}
		if len(all) == 0 {
			all = append(all, f.noSession(q.User))
		}
	case f.traced != nil:
		for id := range f.traced.sessions {
			all = append(all, f.session(id, ""))
		}
	}
	slices.SortFunc(all, func(a, b outcome) int {
		return cmp.Or(cmp.Compare(order[a.Verdict], order[b.Verdict]), strings.Compare(a.User, b.User), strings.Compare(a.Session, b.Session))
	})
	if len(all) > maxOutcomes {
		a.MoreSessions, all = len(all)-maxOutcomes, all[:maxOutcomes]
	}
	if f.traced != nil && f.traced.lost > 0 {
		a.missing("the way to some sessions", fmt.Sprintf("%s steps had no room", number(f.traced.lost)))
	}
	a.Sessions = append(a.Sessions, all...)
}

// order puts those first who did not get it.
var order = map[string]int{notGot: 0, unknown: 1, got: 2}

// sessionsOf finds the sessions of a user in what was recorded.
func (f *finding) sessionsOf(user string) map[string]string {
	found := make(map[string]string)
	if f.traced != nil {
		for id, w := range f.traced.sessions {
			if w.user == user {
				found[id] = user
			}
		}
	}
	for id, s := range f.tracked {
		if s.user == user && (s.ended.IsZero() || !s.ended.Before(f.facts.at)) {
			found[id] = user
		}
	}
	for _, n := range f.notes {
		if n.user == user && n.channel == f.question.Channel {
			found[n.session] = user
		}
	}
	return found
}

// noSession is for a user of whom nothing was recorded.
func (f *finding) noSession(user string) outcome {
	o := outcome{User: user, Steps: []traceStep{}}
	switch {
	case f.nobody || f.traced != nil && f.exact && f.traced.lost == 0:
		o.step(f.facts.at, f.handed(), "not-subscribed", stepStop, "no session of this user was subscribed when the event was handed out")
		o.end(notGot, "not-subscribed", "No session of this user was subscribed to the channel when the event was handed out.")
	default:
		o.end(unknown, "not-recorded", "It was not recorded which sessions of this user were subscribed then.")
	}
	return o
}

// handed is when the event was handed out.
func (f *finding) handed() time.Time {
	if f.traced != nil && !f.traced.handed.IsZero() {
		return f.traced.handed
	}
	return f.facts.at.Add(f.took)
}

// session says what became of the event for one session.
func (f *finding) session(id, user string) outcome {
	at := f.handed()
	if f.traced != nil {
		if w := f.traced.sessions[id]; w != nil {
			return w.walk(id, f.traced, f.now)
		}
	}
	tracked := f.tracked[id]
	if tracked != nil {
		user = cmp.Or(user, tracked.user)
	}
	notes := f.notes
	if tracked != nil {
		notes = append(slices.Clone(notes), tracked.notes(id)...)
		slices.SortFunc(notes, func(a, b note) int { return a.at.Compare(b.at) })
	}
	e := f.traced
	if e == nil {
		e = &tracedEvent{facts: *f.facts}
	}
	off := tracked != nil && tracked.at(f.question.Channel, at) == stateOff
	if f.nobody || off || f.traced != nil && f.exact && f.traced.lost == 0 {
		return absent(id, user, e, at, notes)
	}
	o := outcome{Session: id, User: user, Steps: []traceStep{}}
	if f.facts.exclude != "" && f.facts.exclude == id {
		o.step(f.facts.at, at, "excluded", stepStop, excludedText(e, id))
		o.end(notGot, "excluded", "The session did not get it: "+excludedText(e, id)+".")
		return o
	}
	o.end(unknown, "not-recorded", f.whyNot())
	return o
}

// whyNot says why the way to a session is not known.
func (f *finding) whyNot() string {
	switch {
	case f.gone:
		return "It was recorded, but has made room for later events since."
	case f.traced != nil && f.traced.lost > 0:
		return "Its way was recorded for other sessions only: there was no room for all."
	case !f.since.IsZero():
		return "The session was subscribing at that moment, or was not followed yet."
	}
	return "Nothing was armed for the channel, the session or the user when the event was published."
}

// sum says in one sentence what the outcomes come to.
func sum(a *answer, f *finding) {
	counts := make(map[string]int)
	for _, o := range a.Sessions {
		counts[o.Verdict]++
	}
	switch {
	case len(a.Sessions) == 0 && !f.nobody && (f.traced == nil || !f.exact || f.traced.to > 0):
		a.end(unknown, "not-recorded", f.whyNot())
	case len(a.Sessions) == 0:
		a.end(notGot, "not-subscribed", "Nobody was subscribed to the channel when the event was handed out.")
	case len(a.Sessions) == 1:
		o := a.Sessions[0]
		a.end(o.Verdict, o.Reason, o.Text)
	case counts[got] == len(a.Sessions):
		a.end(got, "written", fmt.Sprintf("All %d sessions got it.", len(a.Sessions)+a.MoreSessions))
	case counts[got] > 0:
		a.end(partly, a.Sessions[0].Reason, fmt.Sprintf("%d of %d sessions got it.", counts[got], len(a.Sessions)))
	case counts[unknown] > 0:
		a.end(unknown, "not-recorded", a.Sessions[slices.IndexFunc(a.Sessions, func(o outcome) bool { return o.Verdict == unknown })].Text)
	default:
		a.end(notGot, a.Sessions[0].Reason, fmt.Sprintf("None of %d sessions got it. %s", len(a.Sessions), a.Sessions[0].Text))
	}
	if a.Verdict == unknown && a.Reason == "not-recorded" {
		a.missing("what became of it for each session", "steps are recorded from the moment on that a channel, a session or a user is armed: arm it, and publish again")
	}
}

// armJSON is an arm as the API has it.
type armJSON struct {
	ID        string `json:"id"`
	App       string `json:"app"`
	Channel   string `json:"channel,omitempty"`
	Session   string `json:"session,omitempty"`
	User      string `json:"user,omitempty"`
	Since     int64  `json:"since"`
	Until     int64  `json:"until"`
	Events    int    `json:"events"`
	Forgotten int    `json:"forgotten"`
	Steps     int    `json:"steps"`
}

func (a *arm) json() armJSON {
	out := armJSON{ID: a.id, App: a.app, Channel: a.channel, Session: a.session, User: a.user, Since: millis(a.since), Until: millis(a.until),
		Events: len(a.events), Forgotten: a.forgotten}
	for _, e := range a.events {
		out.Steps += e.steps
	}
	return out
}

func (c *Console) armed(*call) (any, error) {
	c.traces.mu.Lock()
	defer c.traces.mu.Unlock()
	list := []armJSON{}
	for _, a := range c.traces.arms {
		list = append(list, a.json())
	}
	return struct {
		Armed []armJSON `json:"armed"`
		Limit int       `json:"limit"`
	}{list, c.traces.most}, nil
}

func (c *Console) arm(k *call) (any, error) {
	var asked struct {
		App     string `json:"app"`
		Channel string `json:"channel"`
		Session string `json:"session"`
		User    string `json:"user"`
		Minutes int    `json:"minutes"`
	}
	if err := k.body(&asked); err != nil {
		return nil, err
	}
	given := 0
	for _, s := range []string{asked.Channel, asked.Session, asked.User} {
		if s != "" {
			given++
		}
	}
	switch {
	case asked.App == "":
		return nil, invalid("app", "is missing")
	case given != 1:
		return nil, invalid("channel", "has to be given, or a session or a user: one of them")
	}
	if asked.Channel != "" {
		if err := broker.CheckChannelName(asked.Channel); err != nil {
			return nil, err
		}
	}
	lasts := time.Duration(asked.Minutes) * time.Minute
	if asked.Minutes == 0 {
		lasts = min(armTime, c.limits.ArmedTime)
	}
	if lasts < time.Minute && asked.Minutes != 0 || lasts > c.limits.ArmedTime {
		return nil, invalid("minutes", fmt.Sprintf("has to be from 1 to %d", int(c.limits.ArmedTime.Minutes())))
	}
	if len(asked.Session) > maxParameter || len(asked.User) > maxParameter {
		return nil, invalid("session", "is too long, or user")
	}
	a := &arm{app: asked.App, channel: asked.Channel, session: asked.Session, user: asked.User}
	if err := c.armFor(k.broker, a, lasts); err != nil {
		return nil, c.tooManyArms()
	}
	c.traces.mu.Lock()
	defer c.traces.mu.Unlock()
	return a.json(), nil
}

func (c *Console) tooManyArms() error {
	return &apiError{status: http.StatusTooManyRequests, Code: "too_many",
		Text: fmt.Sprintf("%d traces are armed already: end one, or wait until it ends.", c.limits.Armed)}
}

func (c *Console) disarm(k *call) (any, error) {
	if !c.traces.remove(k.query.Get("id")) {
		return nil, notFound("This trace has ended.")
	}
	c.wantsChanged()
	return okay{true}, nil
}
