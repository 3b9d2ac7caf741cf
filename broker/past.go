package broker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/transport"
)

// covered reports whether an event at p has been part of the past up to last.
func covered(p, last Position) bool {
	return p.Offset != 0 && p.Epoch == last.Epoch && p.Offset <= last.Offset
}

// past returns the events with which a new subscription to the channel starts,
// oldest first: up to rewind of them, and on a cache channel the last one, as far
// as they fit. With after it is every event after that position.
func (b *Broker) past(ctx context.Context, ch storage.ChannelID, rule *Rule, kind Kind, rewind int, after *Position) ([]Event, error) {
	if after != nil {
		return b.missed(ctx, ch, *after, 0)
	}
	limit := rewind
	if kind.Cache() {
		limit = max(limit, 1)
	}
	if limit == 0 {
		return nil, nil
	}
	page, err := b.history.Read(ctx, ch, storage.ReadOptions{Backward: true, Limit: min(limit, maxPastEvents)})
	if err != nil {
		return nil, b.storeFailed("history read", ch, err)
	}
	events, bytes := page.Events, 0
	for i := range events {
		if bytes += len(events[i].Data); i > 0 && bytes > maxPastBytes {
			events = events[:i]
			break
		}
	}
	if rewind == 0 && len(events) > 0 && time.Since(events[0].Time) >= rule.cacheTTL() {
		events = nil
	}
	slices.Reverse(events)
	return events, nil
}

// Past events go into the queue of a session's connection at once, and more than
// these bounds would not fit, now or ever again. A rewind is cut short there; what
// was missed is a gap.
const (
	maxPastEvents = transport.DefaultQueueMessages / 2
	maxPastBytes  = transport.DefaultQueueBytes / 2 // of data, which grows when it is encoded
)

// missed returns up to limit of the events after a position; 0 means all.
func (b *Broker) missed(ctx context.Context, ch storage.ChannelID, after Position, limit int) ([]Event, error) {
	page, err := b.history.Read(ctx, ch, storage.ReadOptions{From: after, Limit: limit})
	if isGap(err) {
		return nil, err
	}
	if err != nil {
		return nil, b.storeFailed("history read", ch, err)
	}
	events, bytes := uint64(len(page.Events)), 0
	if !after.IsZero() {
		events = page.Latest.Offset - after.Offset
	}
	for i := range page.Events {
		bytes += len(page.Events[i].Data)
	}
	if events > maxPastEvents || bytes > maxPastBytes {
		return nil, fmt.Errorf("%w: channel %q: %d events were missed, the limit is %d, or %d bytes",
			storage.ErrGap, ch.Name, events, maxPastEvents, maxPastBytes)
	}
	return page.Events, nil
}

// resumable looks for a gap before a subscription begins, so that nobody sees one
// come and go that cannot resume.
func (b *Broker) resumable(ctx context.Context, ch storage.ChannelID, after *Position) error {
	if after == nil {
		return nil
	}
	_, err := b.missed(ctx, ch, *after, 1)
	return err
}

// catchUp reads the past events and makes the subscription live, or undoes it.
func (s *Session) catchUp(ctx context.Context, ch storage.ChannelID, rule *Rule, sub *subscription, success *transport.Message, req SubscribeRequest) error {
	read := false
	defer func() { // also if the store panics
		if !read {
			s.drop(ctx, sub, 0)
		}
	}()
	past, err := s.broker.past(ctx, ch, rule, req.Kind, req.Rewind, req.After)
	if err != nil {
		return err
	}
	read = true
	missed := req.Kind.Cache() && len(past) == 0 && req.After == nil
	flush(sub.finish(success, req.After, past, missed))
	if missed {
		sub.channel.mu.Lock()
		change := sub.channel.change()
		sub.channel.mu.Unlock()
		inform(s.broker, func(h *Hooks) func(ChannelChange) { return h.CacheMissed }, change)
	}
	return nil
}
