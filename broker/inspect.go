package broker

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

// What this file offers is for people who look into a broker: a console, a health page,
// an operator's own tools. Nothing in it waits for a store, and nothing holds up
// publishing for longer than it takes to copy a list of pointers.

// Sessions yields the sessions on this node, those of all apps, in no order. One that is
// there all the while comes once.
func (b *Broker) Sessions() iter.Seq[*Session] {
	return func(yield func(*Session) bool) {
		b.sessions.Range(func(_ string, s *Session) bool { return yield(s) })
	}
}

// Apps returns the IDs of the apps that have sessions on this node, sorted.
func (b *Broker) Apps() []string {
	b.quotas.mu.Lock()
	defer b.quotas.mu.Unlock()
	return slices.Sorted(maps.Keys(b.quotas.apps))
}

// SessionCount is how many sessions the app has on this node.
func (a *App) SessionCount() int { return a.broker.quotas.of(a.id) }

// Sessions yields the app's sessions on this node, in no order, holding no lock. It goes
// through those of all apps. Each that is there all the while comes once.
func (a *App) Sessions() iter.Seq[*Session] {
	return func(yield func(*Session) bool) {
		a.broker.sessions.Range(func(_ string, s *Session) bool { return s.app != a.id || yield(s) })
	}
}

// Session returns the app's session with the given socket ID, or nil.
func (a *App) Session(socketID string) *Session {
	if s := a.broker.Session(socketID); s != nil && s.app == a.id {
		return s
	}
	return nil
}

// ChannelCount is how many of the app's channels have clients on this node.
func (a *App) ChannelCount() int { return a.broker.channels.countOf(a.id) }

// OpenChannel is a channel that has a subscription on this node.
type OpenChannel struct {
	ID   ChannelID
	Kind Kind
	// Rule is the pattern of the channel's rule; empty if it has none.
	Rule string
	// Sessions and InProcess are how many subscriptions clients and Go code have.
	Sessions, InProcess int
}

// OpenChannels yields the channels that have a subscription on this node, those of all
// apps, in no order. It asks the store nothing: see App.Channels for the members.
func (b *Broker) OpenChannels() iter.Seq[OpenChannel] {
	return func(yield func(OpenChannel) bool) {
		b.channels.all(func(c *channel) bool {
			c.mu.Lock()
			open := OpenChannel{c.id, c.kind, c.rule.Pattern, c.sessions, len(c.subs) - c.sessions}
			gone := c.gone
			c.mu.Unlock()
			return gone || yield(open)
		})
	}
}

// ChannelSession is a session's subscription to a channel.
type ChannelSession struct {
	Session *Session
	Channel string
	// UserID is the member that the session is on a presence channel; else empty.
	UserID string
}

// Subscribers returns the subscriptions of clients on this node to a channel, in no
// order, at most limit of them, and how many there are. A channel without any is no
// error. Errors wrap ErrInvalid.
func (a *App) Subscribers(channel string, limit int) (some []ChannelSession, total int, err error) {
	if err := CheckChannelName(channel); err != nil {
		return nil, 0, err
	}
	c := a.broker.channels.load(ChannelID{App: a.id, Name: channel})
	if c == nil {
		return nil, 0, nil
	}
	c.mu.Lock()
	subs, total := slices.Clone(c.subs), c.sessions
	c.mu.Unlock()
	some = make([]ChannelSession, 0, max(min(limit, total), 0))
	for _, s := range subs {
		if len(some) >= limit {
			break
		}
		if s.session != nil {
			some = append(some, s.describe())
		}
	}
	return some, total, nil
}

// Rule returns how a channel behaves: the rule that matches it, or the zero ChannelRule.
// Errors wrap ErrInvalid.
func (a *App) Rule(channel string) (ChannelRule, error) {
	if err := CheckChannelName(channel); err != nil {
		return ChannelRule{}, err
	}
	return *a.broker.rule(ChannelID{App: a.id, Name: channel}), nil
}

// Retention says how much a channel of this name keeps under the rule: a cache channel
// keeps one event where the rule keeps none.
func (r *ChannelRule) Retention(channel string) Retention { return r.retention(KindOf(channel)) }

// Since is when the session was made.
func (s *Session) Since() time.Time { return time.Unix(0, s.since) }

// Channels returns the session's subscriptions, in no order, at most limit of them, and
// how many there are.
func (s *Session) Channels(limit int) (some []ChannelSession, total int) {
	s.subsMu.Lock()
	defer s.subsMu.Unlock()
	for _, sub := range s.subs {
		if len(some) >= limit {
			break
		}
		some = append(some, sub.describe())
	}
	return some, len(s.subs)
}

func (s *subscriber) describe() ChannelSession {
	c := ChannelSession{Session: s.session, Channel: s.channel.id.Name}
	if s.isMember() {
		c.UserID = s.userID
	}
	return c
}

// StoreInfo says what keeps the events of a broker.
type StoreInfo struct {
	// Name is the store's type, such as "sqlite.Store".
	Name string
	storage.Capabilities
	// Search and Amend say that the store finds events by their words, and amends them.
	Search, Amend bool
}

// Store describes the store of events.
func (b *Broker) Store() StoreInfo {
	var store any = b.history
	if calls, ok := b.history.(*historyCalls); ok {
		store = calls.store
	}
	_, search := store.(storage.Search)
	_, amend := store.(storage.Amend)
	return StoreInfo{strings.TrimPrefix(fmt.Sprintf("%T", store), "*"), storage.CapabilitiesOf(store), search, amend}
}

// Traffic is what a protocol's handler has exchanged with clients over its sockets since it
// was made. Transports that do not count are left out.
type Traffic struct {
	// MessagesIn and BytesIn are what clients have sent, without framing, MessagesOut and
	// BytesOut what they were sent, framing included.
	MessagesIn, BytesIn, MessagesOut, BytesOut int64
}
