package main

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/carillon-rt/carillon/broker"
)

// status keeps who is online: whoever has a connection that is signed in, and for
// leaveGrace after the last one. It is safe for concurrent use.
type status struct {
	chat *chat
	ctx  context.Context
	stop context.CancelFunc
	wait sync.WaitGroup

	mu sync.Mutex
	// here has the users that are online, with the timer of those about to leave.
	here map[int64]*time.Timer
}

// statusChanged is the data of the event user-status-changed.
type statusChanged struct {
	RoomID    int64  `json:"room_id"`
	UserID    int64  `json:"user_id"`
	UserName  string `json:"user_name"`
	Role      string `json:"role"`
	IsOnline  bool   `json:"is_online"`
	LastSeen  moment `json:"last_seen"`
	Timestamp moment `json:"timestamp"`
}

func (s *status) init(c *chat) {
	s.chat, s.here = c, make(map[int64]*time.Timer)
	s.ctx, s.stop = context.WithCancel(context.Background())
}

// close ends the waiting for those who may come back, and remembers when they went.
func (s *status) close(ctx context.Context) error {
	s.stop()
	var ids []int64
	s.mu.Lock()
	for id, t := range s.here {
		if t != nil && t.Stop() {
			s.wait.Done()
			ids = append(ids, id)
		}
	}
	s.mu.Unlock()
	s.wait.Wait()
	for _, id := range ids {
		if _, err := s.chat.db.ExecContext(ctx, `UPDATE users SET last_seen = ? WHERE id = ?`, now(), id); err != nil {
			return err
		}
	}
	return nil
}

// stay makes a user online who has no connection.
func (s *status) stay(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.here[id] = nil
}

func (s *status) online(id int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.here[id]
	return ok
}

// came is told of a user's first connection.
func (s *status) came(ctx context.Context, ch broker.UserChange) {
	id, err := strconv.ParseInt(ch.UserID, 10, 64)
	if err != nil {
		return
	}
	s.mu.Lock()
	timer, wasHere := s.here[id]
	if timer != nil && timer.Stop() {
		s.wait.Done()
	}
	s.here[id] = nil
	s.mu.Unlock()
	if !wasHere {
		s.announce(ctx, id, true, moment(ch.Time.UnixMilli()))
	}
}

// went is told that a user's last connection has gone. A reload is back within the
// grace, and nobody hears of it.
func (s *status) went(_ context.Context, ch broker.UserChange) {
	id, err := strconv.ParseInt(ch.UserID, 10, 64)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.here[id]; !ok || s.ctx.Err() != nil {
		return
	}
	s.wait.Add(1)
	var timer *time.Timer
	timer = time.AfterFunc(leaveGrace, func() {
		defer s.wait.Done()
		s.mu.Lock()
		gone := s.here[id] == timer
		if gone {
			delete(s.here, id)
		}
		s.mu.Unlock()
		if gone {
			s.chat.seats.leaveAll(id)
			s.announce(s.ctx, id, false, moment(ch.Time.UnixMilli()))
		}
	})
	s.here[id] = timer
}

// announce tells all of the user's rooms, and remembers when the user was there.
func (s *status) announce(ctx context.Context, id int64, online bool, at moment) {
	err := s.chat.change(ctx, "", func(ch *change) error {
		if _, err := ch.ExecContext(ctx, `UPDATE users SET last_seen = ? WHERE id = ?`, at, id); err != nil {
			return err
		}
		u, err := s.chat.userByID(ctx, ch, id)
		if err != nil {
			return err
		}
		rooms, err := s.chat.roomsOf(ctx, ch, u)
		if err != nil {
			return err
		}
		changed := statusChanged{UserID: id, UserName: u.Name, Role: u.Role, IsOnline: online, Timestamp: at}
		if !online {
			changed.LastSeen = at
		}
		for _, rm := range rooms {
			if !rm.Joined {
				continue
			}
			changed.RoomID = rm.ID
			if err := ch.publish(rm.Channel, "user-status-changed", changed); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		s.chat.log.Error("status was not told", "user", id, "error", err)
	}
}
