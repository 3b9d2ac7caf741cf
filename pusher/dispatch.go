package pusher

import (
	"errors"
	"fmt"
	"strings"

	"github.com/carillon-rt/carillon/broker"
)

// Receive implements transport.Receiver.
func (c *connection) Receive(data []byte) {
	c.intake.weight = 1
	c.handle(data, *c.limits)
	c.pace(len(data))
}

func (c *connection) handle(data []byte, limits Limits) {
	f, err := parseClientMessage(data, limits)
	c.observe(&f, len(data))
	if err != nil {
		c.refuse(0, err.Error())
		return
	}
	switch {
	case f.event == "pusher:ping":
		c.answer(pongMessage)
	case f.event == "pusher:pong":
	case f.event == "pusher:subscribe":
		c.subscribe(f, limits)
	case f.event == "pusher:unsubscribe":
		c.unsubscribe(f)
	case f.event == "pusher:history":
		c.history(f)
	case f.event == "pusher:signin":
		c.signIn(f, limits)
	case amendEvents[f.event] != 0:
		c.amend(f, amendEvents[f.event], limits)
	case strings.HasPrefix(f.event, "client-"):
		c.clientEvent(f, limits)
	default:
		c.refuse(0, fmt.Sprintf("event %q is unknown: events of clients start with client-", f.event))
	}
}

// observe tells the broker's observers of a message, which is empty if it makes no sense.
func (c *connection) observe(f *clientMessage, bytes int) {
	b := c.handler.broker
	if !b.Observes(c.app.ID, broker.ObserveMessageReceived) {
		return
	}
	channel := f.channel
	if channel == "" && len(f.data) > 0 {
		channel, _ = f.unsubscribe() // where subscriptions name it, too
	}
	b.Observe(c.session.Context(), c.app.ID, broker.MessageReceived{Session: c.session, Event: f.event, Channel: channel, Bytes: bytes})
}

func (c *connection) subscribe(f clientMessage, limits Limits) {
	sub, err := f.subscribe()
	switch {
	case err == nil:
	case sub.channel == "":
		c.refuse(0, err.Error())
		return
	default: // until it is told, the page waits for the channel
		c.refuseSubscription(sub.channel, "InvalidRequest", err.Error(), 400)
		return
	}
	req := broker.SubscribeRequest{Channel: sub.channel}
	resumes := askForPositions(&req, sub.resume)
	kind := broker.KindOf(sub.channel)
	if kind.NeedsAuthorization() {
		signed := verifyChannelAuth(c.latest(), c.session.ID(), sub.channel, sub.channelData, sub.auth)
		if req.Authorized = signed == nil; req.Authorized {
			resumes = resumes || askBySignature(&req, sub.channelData)
			if req.Expires, err = authorizationEnd(sub.channelData); err != nil {
				c.refuseSubscription(sub.channel, "AuthError", err.Error(), 400)
				return
			}
		}
		if kind.Base() == broker.Presence && sub.channelData != "" && req.Authorized {
			m, err := parseChannelData(sub.channelData, limits)
			if err != nil {
				c.refuseSubscription(sub.channel, "AuthError", err.Error(), 400)
				return
			}
			req.Member = &m
		}
		if err = c.session.Subscribe(c.session.Context(), req); errors.Is(err, broker.ErrUnauthorized) && signed != nil {
			err = fmt.Errorf("%w: %w", broker.ErrUnauthorized, signed)
		}
	} else {
		err = c.session.Subscribe(c.session.Context(), req)
	}
	switch {
	case err == nil:
		c.paid()
		if kind.NeedsAuthorization() { // by a signature, or by a hook
			c.unauthorized.Store(false)
		}
	case errors.Is(err, broker.ErrSubscribed):
		c.refuse(0, "Existing subscription to channel "+sub.channel)
	case errors.Is(err, broker.ErrClosed):
	case resumes && isFailure(err):
		// A page whose subscription is refused does not ask again until it reconnects.
		e := closing(err)
		c.fail(e.code, e.message)
	default:
		a := answerTo(err)
		c.refuseSubscription(sub.channel, a.kind, a.text, a.status)
		if errors.Is(err, ErrSignature) { // clients other than pusher-js know no other reason
			c.refuse(0, expectedSignature(c.session.ID(), sub))
		}
	}
}

func (c *connection) unsubscribe(f clientMessage) {
	channel, err := f.unsubscribe()
	if err != nil {
		c.refuse(0, err.Error())
		return
	}
	if c.session.Unsubscribe(c.session.Context(), channel) {
		c.paid()
	}
}

func (c *connection) signIn(f clientMessage, limits Limits) {
	c.intake.weight = answerWeight
	in, err := f.signIn()
	if err != nil {
		c.fail(4009, err.Error())
		return
	}
	if err := verifyUserAuth(c.latest(), c.session.ID(), in.userData, in.auth); err != nil {
		c.fail(4009, "sign-in: "+err.Error())
		return
	}
	user, err := parseUserData(in.userData, limits)
	if err != nil {
		c.fail(4009, "sign-in: "+err.Error())
		return
	}
	var watched int
	user.Watchlist, watched = firstUsers(user.Watchlist, limits.Watchlist)
	err = c.session.SignIn(c.session.Context(), user, func() {
		c.session.Send(signinSuccess(in.userData))
		if watched > limits.Watchlist {
			c.refuse(4302, fmt.Sprintf("watchlist has %d users, the limit is %d: the first %[2]d are watched", watched, limits.Watchlist))
		}
	})
	switch {
	case err == nil:
		c.unauthorized.Store(false)
	case errors.Is(err, broker.ErrClosed):
	default:
		e := closing(err)
		c.fail(e.code, "sign-in: "+e.message)
	}
}

// firstUsers returns the first of the users, at most max, and how many there are.
// A user who is named twice counts once.
func firstUsers(ids []string, max int) (first []string, all int) {
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		if !seen[id] && len(first) < max {
			first = append(first, id)
		}
		seen[id] = true
	}
	return first, len(seen)
}

func (c *connection) clientEvent(f clientMessage, limits Limits) {
	if c.latest().DisableClientEvents {
		c.refuse(0, "client events are not enabled for this app")
		return
	}
	ev, err := f.clientEvent(limits)
	if err != nil {
		c.refuse(0, err.Error())
		return
	}
	err = c.session.ClientEvent(c.session.Context(), broker.ClientEventRequest{
		Channel: ev.channel, Event: f.event, Data: ev.data, JSON: ev.json,
	})
	if err != nil {
		a := answerTo(err)
		c.refuse(a.event, "client event rejected: "+a.text)
	}
}
