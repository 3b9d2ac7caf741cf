package presence

import (
	"maps"
	"slices"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

// presenceTold is what watchers were last told of a user. Of one who is not noted
// they know as much as of one who is offline: they are told if that is wrong.
type presenceTold uint8

const (
	toldOffline presenceTold = iota
	toldOnline
	// toldNothing says that the store is being asked for whom nobody has been told
	// of: whoever has an answer first notes it, and later changes are told.
	toldNothing
)

func toldAs(online bool) presenceTold {
	if online {
		return toldOnline
	}
	return toldOffline
}

// told notes what watchers were told of a user. The caller holds mu and, so that
// nothing comes between, the user's order, unless they were told nothing before.
func (s *shared) told(app, userID string, online bool) { s.note(app, userID, toldAs(online)) }

func (s *shared) note(app, userID string, told presenceTold) {
	if s.observed[app] == nil {
		s.observed[app] = make(map[string]presenceTold)
	}
	s.observed[app][userID] = told
}

// ownChange notes that a user of this node has come or gone, which its caller tells
// watchers of. The caller holds mu and the user's order.
func (s *shared) ownChange(app, userID string, online bool) {
	if s.Watched(app, userID) {
		s.told(app, userID, online)
	} else {
		delete(s.observed[app], userID)
	}
}

// learned notes whether a user is online, and reports whether watchers have to be told.
// The caller holds mu and the user's order.
func (s *shared) learned(app, userID string, online bool) bool {
	was, is := s.observed[app][userID], toldAs(online)
	s.told(app, userID, online)
	return was != is && was != toldNothing
}

// asking notes that the store is asked about users for a watcher.
func (s *shared) asking(app string, userIDs []string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range userIDs {
		if _, known := s.observed[app][id]; !known {
			s.note(app, id, toldNothing)
		}
	}
}

// answered notes what the store has said; nothing, if it has failed. Where other
// watchers were told something else, either that or the answer is old: it is looked at.
func (s *shared) answered(app string, userIDs []string, online []bool) {
	if s == nil {
		return
	}
	var differ []string
	s.mu.Lock()
	for i, id := range userIDs {
		is := online != nil && online[i]
		switch told := s.observed[app][id]; {
		case told == toldNothing:
			s.told(app, id, is)
		case online != nil && told != toldAs(is):
			differ = append(differ, id)
		}
	}
	s.mu.Unlock()
	for _, id := range differ {
		s.hear(storage.PresenceChange{Channel: storage.ChannelID{App: app}, Member: Member{UserID: id}})
	}
}

// lastTold returns what watchers were last told of a user; on a store that is not
// shared, what it has said. The caller holds the user's order.
func (s *shared) lastTold(app, userID string, said bool) bool {
	if s == nil {
		return said
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.observed[app][userID] == toldOnline
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
		// Whoever is at it may have asked the store before this, and tell an older
		// answer.
		look := s.t.changing(ch, id)
		s.mu.Lock()
		switch told := s.observed[ch.App][id]; {
		case look:
		case told == toldNothing:
			s.told(ch.App, id, are[i])
		default:
			look = told != toldAs(are[i])
		}
		s.mu.Unlock()
		if look {
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
	changed := s.learned(ch.App, userID, are[0])
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
