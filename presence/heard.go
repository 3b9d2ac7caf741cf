package presence

import (
	"maps"
	"slices"

	"github.com/carillon-rt/carillon/storage"
)

const (
	// maxHeard is how many notified changes of a channel wait to be taken in; more
	// are read from the store instead.
	maxHeard = 64
	// hearers is how many channels are looked at at a time.
	hearers = 8
	// maxCounted is how many channels one look at the store asks for.
	maxCounted = 1000
)

// heardChanges are the channels that may have changed.
type heardChanges struct {
	channels map[storage.ChannelID][]storage.PresenceChange // with the changes that were told
	order    []storage.ChannelID
	all      bool // any channel may have
	working  int
	looking  bool // whether all is being seen to
}

// hear notes that a channel may have changed, and has somebody look at it. It never
// blocks.
func (s *shared) hear(c storage.PresenceChange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &s.heard
	switch {
	case s.closed:
		return
	case c.Channel == storage.ChannelID{}:
		h.all = true
	case c.Channel.Name == "" && s.observed[c.Channel.App] == nil, c.Channel.Name != "" && s.views[c.Channel] == nil:
		return
	default:
		waiting, ok := h.channels[c.Channel]
		if !ok {
			h.order = append(h.order, c.Channel)
		}
		if len(waiting) < maxHeard {
			waiting = append(waiting, c)
		}
		if h.channels == nil {
			h.channels = make(map[storage.ChannelID][]storage.PresenceChange)
		}
		h.channels[c.Channel] = waiting
	}
	if h.working < hearers {
		h.working++
		s.running.Go(s.work)
	}
}

// work looks at channels until there is none left to look at.
func (s *shared) work() {
	for {
		s.mu.Lock()
		h := &s.heard
		if s.closed || len(h.order) == 0 && (!h.all || h.looking) {
			h.working--
			s.mu.Unlock()
			return
		}
		if h.all && !h.looking {
			h.all, h.looking = false, true
			s.mu.Unlock()
			s.look()
			s.mu.Lock()
			h.looking = false
			s.mu.Unlock()
			continue
		}
		ch := h.order[0]
		h.order = h.order[1:]
		changes := h.channels[ch]
		delete(h.channels, ch)
		s.mu.Unlock()
		if ch.Name == "" {
			s.hearOfUsers(ch, changes)
		} else {
			s.hearOfMembers(ch, changes)
		}
	}
}

// hearOfMembers takes in what was notified of a channel.
func (s *shared) hearOfMembers(ch storage.ChannelID, changes []storage.PresenceChange) {
	order, err := s.t.lock(s.ctx, ch, "")
	if err != nil {
		return
	}
	defer order.Unlock()
	v := s.view(ch, false)
	if v == nil || v.revision.IsZero() {
		return
	}
	slices.SortFunc(changes, func(a, b storage.PresenceChange) int { return a.Revision.Compare(b.Revision) })
	for _, c := range changes {
		if c.Member.UserID == "" {
			// No more than a hint: it is not next, whatever it says.
			c.Prev = storage.Position{}
		}
		s.arrive(s.ctx, v, c, nil)
	}
}

// look asks the store which channels have changed. It finds what was not notified.
func (s *shared) look() {
	s.mu.Lock()
	channels := slices.Collect(maps.Keys(s.views))
	for app := range s.observed {
		channels = append(channels, storage.ChannelID{App: app})
	}
	s.mu.Unlock()
	for some := range slices.Chunk(channels, maxCounted) {
		counts, err := s.t.store.Counts(s.ctx, some)
		if err != nil {
			if s.ctx.Err() == nil {
				s.Failed("presence count", err)
			}
			return
		}
		for i, ch := range some {
			if s.behind(ch, counts[i].Revision) {
				s.hear(storage.PresenceChange{Channel: ch, Revision: counts[i].Revision})
			}
		}
	}
}

// behind reports whether a channel has changed since it was looked at.
func (s *shared) behind(ch storage.ChannelID, revision storage.Position) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ch.Name == "" {
		return s.online[ch.App] != revision
	}
	v := s.views[ch]
	return v != nil && !v.revision.IsZero() && revision.After(v.revision)
}
