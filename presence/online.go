package presence

import (
	"maps"
	"slices"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

// told notes what watchers were told of a user. The caller holds mu and, so that
// nothing comes between, the user's order.
func (s *shared) told(app, userID string, online bool) {
	if s.observed[app] == nil {
		s.observed[app] = make(map[string]bool)
	}
	s.observed[app][userID] = online
}

// observe notes what a watcher is told of a user for a start.
func (s *shared) observe(app, userID string, online bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told(app, userID, online)
}

// hearOfUsers looks at those users of an app who are watched and may have come
// online or gone.
func (s *shared) hearOfUsers(ch storage.ChannelID, changes []storage.PresenceChange) {
	var users []string
	for _, c := range changes {
		if c.Member.UserID == "" {
			users = s.changedUsers(ch, c.Revision)
			break
		}
		users = append(users, c.Member.UserID)
	}
	slices.Sort(users)
	users = s.watched(ch.App, slices.Compact(users))
	if len(users) == 0 {
		return
	}
	are, err := s.t.store.AreMembers(s.ctx, ch, users)
	if err != nil {
		s.failedToSee(err)
		return
	}
	for i, id := range users {
		s.mu.Lock()
		told := s.observed[ch.App][id]
		s.mu.Unlock()
		if told != are[i] {
			s.lookAtUser(ch, id)
		}
	}
}

// changedUsers returns whom the changes of an app's users up to a revision may be
// of: all that are watched, where the store does not say.
func (s *shared) changedUsers(ch storage.ChannelID, revision storage.Position) []string {
	s.mu.Lock()
	since := s.online[ch.App]
	if !revision.IsZero() {
		s.online[ch.App] = revision
	}
	all := slices.Collect(maps.Keys(s.observed[ch.App]))
	s.mu.Unlock()
	if since.IsZero() {
		return all
	}
	changes, err := s.t.store.Changes(s.ctx, ch, since)
	if err != nil {
		return all
	}
	var users []string
	for _, c := range changes {
		users = append(users, c.Member.UserID)
	}
	return users
}

// watched returns those of the users who are watched here, and forgets what was
// told of the others.
func (s *shared) watched(app string, users []string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	users = slices.DeleteFunc(users, func(id string) bool {
		if s.Watched(app, id) {
			return false
		}
		delete(s.observed[app], id)
		return true
	})
	if len(s.observed[app]) == 0 {
		delete(s.observed, app)
		delete(s.online, app)
	}
	return users
}

// lookAtUser tells the watchers of a user whether it is online, if that has changed.
func (s *shared) lookAtUser(ch storage.ChannelID, userID string) {
	order, err := s.t.lock(s.ctx, ch, userID)
	if err != nil {
		return
	}
	defer order.Unlock()
	are, err := s.t.store.AreMembers(s.ctx, ch, []string{userID})
	if err != nil {
		s.failedToSee(err)
		return
	}
	s.mu.Lock()
	changed := s.observed[ch.App][userID] != are[0]
	s.told(ch.App, userID, are[0])
	s.mu.Unlock()
	if changed {
		s.Changed(storage.PresenceChange{Channel: ch, Member: Member{UserID: userID}, Joined: are[0], Time: time.Now()})
	}
}

func (s *shared) failedToSee(err error) {
	if s.ctx.Err() == nil {
		s.Failed("presence look-up", err)
	}
}
