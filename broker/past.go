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
	return !p.IsZero() && !p.After(last)
}

// past returns the events with which a new subscription to the channel starts,
// oldest first: up to rewind of them, and on a cache channel the last one, as far
// as there is room. With after it is every event after that position.
func (b *Broker) past(ctx context.Context, ch storage.ChannelID, rule *Rule, kind Kind, rewind int, after *Position, room pastRoom) ([]Event, error) {
	if after != nil {
		return b.missed(ctx, ch, *after, room.events+1, room)
	}
	limit := rewind
	if kind.Cache() {
		limit = max(limit, 1)
	}
	if limit == 0 {
		return nil, nil
	}
	page, err := b.history.Read(ctx, ch, storage.ReadOptions{Backward: true, Limit: min(limit, max(room.events, 1)), Bytes: max(room.bytes, 1)})
	if err != nil {
		return nil, b.storeFailed("history read", ch, err)
	}
	events, bytes := page.Events, 0
	for i := range events {
		if bytes += len(events[i].Data); i > 0 && bytes > room.bytes {
			events = events[:i]
			break
		}
	}
	if kind.Cache() {
		old := func(ev Event) bool { return time.Since(ev.Time) >= rule.cacheTTL() }
		if i := slices.IndexFunc(events, old); i >= 0 {
			events = events[:i]
		}
	}
	slices.Reverse(events)
	return events, nil
}

// pastRoom is how much of the past a subscription may start with. Past events go
// into the queue of a session's connection at once, and what that has no room for
// would cut it off, now and each time it came back: a rewind is cut short there,
// and what was missed is a gap.
type pastRoom struct {
	queue         transport.Queue // whose limits are half of the connection's
	events, bytes int             // bytes of data, which grows when it is encoded
}

// anyPast is for who has no queue.
var anyPast = pastRoom{events: transport.DefaultQueueMessages / 2, bytes: transport.DefaultQueueBytes / 2}

// pastRoom is what half of the queue of the session's connection has room for: the
// rest is for what is said meanwhile, and on other channels.
func (s *Session) pastRoom() pastRoom {
	q := s.conn.Queue()
	q.MessageLimit /= 2
	q.ByteLimit /= 2
	return pastRoom{queue: q, events: max(q.MessageLimit-q.Messages, 0), bytes: max(q.ByteLimit-q.Bytes, 0)}
}

// encode encodes the latest of the events for which there is room, and the last
// one also beyond that, as long as the queue is not nearly full. all says that
// none was left out.
func (r *pastRoom) encode(p Protocol, past []Event) (messages []*transport.Message, all bool) {
	messages = make([]*transport.Message, len(past))
	q := r.queue
	for i := len(past) - 1; i >= 0; i-- {
		m := p.Event(&past[i])
		if !q.Add(m) {
			if i < len(past)-1 || !r.takesOne(m) {
				return messages[i+1:], false
			}
			q.MessageLimit = 0 // no other
		}
		messages[i] = m
	}
	return messages, true
}

func (r *pastRoom) takesOne(m *transport.Message) bool {
	q := r.queue
	nearlyFull := q.Messages > q.MessageLimit*3/2 || q.Bytes > q.ByteLimit*3/2
	q.MessageLimit *= 2
	q.ByteLimit *= 2
	return !nearlyFull && q.Add(m)
}

// missed returns the events after a position, and reads up to limit of them, and
// no more bytes than tell that there is no room: the position may be anybody's
// invention.
func (b *Broker) missed(ctx context.Context, ch storage.ChannelID, after Position, limit int, room pastRoom) ([]Event, error) {
	page, err := b.history.Read(ctx, ch, storage.ReadOptions{From: after, Limit: limit, Bytes: room.bytes + 1})
	if isGap(err) {
		return nil, err
	}
	if err != nil {
		return nil, b.storeFailed("history read", ch, err)
	}
	events, bytes := uint64(len(page.Events)), 0
	if after.Epoch == page.Latest.Epoch {
		events = page.Latest.Offset - after.Offset
	}
	for i := range page.Events {
		bytes += len(page.Events[i].Data)
	}
	if events > uint64(room.events) || bytes > room.bytes || page.More && limit > 1 {
		return nil, tooMuchMissed(ch, events, room)
	}
	return page.Events, nil
}

func tooMuchMissed(ch storage.ChannelID, events uint64, room pastRoom) error {
	return fmt.Errorf("%w: channel %q: %d events were missed, the connection has room for %d, and for %d bytes of them",
		storage.ErrGap, ch.Name, events, room.events, room.bytes)
}

// resumable looks for a gap before a subscription begins, so that nobody sees one
// come and go that cannot resume.
func (s *Session) resumable(ctx context.Context, ch storage.ChannelID, after *Position) error {
	if after == nil {
		return nil
	}
	_, err := s.broker.missed(ctx, ch, *after, 1, s.pastRoom())
	return err
}

// catchUp reads the past events and makes the subscription live, or undoes it.
func (s *Session) catchUp(ctx context.Context, ch storage.ChannelID, rule *Rule, sub *subscription, success *transport.Message, req SubscribeRequest) error {
	room := s.pastRoom()
	past, err := s.broker.past(ctx, ch, rule, req.Kind, req.Rewind, req.After, room)
	messages, all := room.encode(s.protocol, past)
	if err == nil && !all && req.After != nil {
		err = tooMuchMissed(ch, uint64(len(past)), room)
	}
	if err != nil {
		s.dropAlone(ctx, sub)
		return err
	}
	if !all {
		s.broker.stats.rewindsCut.Add(1)
	}
	bytes := 0
	for _, m := range messages {
		bytes += len(m.Payload())
	}
	if req.Kind.Base() == Presence {
		bytes += len(success.Payload())
	}
	s.gotPast(bytes)
	missed := req.Kind.Cache() && len(past) == 0 && req.After == nil
	flush(sub.finish(success, req.After, past, messages, missed))
	if missed {
		sub.channel.mu.Lock()
		change := sub.channel.change()
		sub.channel.mu.Unlock()
		inform(s.broker, cacheMissed, change)
	}
	return nil
}
