package console

import "strings"

// filter says which entries of the log somebody wants to see.
type filter struct {
	app, session, user string
	channel, event     wanted
	kinds              kindSet
	text               wanted
	payloads           bool // the text is looked for in data as well
}

// filter reads what a call says of it.
func (c *Console) filter(k *call) (f filter, err error) {
	f = filter{app: k.query.Get("app"), session: k.query.Get("session"), user: k.query.Get("user"),
		channel: whole(k.query.Get("channel")), event: whole(k.query.Get("event")),
		text: part(k.query.Get("q")), payloads: !c.redact.payloads}
	f.kinds, err = parseKinds(k.query.Get("kind"))
	return f, err
}

// textsSearched are those in which a text is looked for.
var textsSearched = []int{textEvent, textChannel, textMessage, textReason, textUser, textSession, textURL, textID}

func (f *filter) lets(e *logged) bool {
	if !f.kinds.has(e.kind) || f.app != "" && e.text(textApp) != f.app || f.session != "" && e.text(textSession) != f.session ||
		f.user != "" && e.text(textUser) != f.user || !f.channel.in(e.text(textChannel)) || !f.event.in(e.text(textEvent)) {
		return false
	}
	if f.text.any() {
		return true
	}
	if f.payloads && f.text.within(e.text(textData)) {
		return true
	}
	for _, i := range textsSearched {
		if f.text.within(e.text(i)) {
			return true
		}
	}
	return false
}

// within looks for the text, or for a pattern, anywhere.
func (w wanted) within(text string) bool {
	if w.pattern {
		return matches("*"+w.text+"*", strings.ToLower(text))
	}
	return w.in(text)
}
