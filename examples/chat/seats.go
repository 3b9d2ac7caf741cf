package main

import (
	"net/http"
	"sync"
	"time"
)

// seatHold is how long somebody keeps a place without a connection.
const seatHold = time.Minute

// seats are the places of open rooms. Anybody may be a member of such a room; its
// capacity is how many of them are here at a time: who is online, or has asked for
// something of the room within seatHold. Whoever has no place can neither read nor
// write. Private rooms need no seats: there the members are counted. It is safe for
// concurrent use.
type seats struct {
	online func(userID int64) bool

	mu sync.Mutex
	// taken has by room and user when the place was used last.
	taken map[int64]map[int64]time.Time
}

// take gives a user a place in an open room, unless others have all of them.
func (s *seats) take(rm *room, userID int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.has(rm, userID) {
		return false
	}
	if s.taken == nil {
		s.taken = make(map[int64]map[int64]time.Time)
	}
	if s.taken[rm.ID] == nil {
		s.taken[rm.ID] = make(map[int64]time.Time)
	}
	s.taken[rm.ID][userID] = time.Now()
	return true
}

// free reports whether there is a place for a user.
func (s *seats) free(rm *room, userID int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.has(rm, userID)
}

// has is free. The caller holds s.mu.
func (s *seats) has(rm *room, userID int64) bool {
	in := s.taken[rm.ID]
	if _, ok := in[userID]; ok || len(in) < rm.Capacity {
		return true
	}
	for id, used := range in {
		if time.Since(used) > seatHold && !s.online(id) {
			delete(in, id)
		}
	}
	return len(in) < rm.Capacity
}

// leave gives up a user's place in a room.
func (s *seats) leave(roomID, userID int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.taken[roomID], userID)
	if len(s.taken[roomID]) == 0 {
		delete(s.taken, roomID)
	}
}

// leaveAll gives up all of a user's places, unless the user is online still.
func (s *seats) leaveAll(userID int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.online(userID) {
		return
	}
	for roomID, in := range s.taken {
		if delete(in, userID); len(in) == 0 {
			delete(s.taken, roomID)
		}
	}
}

// seat gives u a place in a room. Whoever manages the room always finds one.
func (c *chat) seat(rm *room, u user) error {
	if rm.Kind != openRoom || c.seats.take(rm, u.ID) || rm.Manages {
		return nil
	}
	return roomFull("This room is full (%d people). Try again in a minute.", rm.Capacity)
}

// roomFull refuses whoever is one too many, in a text of how many fit.
func roomFull(text string, most int) *problem {
	return refuse(http.StatusConflict, "room_full", text, most)
}
