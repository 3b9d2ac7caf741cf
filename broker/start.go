package broker

import (
	"context"
	"fmt"
	"slices"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/transport"
)

// pastRoom is how much of the past a subscription may start with. Past events go into
// the queue of a session's connection at once. More than it has room for would cut the
// session off, now and after each reconnect: so a rewind is shortened, and too many
// missed events are a gap.
type pastRoom struct {
	queue         transport.Queue // whose limits are half of the connection's
	events, bytes int             // bytes of data, which grows when it is encoded
}

// pastRoom is what half of the queue of the session's connection has room for: the
// rest is for what is said meanwhile, and on other channels.
func (s *Session) pastRoom() pastRoom {
	q := s.conn.Queue()
	q.MessageLimit /= 2
	q.ByteLimit /= 2
	return pastRoom{queue: q, events: max(q.MessageLimit-q.Messages, 0), bytes: max(q.ByteLimit-q.Bytes, 0)}
}

// encodedPast is what a subscription is sent of the past.
type encodedPast struct {
	messages []*transport.Message
	events   int // how many of them are events
	first    int // the first event that is part of it
}

// encode encodes the latest events for which there is room, with a PositionNotice in the
// place of those that were not for one of the sockets. The last one is always included
// unless the queue is nearly full.
func (r *pastRoom) encode(p Protocol, past *pastEvents, from int, sockets []string) (out encodedPast) {
	all := make([]*transport.Message, len(past.events)-from)
	place := len(all)
	out.first = len(past.events)
	q := r.queue
	for end := out.first; end > from; end = out.first {
		begin := end - 1
		isEvent := !excluded(&past.events[begin], sockets)
		for !isEvent && begin > from && excluded(&past.events[begin-1], sockets) {
			begin--
		}
		var m *transport.Message
		if isEvent {
			m = past.message(p, begin)
		} else {
			last := &past.events[end-1]
			m = p.Encode(PositionNotice{Channel: last.Channel, Position: last.Position, Prev: before(&past.events[begin])})
		}
		if m == nil {
			out.first = begin
			continue
		}
		if !q.Add(m) {
			if place < len(all) || !r.takesOne(m) {
				break
			}
			q.MessageLimit = 0 // no other
		}
		place--
		all[place], out.first = m, begin
		if isEvent {
			out.events++
		}
	}
	out.messages = all[place:]
	return out
}

// excluded reports whether an event was not for one of the sockets.
func excluded(ev *Event, sockets []string) bool {
	return ev.Exclude != "" && slices.Contains(sockets, ev.Exclude)
}

func (r *pastRoom) takesOne(m *transport.Message) bool {
	q := r.queue
	nearlyFull := q.Messages > q.MessageLimit*3/2 || q.Bytes > q.ByteLimit*3/2
	q.MessageLimit *= 2
	q.ByteLimit *= 2
	return !nearlyFull && q.Add(m)
}

// start is what a session's subscription starts with.
type start struct {
	resume   Resume
	messages []*transport.Message
	events   int      // how many of messages are past events
	position Position // before the first of messages, where that is known
	had      Position // where the past ends that it is told of
	noCache  bool     // there is no event on a cache channel
}

// asksForPast reports whether past events are due.
func (r *SubscribeRequest) asksForPast() bool {
	return r.Rewind > 0 || r.After != nil || r.Kind.Cache()
}

// starts reads what the subscription starts with.
func (s *Session) starts(ctx context.Context, rule *ChannelRule, sub *subscriber, req *SubscribeRequest) (start, error) {
	st := start{position: sub.at}
	if !req.asksForPast() {
		return st, nil
	}
	room := s.pastRoom()
	var own []string
	if sub.positions {
		own = append(own, req.Sockets...)
		own = append(own, s.id)
	}
	if req.After != nil {
		done, err := s.missed(ctx, sub, req, &room, own)
		if !isGap(err) {
			return done, err
		}
		st.resume, st.had = ResumeGap, done.had
		if st.had.After(st.position) { // what lies between comes to nobody who has been further
			st.position = st.had
		}
	}
	limit := req.Rewind
	if req.Kind.Cache() {
		limit = max(limit, 1)
	}
	if limit == 0 {
		return st, nil
	}
	r := &pastQuery{ctx: ctx, limit: min(limit, max(room.events, 1)), bytes: max(room.bytes, 1), reach: sub.at}
	if err := sub.channel.readPast(r); err != nil {
		return start{}, err
	}
	if req.Kind.Cache() {
		for len(r.events()) > 0 && rule.stale(&r.events()[0]) {
			r.from++
		}
	}
	st.noCache = req.Kind.Cache() && len(r.events()) == 0
	if st.noCache {
		st.messages = []*transport.Message{sub.protocol.Encode(CacheMissNotice{sub.channel.id.Name})}
		return st, nil
	}
	past := room.encode(sub.protocol, r.found, r.from, own)
	st.messages, st.events = past.messages, past.events
	if past.first > r.from {
		s.broker.stats.rewindsCut.Add(1)
	}
	end := r.found.end
	if n := len(r.events()); n > 0 {
		last := r.events()[n-1].Position
		st.position = last
		if past.first < len(r.found.events) {
			st.position = before(&r.found.events[past.first])
		}
		if sub.positions && end.After(last) { // behind it is nothing that is to be seen
			st.messages = append(st.messages, sub.protocol.Encode(PositionNotice{Channel: req.Channel, Position: end, Prev: last}))
		}
	} else if end.After(st.position) {
		st.position = end
	}
	if end.After(st.had) {
		st.had = end
	}
	return st, nil
}

// missed reads every event after a position. Where one would be left out, the error
// wraps storage.ErrGap, and had is all that counts of the start.
func (s *Session) missed(ctx context.Context, sub *subscriber, req *SubscribeRequest, room *pastRoom, own []string) (start, error) {
	after := *req.After
	if after.IsZero() || !req.Reach.allows(sub.isMember() || s.User() != nil) {
		return start{}, fmt.Errorf("%w: channel %q: the subscriber may not go on from %v", storage.ErrGap, req.Channel, after)
	}
	r := &pastQuery{ctx: ctx, after: &after, limit: room.events, bytes: room.bytes, reach: sub.at}
	if most := req.Reach.Events; most > 0 {
		r.limit = min(r.limit, most)
	}
	if err := sub.channel.readPast(r); isGap(err) {
		s.usage.gotPast(r.wasted) // or anybody could have it read for nothing, again and again
		return start{had: r.seen}, err
	} else if err != nil {
		return start{}, err // r may still be read for
	}
	events := r.events()
	if len(events) > 0 && req.Reach.tooOld(&events[0]) {
		s.usage.gotPast(dataBytes(events))
		return start{had: after}, fmt.Errorf("%w: channel %q: what was missed is older than %v", storage.ErrGap, req.Channel, req.Reach.Age)
	}
	past := room.encode(sub.protocol, r.found, r.from, own)
	if past.first > r.from {
		s.usage.gotPast(dataBytes(events))
		return start{had: after}, r.errTooMuch(sub.channel.id)
	}
	st := start{resume: Resumed, messages: past.messages, events: past.events, position: after, had: after}
	if n := len(events); n > 0 {
		st.had = events[n-1].Position
	} else if sub.at.After(after) {
		st.position, st.had = sub.at, sub.at // nothing lies between
	}
	return st, nil
}

// catchUp makes the subscription live with what it starts with. success is what it is
// told if there is no more to say than that.
func (s *Session) catchUp(ctx context.Context, rule *ChannelRule, sub *subscriber, req *SubscribeRequest, members []Member, success *transport.Message) (start, error) {
	st, err := s.starts(ctx, rule, sub, req)
	if err != nil {
		return start{}, err
	}
	missed := 0
	switch st.resume {
	case Resumed:
		missed = st.events
		s.broker.stats.resumed.Add(1)
	case ResumeGap:
		s.broker.stats.resumeGaps.Add(1)
	}
	if success == nil || st.resume != Fresh || !st.position.IsZero() {
		success = sub.protocol.Encode(SubscribedNotice{Channel: req.Channel, Members: members,
			Resume: st.resume, Missed: missed, Position: st.position})
	}
	if sub.positions {
		if m := sub.protocol.Encode(ResumeNotice{Channel: req.Channel, Resume: st.resume, Missed: missed, Position: st.position}); m != nil {
			st.messages = slices.Insert(st.messages, 0, m)
		}
	}
	bytes := 0
	for _, m := range st.messages {
		bytes += len(m.Payload())
	}
	if members != nil {
		bytes += len(success.Payload())
	}
	s.usage.gotPast(bytes)
	sub.finish(success, st.messages, st.had)
	if st.noCache {
		sub.channel.mu.Lock()
		change := sub.channel.change()
		sub.channel.mu.Unlock()
		inform(s.ctx, &s.broker.hooks, cacheMissed, change)
	}
	return st, nil
}
