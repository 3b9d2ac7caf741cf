package broker

import (
	"time"
)

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
	if !s.anyRevoked.Load() {
		return 0
	}
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
