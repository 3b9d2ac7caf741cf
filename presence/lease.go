package presence

import (
	"context"
	"maps"
	"time"

	"github.com/carillon-rt/carillon/internal/contain"
	"github.com/carillon-rt/carillon/storage"
)

const (
	// Lease is how long the connections of a node stay on a shared store after the node
	// has last renewed them. Every third of it, each node renews its own, and expires
	// the leases of others that have ended: the members of a process that was killed
	// leave within 4/3 of it.
	Lease = 20 * time.Second
	// lookEvery is how often a node looks for changes that it was not notified of,
	// and lookAlone where the store notifies of none.
	lookEvery = 10 * time.Second
	lookAlone = time.Second
	// rejoinPause is how long a node waits with connections that could not join again.
	rejoinPause = time.Second
)

// lease has this node hold a lease before its first connection joins.
func (s *shared) lease(ctx context.Context) error {
	s.mu.Lock()
	ready := s.leased || s.closed
	s.mu.Unlock()
	if ready {
		return nil
	}
	if _, err := s.t.store.Renew(ctx, s.t.node, Lease); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leased = true
	return nil
}

// begin starts what goes on in the background until Close.
func (s *shared) begin() {
	s.running.Go(func() {
		s.every(Lease/3, func() {
			// In this order: a node that was away for long is not to expire itself.
			s.renew()
			s.expire()
		})
	})
	look := func() { s.hear(storage.PresenceChange{}) }
	if s.Watch == nil {
		s.running.Go(func() { s.every(lookAlone, look) })
		return
	}
	s.running.Go(func() { s.every(lookEvery, look) })
	s.running.Go(func() {
		s.every(lookAlone, func() {
			if err := s.watch(); s.ctx.Err() == nil {
				s.Failed("presence notifications", err)
				look()
			}
		})
	})
}

// watch takes notifications until there are no more.
func (s *shared) watch() (err error) {
	defer contain.Recover(&err)
	return s.Watch.WatchPresence(s.ctx, s.hear)
}

// every calls f at once, and then again and again until Close.
func (s *shared) every(d time.Duration, f func()) {
	ticker := time.NewTicker(d)
	defer ticker.Stop()
	for {
		f()
		select {
		case <-ticker.C:
		case <-s.ctx.Done():
			return
		}
	}
}

// renew keeps the node's connections. If they were given up meanwhile they join
// again.
func (s *shared) renew() {
	s.mu.Lock()
	leased := s.leased
	s.mu.Unlock()
	if !leased {
		return // nobody has joined yet
	}
	held, err := s.t.store.Renew(s.ctx, s.t.node, Lease)
	if err != nil {
		if s.ctx.Err() == nil {
			s.Failed("presence renewal", err)
		}
		return
	}
	if !held {
		s.lapsed()
	}
}

// lapsed has all connections of the node join again, unless that is going on: then
// once more.
func (s *shared) lapsed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lapses++
	if s.lapses == 1 && !s.closed {
		s.running.Go(s.rejoin)
	}
}

// rejoin adds all connections of the node that the store may have taken away, and
// does not give up. It holds up no renewal.
func (s *shared) rejoin() {
	for lapses := 0; ; {
		s.mu.Lock()
		if lapses == s.lapses {
			s.lapses = 0
			s.mu.Unlock()
			return
		}
		lapses = s.lapses
		missing := maps.Clone(s.own)
		s.mu.Unlock()
		for len(missing) > 0 {
			var failed error
			for key, m := range missing {
				if err := s.rejoin1(key, m); err != nil {
					failed = err
				} else {
					delete(missing, key)
				}
			}
			if failed == nil {
				break
			}
			select {
			case <-s.ctx.Done():
				return
			case <-time.After(rejoinPause):
				s.Failed("presence join", failed)
			}
		}
	}
}

func (s *shared) rejoin1(key ownConn, m Member) error {
	ch := key.channel
	order, err := s.t.lock(s.ctx, ch, m.UserID)
	if err != nil {
		return err
	}
	defer order.Unlock()
	s.mu.Lock()
	_, there := s.own[key]
	s.mu.Unlock()
	if !there {
		return nil // it has left meanwhile
	}
	out, err := s.t.store.Join(s.ctx, ch, storage.Connection{Node: s.t.node, ID: key.conn}, m, storage.JoinOptions{})
	if err != nil || !out.First {
		return err
	}
	c := storage.PresenceChange{Channel: ch, Member: m, Joined: true, Count: out.Count, Revision: out.Revision, Prev: out.Prev, Time: time.Now()}
	if v := s.view(ch, false); v != nil {
		s.arrive(s.ctx, v, c, nil)
	} else if ch.Name == "" {
		s.userCame(c)
	}
	if of, ok := ofNodes(ch); !ok {
		s.Joined(c)
	} else if out.Occupied() {
		s.Occupied(of, true)
	}
	return nil
}

// userCame tells watchers of a user. The caller holds the user's order.
func (s *shared) userCame(c storage.PresenceChange) {
	s.mu.Lock()
	app, id := c.Channel.App, c.Member.UserID
	changed := s.Watched(app, id) && s.learned(app, id, true)
	s.mu.Unlock()
	if changed {
		s.Changed(c)
	}
}

// expire takes away the connections of nodes that are gone, and tells of it where
// the store gives that to this node.
func (s *shared) expire() {
	departures, err := s.t.store.Expire(s.ctx)
	if err != nil && s.ctx.Err() == nil {
		s.Failed("presence expiry", err)
	}
	if len(departures) == 0 {
		return
	}
	// Whatever holds up one of their channels is not to hold up the next renewal.
	s.running.Go(func() {
		for _, d := range departures {
			s.expired(d)
		}
	})
}

func (s *shared) expired(d Departure) {
	ch := d.Channel
	order, err := s.t.lock(context.WithoutCancel(s.ctx), ch, d.Member.UserID)
	if err != nil {
		return
	}
	defer order.Unlock()
	if v := s.view(ch, false); v != nil {
		s.arrive(s.ctx, v, d.Change(), nil)
	} else if ch.Name == "" {
		s.userWent(d)
	}
	s.t.userLeft(ch, d.Member.UserID)
	if of, ok := ofNodes(ch); !ok {
		s.Left(d)
	} else if d.Vacated() {
		s.Occupied(of, false)
	}
}

// userWent tells watchers of a user. The caller holds the user's order.
func (s *shared) userWent(d Departure) {
	s.mu.Lock()
	app, id := d.Channel.App, d.Member.UserID
	changed := s.Watched(app, id) && s.learned(app, id, false)
	s.mu.Unlock()
	if changed {
		s.Changed(d.Change())
	}
}

// close ends all that goes on in the background, and waits for it.
func (s *shared) close() {
	if s == nil {
		return
	}
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.end()
	s.running.Wait()
}
