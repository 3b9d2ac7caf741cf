package broker

import (
	"context"
	"time"

	"github.com/carillon-rt/carillon/internal/wheel"
)

// grants are what bounds a session's authorizations besides a signature. Few
// sessions have any.
type grants struct {
	// ends are when the authorizations of subscribed channels end, as far as they do.
	ends map[string]time.Time // guarded by the session's op
	// end runs when the first of them has ended.
	end wheel.Timer
	// revoked counts, by channel, how often it was taken from the session.
	revoked map[string]int // guarded by the session's op
}

// grantTick is how late an authorization may end.
const grantTick = 250 * time.Millisecond

// longestWait is how far ahead the end of an authorization is waited for at a time.
const longestWait = 24 * time.Hour

// granted notes when the authorization of a channel ends. The caller holds s.op.
func (s *Session) granted(channel string, end time.Time) {
	if end.IsZero() {
		return
	}
	s.bound().ends[channel] = end
	s.waitForEnd(time.Now())
}

// bound returns the session's grants. The caller holds s.op.
func (s *Session) bound() *grants {
	if s.grants == nil {
		s.grants = &grants{ends: make(map[string]time.Time), revoked: make(map[string]int)}
		s.grants.end.Init(func() {
			// A store may hold op.
			s.broker.background(s.endGrants)
		})
	}
	return s.grants
}

// waitForEnd waits for the first end of an authorization. The caller holds s.op.
func (s *Session) waitForEnd(now time.Time) {
	wait := longestWait
	for _, end := range s.grants.ends {
		wait = min(wait, end.Sub(now))
	}
	s.broker.grantEnds.Schedule(&s.grants.end, wait)
}

// endGrants closes the session if an authorization of it has ended: its client
// connects again, and asks for all of them anew. Nothing else makes clients ask.
func (s *Session) endGrants() {
	if s.grantEnded(time.Now()) {
		s.Close(CloseExpired)
	}
}

// grantEnded reports whether an authorization has ended, and else waits on.
func (s *Session) grantEnded(now time.Time) bool {
	s.op.Lock()
	defer s.op.Unlock()
	if s.ended {
		return false
	}
	for _, end := range s.grants.ends {
		if !now.Before(end) {
			return true
		}
	}
	if len(s.grants.ends) > 0 {
		s.waitForEnd(now)
	}
	return false
}

// ungranted forgets the authorization of a channel that is no longer subscribed to.
// The caller holds s.op.
func (s *Session) ungranted(channel string) {
	if s.grants != nil {
		delete(s.grants.ends, channel)
	}
}

// revocations is how often the channel was taken from the session.
func (s *Session) revocations(channel string) int {
	s.op.Lock()
	defer s.op.Unlock()
	return s.revoked(channel)
}

// revoked is revocations for a caller that holds s.op.
func (s *Session) revoked(channel string) int {
	if s.grants == nil {
		return 0
	}
	return s.grants.revoked[channel]
}

// Revoke takes a user's connections on this node off a private, encrypted or presence
// channel at once: those that are signed in as the user, and those that are the user
// on the presence channel. It returns how many were subscribed. Where the user's last
// connection is among them, the others hear that the member has left.
//
// Signatures that these connections have for the channel are no longer valid, and as a
// signature is the same each time it is made, no new one is either: until they connect
// again, only an Authorize hook can let them back. Other connections need a new
// signature, so whatever authorizes should refuse the user before Revoke is called. A
// connection that has its signature already, and is neither signed in nor subscribed,
// cannot be found: where that matters, let authorizations expire.
//
// The client is told with pusher:subscription_error and status 403. pusher-js hands
// that to the page, and lists the channel until the page unsubscribes or the
// connection ends; then it asks for authorization as for a new channel.
//
// An error wraps ErrInvalid, as for public channels, which a Subscribe hook closes,
// and for the user's own, for which there is TerminateUser.
func (a *App) Revoke(ctx context.Context, channel, userID string) (int, error) {
	if err := CheckChannelName(channel); err != nil {
		return 0, err
	}
	if err := CheckUserID(userID); err != nil {
		return 0, err
	}
	if kind := KindOf(channel); !kind.NeedsAuthorization() {
		return 0, &FieldError{Field: "channel", Value: channel, Problem: "is a " + kind.String() + " channel, which needs no authorization"}
	}
	sessions := make(map[*Session]bool)
	for _, s := range a.broker.signedIn.Of(a.id, userID) {
		sessions[s] = true
	}
	if c := a.broker.channels.load(ChannelID{App: a.id, Name: channel}); c != nil {
		c.mu.Lock()
		for _, sub := range c.subs {
			if sub.isMember() && sub.userID == userID {
				sessions[sub.session] = true
			}
		}
		c.mu.Unlock()
	}
	n := 0
	for s := range sessions {
		if s.revoke(ctx, channel) {
			n++
		}
	}
	return n, nil
}

func (s *Session) revoke(ctx context.Context, channel string) (subscribed bool) {
	s.op.Lock()
	defer s.op.Unlock()
	if s.ended {
		return false
	}
	s.bound().revoked[channel]++
	if !s.unsubscribe(ctx, channel) {
		return false
	}
	s.Send(s.protocol.Encode(RevokedNotice{channel}))
	return true
}
