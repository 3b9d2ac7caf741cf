package broker

import (
	"context"
	"time"

	"github.com/carillon-rt/carillon/presence"
	"github.com/carillon-rt/carillon/storage"
)

// shareMembers has the broker hold a lease, and receive the members of other brokers on
// the same store, if there can be any.
func (b *Broker) shareMembers(store storage.Presence) {
	caps := storage.CapabilitiesOf(store)
	if !caps.Shared && !caps.Durable {
		return
	}
	if caps.Shared {
		b.channels.occupancy = b.tracker
	}
	watch, _ := store.(storage.WatchPresence)
	b.tracker.Share(presence.Sharing{
		Changed: b.membersChanged,
		Joined:  func(c storage.PresenceChange) { b.informJoined(c) },
		Left:    b.informLeft,
		Occupied: func(ch ChannelID, occupied bool) {
			b.hooks.channelOccupied(occupied, ChannelChange{App: ch.App, Channel: ch.Name, SubscriptionCount: b.sessionsOn(ch), Time: time.Now()})
		},
		Watched: func(app, userID string) bool { return len(b.watchers.Of(app, userID)) > 0 },
		Failed:  func(what string, err error) { _ = b.storeFailed(what, ChannelID{}, err) },
		Watch:   watch,
	})
}

// membersChanged sends the sessions of this broker a change that another broker has
// made. That one calls the hooks.
func (b *Broker) membersChanged(c storage.PresenceChange) {
	if c.Channel.Name == "" {
		b.sendToWatchers(c.Channel.App, c.Member.UserID, c.Joined)
		return
	}
	here := b.channels.load(c.Channel)
	if here == nil {
		return
	}
	if c.Joined {
		here.handOutNotice(nil, MemberAddedNotice{c.Channel.Name, c.Member})
	} else {
		here.handOutNotice(nil, MemberRemovedNotice{c.Channel.Name, c.Member})
	}
}

// informJoined calls the hooks for a member who joined again because a lease was renewed.
func (b *Broker) informJoined(c storage.PresenceChange) {
	if c.Channel.Name == "" {
		b.hooks.userChanged(context.Background(), UserChange{App: c.Channel.App, UserID: c.Member.UserID, Time: c.Time}, true)
	} else {
		b.hooks.memberJoined(context.Background(), c.Channel, c.Member)
	}
}

// informLeft tells the hooks of a member who has left with another broker.
func (b *Broker) informLeft(d presence.Departure) {
	if d.Channel.Name == "" {
		b.hooks.userChanged(context.Background(), UserChange{App: d.Channel.App, UserID: d.Member.UserID, Time: d.Time}, false)
	} else {
		b.hooks.memberLeft(context.Background(), d.Channel, d)
	}
}

// sessionsOn returns the number of client subscriptions of a channel here.
func (b *Broker) sessionsOn(ch ChannelID) int {
	if c := b.channels.load(ch); c != nil {
		return c.sessionCount()
	}
	return 0
}
