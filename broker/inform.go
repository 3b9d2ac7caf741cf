package broker

import (
	"context"
	"time"

	"github.com/carillon-rt/carillon/internal/fairqueue"
	"github.com/carillon-rt/carillon/presence"
)

// telling is how one of the hooks is called with its values.
type telling[T any] struct {
	name   InformingHook
	class  int
	change fairqueue.Change
	hook   func(*Hooks) func(context.Context, T)
	about  func(T) subject
	// size is how many bytes a value takes on top of hookCallBytes; nil means none.
	size func(T) int
}

// hookCallBytes is about how many bytes a queued call takes, without names and data.
const hookCallBytes = 256

// inform queues one call for each set of hooks that has the hook and wants it. The
// hook is given the values of ctx.
func inform[T any](ctx context.Context, h *hookSets, t *telling[T], value T) {
	for _, n := range h.sets() {
		f := t.hook(n.hooks)
		if f == nil {
			continue
		}
		about := t.about(value)
		if n.hooks.Wants != nil && !n.hooks.Wants(about.app, t.name) {
			continue
		}
		queue(h.context(ctx), n, t, about, value, f)
	}
}

// queue queues one call. It is apart from inform so that a value that nobody hears of
// is not allocated.
func queue[T any](ctx context.Context, n *hookSet, t *telling[T], about subject, value T, f func(context.Context, T)) {
	size := hookCallBytes + len(about.channel) + len(about.user)
	if t.size != nil {
		size += t.size(value)
	}
	n.call(hookCall{Class: t.class, Change: t.change, Key: about, Size: size, Value: func() { f(ctx, value) }})
}

// hookContext has the values of one context, and the end of another.
type hookContext struct {
	context.Context // ends when hooks have to be over
	values          context.Context
}

// Value implements context.Context.
func (c hookContext) Value(key any) any {
	if value := c.values.Value(key); value != nil {
		return value
	}
	// Package context asks for its own, so that contexts made of this one need no
	// goroutine.
	return c.Context.Value(key)
}

// context is the context of a hook that is called for something done under ctx.
func (h *hookSets) context(ctx context.Context) context.Context {
	if ctx == context.Background() {
		return h.time
	}
	return hookContext{h.time, context.WithoutCancel(ctx)}
}

func changeOf(app string, ev *Event, s *Session) EventChange {
	c := EventChange{App: app, Event: *ev, Session: s}
	c.Event.Exclude, c.Event.Prev = "", Position{} // for those who hand it out
	return c
}

func aboutSession(c SessionChange) subject { return subject{app: c.Session.app, session: c.Session} }
func aboutMember(c MemberChange) subject {
	return subject{app: c.App, channel: c.Channel, user: c.Member.UserID}
}
func aboutUser(c UserChange) subject       { return subject{app: c.App, user: c.UserID} }
func aboutChannel(c ChannelChange) subject { return subject{app: c.App, channel: c.Channel} }
func memberSize(c MemberChange) int        { return len(c.Member.Info) }
func aboutEvent(c EventChange) subject     { return subject{app: c.App} }
func eventSize(c EventChange) int {
	return len(c.Event.Channel) + len(c.Event.Name) + len(c.Event.Data)
}
func aboutSubscription(c SubscriptionChange) subject {
	return subject{app: c.Session.app, channel: c.Channel, session: c.Session}
}
func subscriptionSize(c SubscriptionChange) int {
	if c.Member == nil {
		return 0
	}
	return len(c.Member.UserID) + len(c.Member.Info)
}

var (
	connected = &telling[SessionChange]{name: HookConnected, class: ofSessions, change: fairqueue.Appears,
		hook: func(h *Hooks) func(context.Context, SessionChange) { return h.Connected }, about: aboutSession}
	disconnected = &telling[SessionChange]{name: HookDisconnected, class: ofSessions, change: fairqueue.Vanishes,
		hook: func(h *Hooks) func(context.Context, SessionChange) { return h.Disconnected }, about: aboutSession}
	memberJoined = &telling[MemberChange]{name: HookMemberJoined, class: ofMembers, change: fairqueue.Appears,
		hook: func(h *Hooks) func(context.Context, MemberChange) { return h.MemberJoined }, about: aboutMember, size: memberSize}
	memberLeft = &telling[MemberChange]{name: HookMemberLeft, class: ofMembers, change: fairqueue.Vanishes,
		hook: func(h *Hooks) func(context.Context, MemberChange) { return h.MemberLeft }, about: aboutMember, size: memberSize}
	userOnline = &telling[UserChange]{name: HookUserOnline, class: ofUsers, change: fairqueue.Appears,
		hook: func(h *Hooks) func(context.Context, UserChange) { return h.UserOnline }, about: aboutUser}
	userOffline = &telling[UserChange]{name: HookUserOffline, class: ofUsers, change: fairqueue.Vanishes,
		hook: func(h *Hooks) func(context.Context, UserChange) { return h.UserOffline }, about: aboutUser}
	channelOccupied = &telling[ChannelChange]{name: HookChannelOccupied, class: ofChannels, change: fairqueue.Appears,
		hook: func(h *Hooks) func(context.Context, ChannelChange) { return h.ChannelOccupied }, about: aboutChannel}
	channelVacated = &telling[ChannelChange]{name: HookChannelVacated, class: ofChannels, change: fairqueue.Vanishes,
		hook: func(h *Hooks) func(context.Context, ChannelChange) { return h.ChannelVacated }, about: aboutChannel}
	subscriptionCount = &telling[ChannelChange]{name: HookSubscriptionCount, class: ofCounts,
		hook: func(h *Hooks) func(context.Context, ChannelChange) { return h.SubscriptionCount }, about: aboutChannel}
	cacheMissed = &telling[ChannelChange]{name: HookCacheMissed, class: ofMisses,
		hook: func(h *Hooks) func(context.Context, ChannelChange) { return h.CacheMissed }, about: aboutChannel}
	gapTold = &telling[ChannelChange]{name: HookGap, class: ofGaps,
		hook: func(h *Hooks) func(context.Context, ChannelChange) { return h.Gap }, about: aboutChannel}
	clientEventSent = &telling[EventChange]{name: HookClientEventSent, class: ofClientEvents,
		hook: func(h *Hooks) func(context.Context, EventChange) { return h.ClientEventSent }, about: aboutEvent, size: eventSize}
	published = &telling[EventChange]{name: HookPublished, class: ofPublished,
		hook: func(h *Hooks) func(context.Context, EventChange) { return h.Published }, about: aboutEvent, size: eventSize}
	subscribed = &telling[SubscriptionChange]{name: HookSubscribed, class: ofSubscriptions, change: fairqueue.Appears,
		hook: func(h *Hooks) func(context.Context, SubscriptionChange) { return h.Subscribed }, about: aboutSubscription, size: subscriptionSize}
	unsubscribed = &telling[SubscriptionChange]{name: HookUnsubscribed, class: ofSubscriptions, change: fairqueue.Vanishes,
		hook: func(h *Hooks) func(context.Context, SubscriptionChange) { return h.Unsubscribed }, about: aboutSubscription, size: subscriptionSize}
)

// channelOccupied tells hooks and observers, as do those below.
func (h *hookSets) channelOccupied(is bool, change ChannelChange) {
	ctx := context.Background()
	if is {
		observe(ctx, h, change.App, ObserveChannelOccupied, ChannelOccupied(change))
		inform(ctx, h, channelOccupied, change)
	} else {
		observe(ctx, h, change.App, ObserveChannelVacated, ChannelVacated(change))
		inform(ctx, h, channelVacated, change)
	}
}

// observe is apart so that a value that nobody hears of is not allocated.
func observe[T Observation](ctx context.Context, h *hookSets, app string, kind ObservationKind, o T) {
	if observers := &h.faults.observers; observers.want(app, kind) {
		observers.tell(ctx, app, o)
	}
}

func (h *hookSets) memberJoined(ctx context.Context, ch ChannelID, m presence.Member) {
	if !h.any() && !h.faults.observers.any() {
		return // without asking for the time
	}
	change := MemberChange{App: ch.App, Channel: ch.Name, Member: m, Time: time.Now()}
	observe(ctx, h, ch.App, ObserveMemberJoined, MemberJoined(change))
	inform(ctx, h, memberJoined, change)
}

func (h *hookSets) memberLeft(ctx context.Context, ch ChannelID, d presence.Departure) {
	change := MemberChange{App: ch.App, Channel: ch.Name, Member: d.Member, Time: d.Time}
	observe(ctx, h, ch.App, ObserveMemberLeft, MemberLeft(change))
	inform(ctx, h, memberLeft, change)
}

// userChanged tells the hooks.
func (h *hookSets) userChanged(ctx context.Context, change UserChange, online bool) {
	if online {
		observe(ctx, h, change.App, ObserveUserOnline, UserOnline(change))
		inform(ctx, h, userOnline, change)
	} else {
		observe(ctx, h, change.App, ObserveUserOffline, UserOffline(change))
		inform(ctx, h, userOffline, change)
	}
}
