package presence

import (
	"context"
	"strings"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

// nodesOn begins the name of a channel whose members are the nodes that have
// clients on another. No channel of an app is called so.
const nodesOn = ":"

// nodesOf names the channel of the nodes that have clients on a channel.
func nodesOf(ch storage.ChannelID) storage.ChannelID {
	return storage.ChannelID{App: ch.App, Name: nodesOn + ch.Name}
}

// ofNodes returns the channel whose nodes a channel is of, if it is one of nodes.
func ofNodes(ch storage.ChannelID) (storage.ChannelID, bool) {
	name, ok := strings.CutPrefix(ch.Name, nodesOn)
	return storage.ChannelID{App: ch.App, Name: name}, ok
}

// occupiers is how many channels are told to the store at a time.
const occupiers = 32

// occupancy is whether this node has clients on a channel.
type occupancy struct {
	wanted bool // as the caller says
	known  bool // as the store was told
	queued bool
}

// Occupy notes whether this node has clients on a channel. The latest state is stored
// in the background, and Sharing.Occupied is called on the one node whose change makes
// the channel occupied or vacant. It may only be called after Share.
func (t *Tracker) Occupy(ch storage.ChannelID, occupied bool) {
	s := t.shared
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.occupied[ch]
	if o == nil {
		o = new(occupancy)
		s.occupied[ch] = o
	}
	o.wanted = occupied
	s.settle(ch)
}

// settle has the store told of a channel, if need be. The caller holds mu.
func (s *shared) settle(ch storage.ChannelID) {
	o := s.occupied[ch]
	if o == nil || o.queued || o.wanted == o.known {
		return
	}
	o.queued = true
	s.toTell = append(s.toTell, ch)
	if s.tellers < occupiers {
		s.tellers++
		s.telling.Go(s.tellOccupancies)
	}
}

func (s *shared) tellOccupancies() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.toTell) > 0 {
		ch := s.toTell[0]
		s.toTell = s.toTell[1:]
		o := s.occupied[ch]
		wanted := o.wanted
		if wanted != o.known {
			s.mu.Unlock()
			done := s.tellOccupancy(ch, wanted)
			s.mu.Lock()
			if done {
				o.known = wanted
			} else {
				time.AfterFunc(RetryLeave, func() {
					s.mu.Lock()
					defer s.mu.Unlock()
					if !s.closed {
						s.settle(ch)
					}
				})
			}
			o.queued = false
			if done {
				s.settle(ch)
			}
		} else {
			o.queued = false
		}
		if !o.queued && !o.wanted && !o.known {
			delete(s.occupied, ch)
		}
	}
	s.tellers--
}

// tellOccupancy tells the store, and returns whether it knows now.
func (s *shared) tellOccupancy(ch storage.ChannelID, occupied bool) bool {
	// The store's own time-outs apply, also while the tracker closes.
	ctx, nodes, node := context.Background(), nodesOf(ch), Member{UserID: s.t.node}
	if !occupied {
		s.t.Leave(ctx, nodes, node.UserID, s.t.node, 0, func(d Departure, err error) {
			if err != nil {
				s.Failed("presence leave", err) // and tried again by the tracker
			} else if d.Vacated() {
				s.Occupied(ch, false)
			}
		})
		return true
	}
	err := s.t.Join(ctx, nodes, s.t.node, node, 0, func(first bool, all []Member) error {
		if first && len(all) == 1 {
			s.Occupied(ch, true)
		}
		return nil
	})
	if err != nil {
		s.Failed("presence join", err)
	}
	return err == nil
}
