package memory

import (
	"container/list"
	"sync"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

// lastSeen remembers when users left channels, up to a limit. Its lock is held
// for the moment of a look-up only, and taken last.
type lastSeen struct {
	limit int

	mu    sync.Mutex
	users map[seenKey]*list.Element // guarded by mu
	order list.List                 // guarded by mu: of *departed, oldest first
}

type seenKey struct {
	channel storage.ChannelID
	userID  string
}

type departed struct {
	seenKey
	at time.Time
}

func (l *lastSeen) record(key seenKey, at time.Time) {
	if l.limit == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.users[key]; e != nil {
		e.Value.(*departed).at = at
		l.order.MoveToBack(e)
		return
	}
	if l.order.Len() >= l.limit {
		oldest := l.order.Remove(l.order.Front()).(*departed)
		delete(l.users, oldest.seenKey)
	}
	if l.users == nil {
		l.users = make(map[seenKey]*list.Element)
	}
	l.users[key] = l.order.PushBack(&departed{key, at})
}

// get returns the zero time for a user that is not remembered.
func (l *lastSeen) get(key seenKey) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.users[key]; e != nil {
		return e.Value.(*departed).at
	}
	return time.Time{}
}
