package broker

import "github.com/carillon-rt/carillon/internal/fairqueue"

// InformingHook names one of the hooks that inform.
type InformingHook uint8

// The hooks that inform, by the names of their fields in Hooks.
const (
	HookConnected InformingHook = iota + 1
	HookDisconnected
	HookMemberJoined
	HookMemberLeft
	HookUserOnline
	HookUserOffline
	HookChannelOccupied
	HookChannelVacated
	HookSubscriptionCount
	HookCacheMissed
	HookGap
	HookClientEventSent
)

// The classes of calls of hooks. Each has room of its own in the queue.
const (
	ofSessions = iota
	ofMembers
	ofUsers
	ofChannels
	ofCounts
	ofMisses
	ofGaps
	ofClientEvents
	classes
)

// subject is what a call of a hook is about: a session, a channel, a member of one, or
// a user.
type subject struct {
	app, channel, user string
	session            *Session
}

// telling is how one of the hooks is called with its values.
type telling[T any] struct {
	name   InformingHook
	class  int
	change fairqueue.Change
	hook   func(*Hooks) func(T)
	about  func(T) subject
	// size is how many bytes a value takes on top of noticeBytes; nil means none.
	size func(T) int
}

// noticeBytes is about how many bytes a queued call takes, without names and data.
const noticeBytes = 256

// inform queues one call for each set of hooks that has the hook and wants it.
func inform[T any](b *Broker, t *telling[T], value T) {
	for _, n := range b.hookSets() {
		about := t.about(value)
		if n.hooks.Wants != nil && !n.hooks.Wants(about.app, t.name) {
			continue
		}
		f := t.hook(n.hooks)
		if f == nil {
			continue
		}
		size := noticeBytes + len(about.channel) + len(about.user)
		if t.size != nil {
			size += t.size(value)
		}
		n.call(notice{Class: t.class, Change: t.change, Key: about, Size: size, Value: func() { f(value) }})
	}
}

// sentEvent is what ClientEventSent is called with.
type sentEvent struct {
	app string
	ev  *Event
}

func aboutSession(c SessionChange) subject { return subject{app: c.Session.app, session: c.Session} }
func aboutMember(c MemberChange) subject {
	return subject{app: c.App, channel: c.Channel, user: c.Member.UserID}
}
func aboutUser(c UserChange) subject       { return subject{app: c.App, user: c.UserID} }
func aboutChannel(c ChannelChange) subject { return subject{app: c.App, channel: c.Channel} }
func memberSize(c MemberChange) int        { return len(c.Member.Info) }

var (
	connected = &telling[SessionChange]{name: HookConnected, class: ofSessions, change: fairqueue.Appears,
		hook: func(h *Hooks) func(SessionChange) { return h.Connected }, about: aboutSession}
	disconnected = &telling[SessionChange]{name: HookDisconnected, class: ofSessions, change: fairqueue.Vanishes,
		hook: func(h *Hooks) func(SessionChange) { return h.Disconnected }, about: aboutSession}
	memberJoined = &telling[MemberChange]{name: HookMemberJoined, class: ofMembers, change: fairqueue.Appears,
		hook: func(h *Hooks) func(MemberChange) { return h.MemberJoined }, about: aboutMember, size: memberSize}
	memberLeft = &telling[MemberChange]{name: HookMemberLeft, class: ofMembers, change: fairqueue.Vanishes,
		hook: func(h *Hooks) func(MemberChange) { return h.MemberLeft }, about: aboutMember, size: memberSize}
	userOnline = &telling[UserChange]{name: HookUserOnline, class: ofUsers, change: fairqueue.Appears,
		hook: func(h *Hooks) func(UserChange) { return h.UserOnline }, about: aboutUser}
	userOffline = &telling[UserChange]{name: HookUserOffline, class: ofUsers, change: fairqueue.Vanishes,
		hook: func(h *Hooks) func(UserChange) { return h.UserOffline }, about: aboutUser}
	channelOccupied = &telling[ChannelChange]{name: HookChannelOccupied, class: ofChannels, change: fairqueue.Appears,
		hook: func(h *Hooks) func(ChannelChange) { return h.ChannelOccupied }, about: aboutChannel}
	channelVacated = &telling[ChannelChange]{name: HookChannelVacated, class: ofChannels, change: fairqueue.Vanishes,
		hook: func(h *Hooks) func(ChannelChange) { return h.ChannelVacated }, about: aboutChannel}
	subscriptionCount = &telling[ChannelChange]{name: HookSubscriptionCount, class: ofCounts,
		hook: func(h *Hooks) func(ChannelChange) { return h.SubscriptionCount }, about: aboutChannel}
	cacheMissed = &telling[ChannelChange]{name: HookCacheMissed, class: ofMisses,
		hook: func(h *Hooks) func(ChannelChange) { return h.CacheMissed }, about: aboutChannel}
	gapTold = &telling[ChannelChange]{name: HookGap, class: ofGaps,
		hook: func(h *Hooks) func(ChannelChange) { return h.Gap }, about: aboutChannel}
	clientEventSent = &telling[sentEvent]{name: HookClientEventSent, class: ofClientEvents,
		hook: func(h *Hooks) func(sentEvent) {
			if h.ClientEventSent == nil {
				return nil
			}
			return func(s sentEvent) { h.ClientEventSent(s.app, *s.ev) }
		},
		about: func(s sentEvent) subject { return subject{app: s.app} },
		size:  func(s sentEvent) int { return len(s.ev.Channel) + len(s.ev.Name) + len(s.ev.Data) }}
)
