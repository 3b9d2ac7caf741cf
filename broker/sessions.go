package broker

import (
	"iter"
	"maps"
	"slices"
)

// Apps returns the IDs of the apps that have sessions on this node, sorted.
func (b *Broker) Apps() []string {
	b.quotas.mu.Lock()
	defer b.quotas.mu.Unlock()
	return slices.Sorted(maps.Keys(b.quotas.apps))
}

// SessionCount is how many sessions the app has on this node.
func (a *App) SessionCount() int {
	q := &a.broker.quotas
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.apps[a.id]
}

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

// Subscribers returns the sessions on this node that are subscribed to a channel, in no
// order; nil if there are none.
func (a *App) Subscribers(channel string) []*Session {
	c := a.broker.channels.load(ChannelID{App: a.id, Name: channel})
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions == 0 {
		return nil
	}
	sessions := make([]*Session, 0, c.sessions)
	for _, s := range c.subs {
		if s.session != nil {
			sessions = append(sessions, s.session)
		}
	}
	return sessions
}

// Rule returns the rule of a channel; the zero ChannelRule, whose pattern is empty, if none
// matches. An error wraps ErrInvalid.
func (a *App) Rule(channel string) (ChannelRule, error) {
	if err := CheckChannelName(channel); err != nil {
		return ChannelRule{}, err
	}
	return *a.broker.rule(ChannelID{App: a.id, Name: channel}), nil
}

// Channels returns the names of the channels that the session is subscribed to, sorted. It
// waits while the session subscribes to another, which may take as long as a call of a
// store.
func (s *Session) Channels() []string {
	s.op.Lock()
	defer s.op.Unlock()
	return slices.Sorted(maps.Keys(s.subs))
}

// Terminate closes the session's connection as App.TerminateUser does those of a user: its
// client does not come back by itself.
func (s *Session) Terminate() { s.Close(CloseTerminated) }
