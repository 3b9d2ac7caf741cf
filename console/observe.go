package console

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/carillon-rt/carillon/broker"
)

// WantsObservation implements broker.ObservationFilter. Of what happens often it wants
// nothing unless somebody looks, or the little that the log takes in any case.
func (c *Console) WantsObservation(_ string, kind broker.ObservationKind) bool {
	switch kind {
	case broker.ObserveEventPublished:
		return c.looking.Load() || c.idle.Load() > 0
	case broker.ObserveMessageReceived:
		return false // counted by the handler
	}
	return true
}

// Observe implements broker.Observer.
func (c *Console) Observe(_ context.Context, o broker.Observation) {
	switch o := o.(type) {
	case broker.EventPublished:
		c.published(&o)
	case broker.FanOut:
		if o.Written > 0 {
			c.latency.add(o.Last)
		}
	case broker.Delivery:
		c.traces.delivered(&o)
	case broker.StoreCall:
		c.storeCalled(&o)
	case broker.WebhookSent:
		c.webhookSent(&o)
	case broker.WebhookDropped:
		c.webhookDropped(&o)
	default:
		r := record{facts: facts{at: time.Now()}}
		if c.fill(&r, o) {
			c.writeCounted(&r)
		}
	}
}

// write writes an entry, and returns its number: 0 if the log has taken all that it may in
// this second.
func (c *Console) write(r *record) uint64 {
	if c.quota.Add(-1) < 0 {
		return 0
	}
	return c.journal.add(r)
}

// writeCounted writes an entry of which nobody else knows, or counts it as left out.
func (c *Console) writeCounted(r *record) {
	if c.write(r) == 0 {
		c.overQuota.Add(1)
	}
}

func (c *Console) published(o *broker.EventPublished) {
	if !c.looking.Load() && c.idle.Add(-1) < 0 {
		return
	}
	ev := o.Event
	r := record{facts: facts{at: time.Now(), kind: kindPublish, took: o.Took, size: len(ev.Data), json: ev.JSON, to: o.Subscribers, passed: o.Excluded}}
	if ev.SocketID != "" {
		r.kind = kindClientEvent
	}
	r.texts = [texts]string{textApp: o.App, textChannel: ev.Channel, textEvent: ev.Name, textID: ev.ID, textSession: ev.SocketID, textUser: ev.UserID}
	if ev.Exclude != "" {
		r.texts[textReason] = ev.Exclude
	}
	if !ev.Position.IsZero() {
		r.texts[textPosition] = ev.Position.String()
	}
	if !c.redact.payloads {
		r.data = ev.Data
	}
	seq := c.write(&r)
	if seq != 0 {
		c.recorded.Add(1)
	}
	c.traces.published(o, seq)
}

// of fills in what is known of a session.
func (c *Console) of(r *record, s *broker.Session) {
	if s == nil {
		return
	}
	r.texts[textApp], r.texts[textSession] = s.App(), s.ID()
	if !c.redact.addresses {
		r.texts[textIP] = s.IP()
	}
	if u := s.User(); u != nil {
		r.texts[textUser] = u.ID
	}
}

// refused fills in why, and counts it.
func (c *Console) refused(r *record, what string, err error) {
	reason, detail := reasonOf(err)
	r.texts[textReason], r.texts[textMessage] = reason, errorText(err)
	c.refusals.add(what, detail, r.at)
}

// fill makes an entry of what was observed, and reports whether there is one.
func (c *Console) fill(r *record, o broker.Observation) bool {
	switch o := o.(type) {
	case broker.SessionOpened:
		r.kind = kindConnect
		c.of(r, o.Session)
		r.texts[textReason] = o.Session.Conn().Info().Transport
	case broker.SessionRefused:
		r.kind = kindRefuseConnect
		r.texts[textApp] = o.App
		if !c.redact.addresses {
			r.texts[textIP] = o.IP
		}
		c.refused(r, "connect", o.Err)
	case broker.SessionClosed:
		r.kind, r.code, r.took = kindDisconnect, o.Code, o.Lasted
		c.of(r, o.Session)
		c.traces.ended(r.at, o.Session)
	case broker.SessionSlow:
		r.kind, r.size, r.to = kindSlow, o.Queue.Bytes, o.Queue.Messages
		c.of(r, o.Session)
		r.texts[textMessage] = errorText(o.Err)
		c.slow.add(slowSession{At: millis(r.at), App: o.Session.App(), Session: o.Session.ID(), IP: r.texts[textIP],
			User: r.texts[textUser], Messages: o.Queue.Messages, Bytes: o.Queue.Bytes})
	case broker.SubscriptionOpened:
		r.kind, r.took, r.to = kindSubscribe, o.Took, o.PastEvents
		c.of(r, o.Session)
		r.texts[textChannel] = o.Channel
		member(r, o.UserID)
		c.traces.subscribed(r.at, &o)
	case broker.SubscriptionRefused:
		r.kind, r.took = kindRefuseSubscribe, o.Took
		c.of(r, o.Session)
		r.texts[textChannel] = o.Channel
		c.refused(r, "subscribe", o.Err)
		c.traces.subscriptionRefused(r.at, &o)
	case broker.SubscriptionClosed:
		r.kind = kindUnsubscribe
		c.of(r, o.Session)
		r.texts[textChannel] = o.Channel
		member(r, o.UserID)
		c.traces.unsubscribed(r.at, &o)
	case broker.RequestRefused:
		r.kind = kindRefuseRequest
		c.of(r, o.Session)
		r.texts[textChannel], r.texts[textEvent] = o.Channel, o.Action
		c.refused(r, o.Action, o.Err)
	case broker.PublishRefused:
		r.kind, r.size = kindRefusePublish, o.Bytes
		r.texts[textApp] = o.App
		c.of(r, o.Session)
		r.texts[textChannel], r.texts[textEvent] = o.Channel, o.Event
		c.refused(r, "publish", o.Err)
	case broker.MemberJoined:
		change(r, kindJoin, o.App, o.Channel, o.Member.UserID)
	case broker.MemberLeft:
		change(r, kindLeave, o.App, o.Channel, o.Member.UserID)
	case broker.UserOnline:
		change(r, kindOnline, o.App, "", o.UserID)
	case broker.UserOffline:
		change(r, kindOffline, o.App, "", o.UserID)
	case broker.ChannelOccupied:
		change(r, kindOccupied, o.App, o.Channel, "")
	case broker.ChannelVacated:
		change(r, kindVacated, o.App, o.Channel, "")
	case broker.ChannelGap:
		change(r, kindGap, o.App, o.Channel, "")
		r.texts[textMessage] = errorText(o.Err)
		c.faults.add(r.at, "gap", o.App, o.Channel, errorText(o.Err))
	case broker.InProcessSlow:
		change(r, kindSlow, o.App, o.Channel, "")
		r.texts[textMessage] = errorText(o.Err)
	case broker.HooksDropped:
		r.kind, r.size = kindHook, o.Calls
		r.texts[textMessage] = fmt.Sprintf("%d calls of hooks were dropped: they are too slow", o.Calls)
		c.faults.add(r.at, "hooks", "", "", "calls of hooks were dropped: they are too slow")
	case broker.HookPanicked:
		r.kind = kindHook
		r.texts[textMessage] = fmt.Sprintf("panic in a %s: %.200s", o.What, fmt.Sprint(o.Value))
		c.faults.add(r.at, "hooks", "", "", r.texts[textMessage])
	case broker.APICalled:
		if o.Err == nil && !c.looking.Load() {
			return false // as often as what is published
		}
		r.kind, r.took, r.code, r.size = kindAPI, o.Took, o.Status, o.BytesIn
		r.texts[textApp], r.texts[textEvent], r.texts[textURL] = o.App, o.Method+" "+o.Route, o.Path
		if o.Err != nil {
			c.refused(r, "api", o.Err)
			if o.Status == http.StatusUnauthorized {
				r.texts[textReason] = bySignature
			}
		}
	default:
		return false
	}
	return true
}

func change(r *record, kind kind, app, channel, user string) {
	r.kind = kind
	r.texts[textApp], r.texts[textChannel], r.texts[textUser] = app, channel, user
}

// member names the user of a presence channel where the session has not signed in.
func member(r *record, user string) {
	if r.texts[textUser] == "" {
		r.texts[textUser] = user
	}
}

// slowCall is how long a call of the store may take before the log has it.
const slowCall = time.Second

func (c *Console) storeCalled(o *broker.StoreCall) {
	if o.Err == nil && o.Took < slowCall {
		if !c.storeWell.Load() {
			c.storeWell.Store(true)
		}
		return
	}
	now := time.Now()
	r := record{facts: facts{at: now, kind: kindStore, took: o.Took}}
	r.texts[textApp], r.texts[textChannel], r.texts[textEvent] = o.App, o.Channel, o.Operation
	if o.Err != nil {
		if isAnswer(o.Err) {
			return
		}
		r.texts[textMessage] = errorText(o.Err)
		c.storeWell.Store(false)
		c.faults.add(now, "store", o.App, o.Channel, o.Operation+": "+errorText(o.Err))
		c.storeFailure.Store(&storeFailure{At: millis(now), Op: o.Operation, Text: errorText(o.Err)})
	}
	c.writeCounted(&r)
}
