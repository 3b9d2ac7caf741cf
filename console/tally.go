package console

import (
	"slices"
	"sync"
	"time"
)

const (
	// maxReasons is how many reasons of refusals are counted apart, maxFaults how many
	// errors are remembered, and maxSlow how many sessions that were cut off.
	maxReasons = 64
	maxFaults  = 50
	maxSlow    = 20
)

// refusal counts one reason.
type refusal struct {
	What   string `json:"what"`
	Reason string `json:"reason"`
	Count  int64  `json:"count"`
	LastAt int64  `json:"lastAt"`
}

type refusalKey struct{ what, reason string }

// refusals counts refusals by what was asked for and why it was refused.
type refusals struct {
	mu  sync.Mutex
	all map[refusalKey]*refusal // guarded by mu
}

func (t *refusals) add(what, reason string, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := refusalKey{what, reason}
	if t.all[key] == nil && len(t.all) >= maxReasons {
		key = refusalKey{what: "other", reason: "other"}
	}
	r := t.all[key]
	if r == nil {
		if t.all == nil {
			t.all = make(map[refusalKey]*refusal)
		}
		r = &refusal{What: key.what, Reason: key.reason}
		t.all[key] = r
	}
	r.Count++
	r.LastAt = millis(at)
}

// list returns them, the most frequent first.
func (t *refusals) list() []refusal {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]refusal, 0, len(t.all))
	for _, r := range t.all {
		list = append(list, *r)
	}
	slices.SortFunc(list, func(a, b refusal) int {
		if a.Count != b.Count {
			return int(max(-1, min(1, b.Count-a.Count)))
		}
		return compareNames(a.What+"\x00"+a.Reason, b.What+"\x00"+b.Reason)
	})
	return list
}

// fault is something that went wrong, and how often.
type fault struct {
	At      int64  `json:"at"`
	What    string `json:"what"`
	App     string `json:"app,omitempty"`
	Channel string `json:"channel,omitempty"`
	Text    string `json:"text"`
	Count   int64  `json:"count"`
}

// faults remembers what went wrong lately: the same in one place once.
type faults struct {
	mu   sync.Mutex
	list []fault // guarded by mu: latest last
}

func (t *faults) add(at time.Time, what, app, channel, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := fault{At: millis(at), What: what, App: app, Channel: channel, Text: text, Count: 1}
	if i := slices.IndexFunc(t.list, func(o fault) bool { return o.What == what && o.App == app && o.Text == text }); i >= 0 {
		f.Count += t.list[i].Count
		t.list = slices.Delete(t.list, i, i+1)
	} else if len(t.list) >= maxFaults {
		t.list = slices.Delete(t.list, 0, 1)
	}
	t.list = append(t.list, f)
}

// latest returns them, the latest first.
func (t *faults) latest() []fault {
	t.mu.Lock()
	defer t.mu.Unlock()
	return latestFirst(t.list)
}

// slowSession is a client that was cut off.
type slowSession struct {
	At       int64  `json:"at"`
	App      string `json:"app"`
	Session  string `json:"session"`
	IP       string `json:"ip,omitempty"`
	User     string `json:"user,omitempty"`
	Messages int    `json:"messages"`
	Bytes    int    `json:"bytes"`
}

type slowSessions struct {
	mu   sync.Mutex
	list []slowSession // guarded by mu: latest last
}

func (t *slowSessions) add(s slowSession) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.list) >= maxSlow {
		t.list = slices.Delete(t.list, 0, 1)
	}
	t.list = append(t.list, s)
}

func (t *slowSessions) latest() []slowSession {
	t.mu.Lock()
	defer t.mu.Unlock()
	return latestFirst(t.list)
}

// latestFirst copies a list that has the latest last.
func latestFirst[T any](list []T) []T {
	list = append([]T{}, list...) // never nil, which is no list in JSON
	slices.Reverse(list)
	return list
}
