package broker

import (
	"context"
	"iter"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

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

// latestEvent returns the event of a cache channel that a new subscriber gets, and
// none if there is none or it is too old.
func (b *Broker) latestEvent(ctx context.Context, ch storage.ChannelID, rule *ChannelRule) (*Event, error) {
	page, err := b.history.Read(ctx, ch, storage.ReadOptions{Backward: true, MaxEvents: 1, MaxBytes: 1, Current: true})
	if err != nil {
		return nil, b.storeFailed("history read", ch, err)
	}
	if len(page.Events) == 0 || page.Events[0].Retracted || rule.stale(&page.Events[0]) {
		return nil, nil
	}
	return &page.Events[0], nil
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

// Log reads events as they were published, and the amendments among them that subscribers
// were sent: see App.Edit. Without it events come as amendments have made them.
func Log() HistoryOption { return func(o *storage.ReadOptions) { o.Current = false } }

// History reads the events that are stored for a channel, oldest first unless Backward
// says otherwise. Those that were retracted come without data: see Event.Retracted. A forward read from a position after which events are missing yields
// an error that wraps storage.ErrGap. Events of encrypted channels come sealed.
func (a *App) History(ctx context.Context, channel string, opts ...HistoryOption) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if err := CheckChannelName(channel); err != nil {
			yield(Event{}, err)
			return
		}
		o := storage.ReadOptions{Current: true}
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
