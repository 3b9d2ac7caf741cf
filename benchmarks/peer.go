package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// The peers, in the order in which they are reported.
const (
	floorPeer      = "floor"
	hubPeer        = "hub"
	gwsPeer        = "gws"
	melodyPeer     = "melody"
	centrifugePeer = "centrifuge"
	carillonPeer   = "carillon"
)

// sinkPeer is no peer: it completes handshakes and reads what comes, no more.
const sinkPeer = "sink"

func peerNames() []string {
	return []string{floorPeer, hubPeer, gwsPeer, melodyPeer, centrifugePeer, carillonPeer}
}

// peer is a server under test.
type peer interface {
	// Handler takes the clients' connections.
	Handler() http.Handler
	// Publish sends data, which it may keep, to every subscriber of a channel.
	Publish(channel string, data []byte) error
	// Close ends all connections.
	Close()
}

// peerOptions are what a scenario may ask of a peer besides its defaults.
type peerOptions struct {
	deflate bool
	rules   int
	freely  bool
}

func newPeer(name string, o peerOptions) (peer, error) {
	if o.deflate && !slices.Contains(fullPeers(), name) {
		return nil, fmt.Errorf("peer %q is not measured with compression", name)
	}
	switch name {
	case sinkPeer:
		return new(drain), nil
	case floorPeer:
		return newFloor(), nil
	case hubPeer:
		return newHub(), nil
	case gwsPeer:
		return newGWS(), nil
	case melodyPeer:
		return newMelody(), nil
	case centrifugePeer:
		return newCentrifuge(o)
	case carillonPeer:
		return newCarillon(o)
	}
	return nil, fmt.Errorf("unknown peer %q, want one of %s", name, strings.Join(peerNames(), ", "))
}

// fullPeers are those with a protocol of channels and presence.
func fullPeers() []string { return []string{centrifugePeer, carillonPeer} }

// queueLength is how many messages may wait for a connection of the peers that
// bound their number: more than the largest burst.
const queueLength = 512

// subscribed is what the peers without a protocol of their own tell a client
// once its subscription is in place.
const subscribed = "subscribed"

// subscribers are the connections of each channel, for the peers that know no
// channels.
type subscribers[T comparable] struct {
	mu       sync.RWMutex
	channels map[string][]T // guarded by mu
}

func newSubscribers[T comparable]() *subscribers[T] {
	return &subscribers[T]{channels: make(map[string][]T)}
}

func (s *subscribers[T]) add(channel string, conn T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.channels[channel] = append(s.channels[channel], conn)
}

func (s *subscribers[T]) remove(channel string, conn T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	conns := s.channels[channel]
	if i := slices.Index(conns, conn); i >= 0 {
		conns[i] = conns[len(conns)-1]
		clear(conns[len(conns)-1:])
		s.channels[channel] = conns[:len(conns)-1]
	}
}

// each calls f with every connection of a channel.
func (s *subscribers[T]) each(channel string, f func(T)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, conn := range s.channels[channel] {
		f(conn)
	}
}

func (s *subscribers[T]) all() []T {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var conns []T
	for _, c := range s.channels {
		conns = append(conns, c...)
	}
	return conns
}
