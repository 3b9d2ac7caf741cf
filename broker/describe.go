package broker

import (
	"context"
	"iter"
	"strings"

	"github.com/carillon-rt/carillon/storage"
)

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
