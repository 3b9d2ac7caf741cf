package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/carillon-rt/carillon/presence"
	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage"
)

// ErrSignedIn refuses to sign a session in as somebody else than before.
var ErrSignedIn = errors.New("session is signed in as another user")

// onlineIn names the set of an app's users that are online.
func onlineIn(app string) storage.ChannelID { return storage.ChannelID{App: app} }

// SignIn makes the session one of the user's. The user is online from the first
// session that signs in until the last one ends. confirm is called when it has
// succeeded and before the session hears of the users on its watchlist, each of
// whom counts once.
//
// Signing in again as the same user replaces what the user brought: the info is for
// presence channels from then on, and of another watchlist the session hears as at
// first. As another user it is refused with ErrSignedIn.
func (s *Session) SignIn(ctx context.Context, u User, confirm func()) error {
	err := s.signIn(ctx, u, confirm)
	s.observeRefused(ctx, "sign in", "", err)
	return err
}

// observeRefused tells observers of a request that has failed, if it has.
func (s *Session) observeRefused(ctx context.Context, action, channel string, err error) {
	if h := &s.broker.observers; err != nil && h.want(s.app, ObserveRequestRefused) {
		h.tell(ctx, s.app, RequestRefused{App: s.app, Session: s, Action: action, Channel: channel, Err: err})
	}
}

func (s *Session) signIn(ctx context.Context, u User, confirm func()) error {
	b := s.broker
	if err := s.checkUser(u.ID, u.Info); err != nil {
		return b.refusal(err)
	}
	if err := b.rateLimits.limited(ctx, ratelimit.Request{Action: ratelimit.SignIn, App: s.app, IP: s.ip, Session: s.id, User: u.ID}); err != nil {
		return err
	}
	u.Watchlist = distinct(u.Watchlist)
	s.op.Lock()
	defer s.op.Unlock()
	if s.ended {
		return ErrClosed
	}
	if old := s.User(); old != nil {
		if old.ID != u.ID {
			b.stats.refused.Add(1)
			return fmt.Errorf("%w: %q", ErrSignedIn, old.ID)
		}
		s.user.Store(&u)
		confirm()
		if !slices.Equal(u.Watchlist, old.Watchlist) {
			b.watchers.Remove(s, s.app, old.Watchlist...)
			s.watch(ctx, u.Watchlist)
		}
		return nil
	}
	err := b.tracker.Join(ctx, onlineIn(s.app), s.id, presence.Member{UserID: u.ID, Info: u.Info}, 0, func(first bool, _ []presence.Member) error {
		s.user.Store(&u)
		s.authorized.Store(true)
		b.signedIn.Add(s, s.app, u.ID)
		if first {
			b.userChanged(s.ctx, UserChange{App: s.app, UserID: u.ID, Time: time.Now()}, true)
		}
		return nil
	})
	if err != nil {
		return b.storeFailed("sign-in", onlineIn(s.app), err)
	}
	confirm()
	s.watch(ctx, u.Watchlist)
	return nil
}

// checkUser checks who the session wants to be, whoever says so: others get the info
// as it is, within JSON.
func (s *Session) checkUser(id string, info []byte) error {
	if err := CheckUserID(id); err != nil {
		return err
	}
	switch {
	case s.maxInfoBytes > 0 && len(info) > s.maxInfoBytes:
		return &FieldError{Field: "user_info", Problem: "is too large, in bytes", Limit: s.maxInfoBytes, Got: len(info)}
	case !utf8.Valid(info):
		return &FieldError{Field: "user_info", Problem: "is not valid UTF-8"}
	case len(info) > 0 && !json.Valid(info):
		return &FieldError{Field: "user_info", Problem: "is not valid JSON"}
	}
	return nil
}

// distinct returns IDs in their order, each once.
func distinct(userIDs []string) []string {
	seen := make(map[string]bool, len(userIDs))
	return slices.DeleteFunc(slices.Clone(userIDs), func(id string) bool {
		again := seen[id]
		seen[id] = true
		return again
	})
}

// watch tells the session which of the users are online, and from then on of
// their changes.
func (s *Session) watch(ctx context.Context, userIDs []string) {
	if len(userIDs) == 0 {
		return
	}
	b := s.broker
	watched := make(map[string]bool, len(userIDs))
	s.news.Lock()
	s.watched = watched
	s.news.Unlock()
	var ids []string
	for _, id := range userIDs {
		if CheckUserID(id) == nil { // nobody ever signs in as another
			ids = append(ids, id)
		}
	}
	// From here on the session hears of changes, which are newer than the answer.
	b.watchers.Add(s, s.app, ids...)
	var err error
	if len(ids) > 0 {
		err = b.tracker.Observe(ctx, s.app, ids, func(id string, online bool) {
			s.news.Lock()
			defer s.news.Unlock()
			if _, heard := watched[id]; !heard {
				watched[id] = online
			}
		})
	}
	if err != nil {
		_ = b.storeFailed("watchlist", onlineIn(s.app), err)
	}
	s.news.Lock()
	defer s.news.Unlock()
	s.watched = nil
	var online, offline []string
	for _, id := range userIDs {
		switch {
		case watched[id]:
			online = append(online, id)
		case err == nil:
			offline = append(offline, id)
		}
	}
	if len(online)+len(offline) > 0 {
		s.Send(s.protocol.Encode(WatchlistNotice{Online: online, Offline: offline}))
	}
}

// sendOnline tells the session of a user it watches, or keeps that for what watch tells.
func (s *Session) sendOnline(userID string, online bool) {
	s.news.Lock()
	defer s.news.Unlock()
	switch ids := []string{userID}; {
	case s.watched != nil:
		s.watched[userID] = online
	case online:
		s.Send(s.protocol.Encode(WatchlistNotice{Online: ids}))
	default:
		s.Send(s.protocol.Encode(WatchlistNotice{Offline: ids}))
	}
}

// signOut undoes SignIn. The caller holds s.op, and has ctx from leaving.
func (s *Session) signOut(ctx context.Context) {
	u := s.User()
	if u == nil {
		return
	}
	b := s.broker
	b.watchers.Remove(s, s.app, u.Watchlist...)
	b.signedIn.Remove(s, s.app, u.ID)
	b.tracker.Leave(ctx, onlineIn(s.app), u.ID, s.id, 0, func(d presence.Departure, err error) {
		if err != nil {
			_ = b.storeFailed("sign-out", onlineIn(s.app), err)
		} else if d.Last {
			b.userChanged(s.ctx, UserChange{App: s.app, UserID: u.ID, Time: d.Time}, false)
		}
	})
}

// userChanged tells the watchers and the hooks.
func (b *Broker) userChanged(ctx context.Context, change UserChange, online bool) {
	b.sendToWatchers(change.App, change.UserID, online)
	b.hooks.userChanged(ctx, change, online)
}

// sendToWatchers tells those who have the user on their watchlist.
func (b *Broker) sendToWatchers(app, userID string, online bool) {
	for _, w := range b.watchers.Of(app, userID) {
		w.sendOnline(userID, online)
	}
}
