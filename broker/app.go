package broker

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

// App is one app of a broker: a namespace of channels and users. It is cheap to make
// and safe for concurrent use.
type App struct {
	broker *Broker
	id     string
}

// ID returns the app's ID.
func (a *App) ID() string { return a.id }

// ChannelInfo describes a channel as of now.
type ChannelInfo struct {
	Name string
	// Occupied says that a client is subscribed, on this node.
	Occupied bool
	// SubscriptionCount is the number of client subscriptions on this node.
	SubscriptionCount int
	// UserCount is the number of members; 0 but on presence channels.
	UserCount int
}

// Channel describes a channel. A channel without subscribers is no error.
func (a *App) Channel(ctx context.Context, name string) (ChannelInfo, error) {
	infos, err := a.Describe(ctx, name)
	if err != nil {
		return ChannelInfo{}, err
	}
	return infos[0], nil
}

// Describe describes several channels, each at its index, as Channel does. The store
// is asked once for the members of all.
func (a *App) Describe(ctx context.Context, names ...string) ([]ChannelInfo, error) {
	infos := make([]ChannelInfo, len(names))
	for i, name := range names {
		if err := CheckChannelName(name); err != nil {
			return nil, err
		}
		infos[i].Name = name
		if c := a.broker.channels.load(storage.ChannelID{App: a.id, Name: name}); c != nil {
			infos[i].SubscriptionCount = c.sessionCount()
		}
	}
	if err := a.countUsers(ctx, infos); err != nil {
		return nil, err
	}
	return infos, nil
}

func (c *channel) sessionCount() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sessions
}

// countUsers completes what is known of channels by asking for the members of those
// that have any.
func (a *App) countUsers(ctx context.Context, infos []ChannelInfo) error {
	var channels []storage.ChannelID
	var at []int
	for i := range infos {
		infos[i].Occupied = infos[i].SubscriptionCount > 0
		if KindOf(infos[i].Name).Base() == Presence {
			channels = append(channels, storage.ChannelID{App: a.id, Name: infos[i].Name})
			at = append(at, i)
		}
	}
	if len(channels) == 0 {
		return nil
	}
	counts, err := a.broker.tracker.Counts(ctx, channels)
	if err != nil {
		return a.broker.storeFailed("presence count", channels[0], err)
	}
	for n, i := range at {
		infos[i].UserCount = counts[n]
		infos[i].Occupied = infos[i].Occupied || counts[n] > 0
	}
	return nil
}

// channelPage is how many channels are described at once.
const channelPage = 1000

// Channels describes every channel whose name starts with prefix and that a client on
// this node is subscribed to, in no order; a prefix of "" means all. It goes through
// the app's own channels, and asks the store for the members of up to 1000 of them at
// once. Each channel that is occupied all the while comes once. An error, which may be
// that of ctx, ends the sequence.
func (a *App) Channels(ctx context.Context, prefix string) iter.Seq2[ChannelInfo, error] {
	return func(yield func(ChannelInfo, error) bool) {
		var page []ChannelInfo
		// describe yields the page, and reports whether there is to be another.
		describe := func() bool {
			err := ctx.Err()
			if err == nil {
				err = a.countUsers(ctx, page)
			}
			if err != nil {
				yield(ChannelInfo{}, err)
				return false
			}
			for _, info := range page {
				if !yield(info, nil) {
					return false
				}
			}
			page = page[:0]
			return true
		}
		for c := range a.broker.channels.allOf(a.id) {
			if !strings.HasPrefix(c.id.Name, prefix) {
				continue
			}
			n := c.sessionCount()
			if n == 0 {
				continue // left meanwhile
			}
			page = append(page, ChannelInfo{Name: c.id.Name, SubscriptionCount: n})
			if len(page) == channelPage && !describe() {
				return
			}
		}
		describe()
	}
}

// Members returns the members of a presence channel in the order they joined.
func (a *App) Members(ctx context.Context, channel string) ([]Member, error) {
	ch, err := a.presenceChannel(channel)
	if err != nil {
		return nil, err
	}
	members, err := a.broker.tracker.Members(ctx, ch)
	if err != nil {
		return nil, a.broker.storeFailed("presence members", ch, err)
	}
	return members, nil
}

func (a *App) presenceChannel(name string) (ChannelID, error) {
	if err := CheckChannelName(name); err != nil {
		return ChannelID{}, err
	}
	if KindOf(name).Base() != Presence {
		return ChannelID{}, &FieldError{Field: "channel", Value: name, Problem: "is not a presence channel"}
	}
	return ChannelID{App: a.id, Name: name}, nil
}

// Cached returns the event that a new subscriber of a cache channel would be sent, and
// how long it will be kept from now on. If there is none, or the channel is not a cache
// channel, ok is false.
func (a *App) Cached(ctx context.Context, channel string) (ev Event, ttl time.Duration, ok bool, err error) {
	if err := CheckChannelName(channel); err != nil {
		return Event{}, 0, false, err
	}
	kind := KindOf(channel)
	if !kind.Cache() {
		return Event{}, 0, false, &FieldError{Field: "channel", Value: channel, Problem: "is not a cache channel"}
	}
	ch := storage.ChannelID{App: a.id, Name: channel}
	rule := a.broker.rule(ch)
	cached, err := a.broker.latestEvent(ctx, ch, rule)
	if err != nil || cached == nil {
		return Event{}, 0, false, err
	}
	return *cached, rule.cacheTTL() - time.Since(cached.Time), true, nil
}

// HistoryOption says what to read of a channel's history.
type HistoryOption func(*storage.ReadOptions)

// Backward reads from newer to older; without it, the oldest comes first.
func Backward() HistoryOption { return func(o *storage.ReadOptions) { o.Backward = true } }

// From reads what is next to a position, in the direction of reading, without the
// event at the position itself. Without it, reading starts at the oldest event
// that is kept or, backward, at the newest.
func From(p Position) HistoryOption { return func(o *storage.ReadOptions) { o.From = p } }

// AtMost reads at most n events; 0, the default, reads all that are kept.
func AtMost(n int) HistoryOption { return func(o *storage.ReadOptions) { o.MaxEvents = n } }

// History reads the events that are stored for a channel, oldest first unless Backward
// says otherwise. A forward read from a position after which events are missing yields
// an error that wraps storage.ErrGap. Events of encrypted channels come sealed.
func (a *App) History(ctx context.Context, channel string, opts ...HistoryOption) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if err := CheckChannelName(channel); err != nil {
			yield(Event{}, err)
			return
		}
		var o storage.ReadOptions
		for _, opt := range opts {
			opt(&o)
		}
		if o.MaxEvents < 0 {
			yield(Event{}, &FieldError{Field: "at most", Problem: "is negative"})
			return
		}
		a.read(ctx, storage.ChannelID{App: a.id, Name: channel}, o, yield)
	}
}

// What is read of a history at once.
const (
	historyPage  = 256
	historyBytes = 1 << 20
)

// read yields page by page, so that a long history is never held whole.
func (a *App) read(ctx context.Context, ch storage.ChannelID, o storage.ReadOptions, yield func(Event, error) bool) {
	left := o.MaxEvents
	for {
		o.MaxEvents, o.MaxBytes = historyPage, historyBytes
		if left > 0 {
			o.MaxEvents = min(left, historyPage)
		}
		page, err := a.broker.history.Read(ctx, ch, o)
		if err != nil {
			if !isGap(err) {
				err = a.broker.storeFailed("history read", ch, err)
			}
			yield(Event{}, err)
			return
		}
		for _, ev := range page.Events {
			ev.Exclude, ev.Prev = "", Position{} // for those who hand it out
			if !yield(ev, nil) {
				return
			}
		}
		if left > 0 {
			if left -= len(page.Events); left == 0 {
				return
			}
		}
		if !page.More || len(page.Events) == 0 {
			return
		}
		o.From = page.Events[len(page.Events)-1].Position
	}
}

func isGap(err error) bool { return errors.Is(err, storage.ErrGap) }

// Latest returns the position of the last event in a channel's history, whether it is
// still kept or not.
func (a *App) Latest(ctx context.Context, channel string) (Position, error) {
	if err := CheckChannelName(channel); err != nil {
		return Position{}, err
	}
	ch := storage.ChannelID{App: a.id, Name: channel}
	latest, err := storage.LatestOf(ctx, a.broker.history, ch)
	if err != nil {
		return Position{}, a.broker.storeFailed("history position", ch, err)
	}
	return latest, nil
}

// DeleteHistory deletes the events that are stored for a channel. Subscribers stay
// subscribed; a client that later resumes from a position before the deletion is told
// of a gap.
func (a *App) DeleteHistory(ctx context.Context, channel string) error {
	if err := CheckChannelName(channel); err != nil {
		return err
	}
	ch := storage.ChannelID{App: a.id, Name: channel}
	if err := a.broker.history.Delete(ctx, ch); err != nil {
		return a.broker.storeFailed("history delete", ch, err)
	}
	return nil
}

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

// PublishToUser publishes an event to every connection that is signed in as the
// user.
func (a *App) PublishToUser(ctx context.Context, userID, event string, data []byte, opts ...PublishOption) (Published, error) {
	if err := CheckUserID(userID); err != nil {
		return Published{}, fmt.Errorf("publish to user: %w", err)
	}
	return a.Publish(ctx, serverToUserPrefix+userID, event, data, opts...)
}
