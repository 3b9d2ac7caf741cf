package broker

import (
	"context"
	"time"
)

// IsOnline reports whether a session is signed in as the user.
func (a *App) IsOnline(ctx context.Context, userID string) (bool, error) {
	online, _, err := a.broker.tracker.Online(ctx, a.id, []string{userID})
	if err != nil {
		return false, a.broker.storeFailed("online users", onlineIn(a.id), err)
	}
	return len(online) > 0, nil
}

// LastSeen returns when the user went offline: the zero time for a user who is
// online now, or of whom the store does not know.
func (a *App) LastSeen(ctx context.Context, userID string) (time.Time, error) {
	seen, err := a.broker.tracker.LastSeen(ctx, onlineIn(a.id), userID)
	if err != nil {
		return time.Time{}, a.broker.storeFailed("last seen", onlineIn(a.id), err)
	}
	return seen, nil
}

// LastSeenOn returns when the user's last connection left a presence channel: the
// zero time for a user who is on it now, or of whom the store does not know.
func (a *App) LastSeenOn(ctx context.Context, channel, userID string) (time.Time, error) {
	ch, err := a.presenceChannel(channel)
	if err != nil {
		return time.Time{}, err
	}
	seen, err := a.broker.tracker.LastSeen(ctx, ch, userID)
	if err != nil {
		return time.Time{}, a.broker.storeFailed("last seen", ch, err)
	}
	return seen, nil
}

// TerminateUser closes every connection on this node that is signed in as the user,
// and returns their number. If ctx ends before it is through, its error comes with the
// number closed until then.
func (a *App) TerminateUser(ctx context.Context, userID string) (int, error) {
	if err := CheckUserID(userID); err != nil {
		return 0, err
	}
	n := 0
	for _, s := range a.broker.signedIn.Of(a.id, userID) {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		s.Close(CloseTerminated)
		n++
	}
	return n, nil
}
