package presence

import "sync"

// UserIndex finds what belongs to a user of an app: the sessions that are
// signed in as the user, or those that watch whether the user is online.
// The zero UserIndex is empty and ready. All methods are safe for concurrent
// use.
type UserIndex[S comparable] struct {
	mu    sync.RWMutex
	users map[userKey]map[S]struct{} // guarded by mu
}

type userKey struct{ app, userID string }

// Add files s under each of the app's users. Adding twice changes nothing.
func (x *UserIndex[S]) Add(s S, app string, userIDs ...string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.users == nil {
		x.users = make(map[userKey]map[S]struct{})
	}
	for _, id := range userIDs {
		key := userKey{app, id}
		if x.users[key] == nil {
			x.users[key] = make(map[S]struct{}, 1)
		}
		x.users[key][s] = struct{}{}
	}
}

// Remove undoes Add for s and the same users.
func (x *UserIndex[S]) Remove(s S, app string, userIDs ...string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, id := range userIDs {
		key := userKey{app, id}
		delete(x.users[key], s)
		if len(x.users[key]) == 0 {
			delete(x.users, key)
		}
	}
}

// Of returns what is filed under the user, in no order.
func (x *UserIndex[S]) Of(app, userID string) []S {
	x.mu.RLock()
	defer x.mu.RUnlock()
	set := x.users[userKey{app, userID}]
	all := make([]S, 0, len(set))
	for s := range set {
		all = append(all, s)
	}
	return all
}
