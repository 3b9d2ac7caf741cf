package broker

import "context"

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
	s.anyRevoked.Store(true)
	if !s.unsubscribe(ctx, channel) {
		return false
	}
	s.Send(s.protocol.Encode(RevokedNotice{channel}))
	return true
}
