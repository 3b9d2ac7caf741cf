package broker

import (
	"fmt"
	"path"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

// ChannelRule says how the channels whose names match a pattern behave. The first rule
// that matches a channel decides all of it; a channel that none matches behaves as by
// the zero ChannelRule. How often something may be done on a channel is said by a
// ratelimit.Rule instead.
type ChannelRule struct {
	// Pattern is matched against the whole name, as path.Match does:
	// "presence-room-*", "chat-?", "orders-[0-9]*". A slash, which the IDs of users
	// may hold, is a character like any other.
	Pattern string
	// App is the ID of the app whose channels are meant; empty means all.
	App string

	// History is how many events are kept, and how long. Zero Events keeps
	// none, and cache channels keep one; an Age needs Events.
	History storage.Retention
	// SkipClientEvents does not store client events: they reach the present subscribers
	// only. On cache channels they are never stored.
	SkipClientEvents bool
	// Rewind is the number of past events that a new subscriber gets right after its
	// subscription has succeeded. It needs History. They have to fit into half of the
	// queue of the subscriber's connection, by default 8192 events and 2 MiB; of more,
	// the latest are sent. One event is sent even if it is larger than that, unless the
	// queue has no room for it. See Stats.RewindsCut. Those of them that were retracted are
	// left out, without others in their place.
	Rewind int
	// Reach says which subscribers may read what the channel has kept, and how far
	// back; by default all of them, all of it.
	Reach Reach
	// CacheTTL is how long the last event of a cache channel, and with a Rewind each
	// of those before, is delivered to new subscribers; 0 means 30 minutes.
	CacheTTL time.Duration
	// LeaveGrace is how long a member of a presence channel stays after the last
	// connection has gone; a user who returns within it has not left. The default is 0.
	LeaveGrace time.Duration
	// MaxMembers bounds the members of a presence channel; 0 means the limit
	// of the session's app.
	MaxMembers int
	// MaxSubscribers bounds the client subscriptions of the channel on this
	// node; 0 sets no bound.
	MaxSubscribers int
	// Publishers says who may publish; by default server and clients, as far as
	// the channel's kind allows.
	Publishers Publishers
}

// Publishers says who may publish to a channel.
type Publishers uint8

// Who may publish.
const (
	// Anyone lets the server publish, and clients on the kinds of channels
	// that relay client events.
	Anyone Publishers = iota
	// OnlyServer refuses client events.
	OnlyServer
	// OnlyClients refuses what a server publishes.
	OnlyClients
)

// DefaultCacheTTL is how long a cache channel keeps its last event where no
// rule says otherwise.
const DefaultCacheTTL = 30 * time.Minute

func (r *ChannelRule) check(i int) error {
	field := func(name string) string { return fmt.Sprintf("rules[%d].%s", i, name) }
	if _, err := path.Match(r.Pattern, ""); err != nil || r.Pattern == "" {
		return &FieldError{Field: field("Pattern"), Value: r.Pattern, Problem: "is not a pattern"}
	}
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"History.Events", int64(r.History.Events)}, {"History.Age", int64(r.History.Age)}, {"Rewind", int64(r.Rewind)},
		{"Reach.Events", int64(r.Reach.Events)}, {"Reach.Age", int64(r.Reach.Age)},
		{"CacheTTL", int64(r.CacheTTL)}, {"LeaveGrace", int64(r.LeaveGrace)},
		{"MaxMembers", int64(r.MaxMembers)}, {"MaxSubscribers", int64(r.MaxSubscribers)},
	} {
		if f.value < 0 {
			return &FieldError{Field: field(f.name), Problem: "is negative"}
		}
	}
	if r.History.Age > 0 && r.History.Events == 0 {
		return &FieldError{Field: field("History.Age"), Problem: "keeps nothing without History.Events"}
	}
	if r.Rewind > 0 && r.Rewind > r.History.Events {
		return &FieldError{Field: field("Rewind"), Problem: "is more than the history keeps",
			Limit: r.History.Events, Got: r.Rewind}
	}
	if r.Reach.Readers > NoSubscriber {
		return &FieldError{Field: field("Reach.Readers"), Problem: "is unknown"}
	}
	if r.Publishers > OnlyClients {
		return &FieldError{Field: field("Publishers"), Problem: "is unknown"}
	}
	return nil
}

func (r *ChannelRule) cacheTTL() time.Duration {
	if r.CacheTTL > 0 {
		return r.CacheTTL
	}
	return DefaultCacheTTL
}

// retention is what the channel's history has to keep for the rule and for the
// channel's being a cache channel.
func (r *ChannelRule) retention(kind Kind) storage.Retention {
	keep := r.History
	if !kind.Cache() {
		return keep
	}
	if keep.Events == 0 {
		return storage.Retention{Events: 1, Age: r.cacheTTL()}
	}
	if keep.Age > 0 {
		keep.Age = max(keep.Age, r.cacheTTL())
	}
	return keep
}

// stale reports whether a cache channel's event is too old to be delivered.
func (r *ChannelRule) stale(ev *Event) bool { return time.Since(ev.Time) >= r.cacheTTL() }
