package broker

import (
	"context"

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

// encode encodes the latest events for which there is room. The last one is always
// included unless the queue is nearly full. all reports that none was left out.
func (r *pastRoom) encode(p Protocol, past *pastEvents, from int) (messages []*transport.Message, all bool) {
	n := len(past.events) - from
	messages = make([]*transport.Message, n)
	q := r.queue
	for i := n - 1; i >= 0; i-- {
		m := past.message(p, from+i)
		if !q.Add(m) {
			if i < n-1 || !r.takesOne(m) {
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

// start is what a session's subscription starts with.
type start struct {
	resume   Resume
	messages []*transport.Message
	missed   int      // how many of messages are events that were missed
	position Position // before the first of messages, where that is known
	last     Position // where the subscriber has been told all up to
	noCache  bool     // there is no event on a cache channel
}

// pastEvents is how many of messages are past events.
func (st *start) pastEvents() int {
	if st.noCache {
		return 0
	}
	return len(st.messages)
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
	if req.After != nil {
		done, err := s.missed(ctx, sub, *req.After, &room)
		if !isGap(err) {
			return done, err
		}
		st.resume, st.last = ResumeGap, done.last
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
		st.messages = []*transport.Message{s.protocol.Encode(CacheMissNotice{sub.channel.id.Name})}
		return st, nil
	}
	var all bool
	if st.messages, all = room.encode(s.protocol, r.found, r.from); !all {
		s.broker.stats.rewindsCut.Add(1)
	}
	if n := len(r.events()); n > 0 {
		st.position = Position{}
		if last := r.events()[n-1].Position; last.After(st.last) {
			st.last = last
		}
	}
	return st, nil
}

// missed reads every event after a position. Where one would be left out, the error
// wraps storage.ErrGap, and last is all that counts of the start.
func (s *Session) missed(ctx context.Context, sub *subscriber, after Position, room *pastRoom) (start, error) {
	r := &pastQuery{ctx: ctx, after: &after, limit: room.events, bytes: room.bytes, reach: sub.at}
	if err := sub.channel.readPast(r); isGap(err) {
		return start{last: r.seen}, err
	} else if err != nil {
		return start{}, err // r may still be read for
	}
	messages, all := room.encode(s.protocol, r.found, r.from)
	if !all {
		return start{last: after}, r.errTooMuch(sub.channel.id)
	}
	st := start{resume: Resumed, messages: messages, missed: len(messages), position: after, last: after}
	if n := len(r.events()); n > 0 {
		st.last = r.events()[n-1].Position
	}
	return st, nil
}

// catchUp makes the subscription live with what it starts with, or undoes it.
// success is what it is told if there is no more to say than that.
func (s *Session) catchUp(ctx context.Context, rule *ChannelRule, sub *subscriber, req *SubscribeRequest, members []Member, success *transport.Message) (start, error) {
	st, err := s.starts(ctx, rule, sub, req)
	if err != nil {
		s.dropAlone(ctx, sub)
		return start{}, err
	}
	if success == nil || st.resume != Fresh || !st.position.IsZero() {
		success = s.protocol.Encode(SubscribedNotice{Channel: req.Channel, Members: members,
			Resume: st.resume, Missed: st.missed, Position: st.position})
	}
	bytes := 0
	for _, m := range st.messages {
		bytes += len(m.Payload())
	}
	if members != nil {
		bytes += len(success.Payload())
	}
	s.usage.gotPast(bytes)
	sub.finish(success, st.messages, st.last)
	if st.noCache {
		sub.channel.mu.Lock()
		change := sub.channel.change()
		sub.channel.mu.Unlock()
		inform(s.ctx, &s.broker.hooks, cacheMissed, change)
	}
	return st, nil
}
