package console

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

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
	f.counts = make(map[string]int)
	for _, o := range all {
		f.counts[o.Verdict]++
	}
	a.Got = f.counts[got]
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

// inProcess reports whether every step of the event was recorded, and none to a session.
func (f *finding) inProcess() bool {
	return f.traced != nil && f.exact && f.traced.known && f.traced.to > 0 && f.traced.excluded == 0 && f.traced.lost == 0
}

// sum says in one sentence what the outcomes come to.
func sum(a *answer, f *finding) {
	all := len(a.Sessions) + a.MoreSessions
	switch {
	case all == 0 && f.inProcess():
		a.end(notGot, "not-subscribed", "No session was subscribed to the channel when the event was handed out: it went to "+subscribers(f.to)+" within the program.")
	case len(a.Sessions) == 0 && !f.nobody && (f.traced == nil || !f.exact || f.traced.to > 0):
		a.end(unknown, "not-recorded", f.whyNot())
	case len(a.Sessions) == 0:
		a.end(notGot, "not-subscribed", "Nobody was subscribed to the channel when the event was handed out.")
	case len(a.Sessions) == 1:
		o := a.Sessions[0]
		a.end(o.Verdict, o.Reason, o.Text)
	case f.counts[got] == all:
		a.end(got, "written", fmt.Sprintf("All %d sessions got it.", all))
	case f.counts[got] > 0:
		a.end(partly, a.Sessions[0].Reason, fmt.Sprintf("%d of %d sessions got it.", f.counts[got], all))
	case f.counts[unknown] > 0:
		text := f.whyNot()
		if i := slices.IndexFunc(a.Sessions, func(o outcome) bool { return o.Verdict == unknown }); i >= 0 {
			text = a.Sessions[i].Text
		}
		a.end(unknown, "not-recorded", text)
	default:
		a.end(notGot, a.Sessions[0].Reason, fmt.Sprintf("None of %d sessions got it. %s", all, a.Sessions[0].Text))
	}
	if a.Verdict == unknown && a.Reason == "not-recorded" {
		a.missing("what became of it for each session", "steps are recorded from the moment on that a channel, a session or a user is armed: arm it, and publish again")
	}
}
