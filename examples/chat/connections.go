package main

import (
	"context"
	"sync"

	"github.com/carillon-rt/carillon/broker"
)

// connections are the open ones, with whose they are. Its zero value has none, and
// its methods are safe for concurrent use.
type connections struct {
	mu   sync.Mutex
	open map[string]*connection // by socket ID
}

type connection struct {
	session *broker.Session
	login   login
	// looking says that somebody has the page in view.
	looking bool
}

func (cs *connections) add(l login, s *broker.Session) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.note(l, s)
}

// note returns the connection of a session. The caller holds cs.mu.
func (cs *connections) note(l login, s *broker.Session) *connection {
	if cs.open == nil {
		cs.open = make(map[string]*connection)
	}
	if cs.open[s.ID()] == nil {
		cs.open[s.ID()] = &connection{session: s, login: l}
	}
	return cs.open[s.ID()]
}

func (cs *connections) remove(s *broker.Session) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.open, s.ID())
}

// any reports whether anybody is connected.
func (cs *connections) any() bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return len(cs.open) > 0
}

// close ends the connections of a login.
func (cs *connections) close(loginID string) {
	for _, s := range cs.of(func(c *connection) bool { return c.login.id == loginID }) {
		s.Close(broker.CloseTerminated)
	}
}

// again has a user's connections end and be made anew, with what is known of the user now.
func (cs *connections) again(userID int64) {
	for _, s := range cs.ofUser(userID) {
		s.Close(broker.CloseExpired)
	}
}

// unsubscribe takes a user's connections off a channel.
func (cs *connections) unsubscribe(ctx context.Context, userID int64, channel string) {
	for _, s := range cs.ofUser(userID) {
		s.Unsubscribe(ctx, channel)
	}
}

// has reports whether a user is connected, signed in on the connection or not.
func (cs *connections) has(userID int64) bool {
	return len(cs.ofUser(userID)) > 0
}

func (cs *connections) ofUser(id int64) []*broker.Session {
	return cs.of(func(c *connection) bool { return c.login.user.ID == id })
}

func (cs *connections) of(match func(*connection) bool) (found []*broker.Session) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, c := range cs.open {
		if match(c) {
			found = append(found, c.session)
		}
	}
	return found
}

// look notes whether a session's page is looked at. The hook that adds it may come only
// after the page has said so; the one that removes it comes after its context has ended.
func (cs *connections) look(l login, s *broker.Session, looking bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if s.Context().Err() == nil {
		cs.note(l, s).looking = looking
	}
}

// lookedAt reports whether any of a user's connections is looked at.
func (cs *connections) lookedAt(userID int64) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, c := range cs.open {
		if c.looking && c.login.user.ID == userID {
			return true
		}
	}
	return false
}
