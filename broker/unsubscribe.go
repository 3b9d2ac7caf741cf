package broker

import (
	"context"
	"time"

	"github.com/carillon-rt/carillon/presence"
	"github.com/carillon-rt/carillon/storage"
)

// Unsubscribe ends the session's subscription to a channel. It reports whether
// there was one.
func (s *Session) Unsubscribe(ctx context.Context, channel string) bool {
	s.op.Lock()
	defer s.op.Unlock()
	return s.unsubscribe(ctx, channel)
}

// unsubscribe is Unsubscribe for a caller that holds s.op.
func (s *Session) unsubscribe(ctx context.Context, channel string) bool {
	sub := s.subs[channel]
	if sub == nil {
		return false
	}
	s.setSub(channel, nil)
	s.ungranted(channel)
	s.informUnsubscribed(channel, sub)
	s.dropAlone(ctx, sub)
	if s.counts {
		sub.channel.countChanged()
	}
	return true
}

// undo ends a subscription that could not be made live. known says that others know of
// it. The caller holds s.op.
func (s *Session) undo(ctx context.Context, channel string, known bool) {
	sub := s.subs[channel]
	if known {
		s.unsubscribe(ctx, channel)
		sub.forget()
		return
	}
	s.setSub(channel, nil)
	s.dropAlone(ctx, sub)
	sub.forget()
}

func (s *Session) informUnsubscribed(channel string, sub *subscriber) {
	s.observeUnsubscribed(channel, sub)
	if !s.broker.hooks.any() {
		return
	}
	change := SubscriptionChange{Session: s, Channel: channel, Kind: sub.channel.kind, Time: time.Now()}
	if sub.isMember() {
		change.Member = &Member{UserID: sub.userID}
	}
	inform(s.ctx, &s.broker.hooks, unsubscribed, change)
}

func (s *Session) observeUnsubscribed(channel string, sub *subscriber) {
	if h := &s.broker.observers; h.want(s.app, ObserveSubscriptionClosed) {
		closed := SubscriptionClosed{Session: s, Channel: channel}
		if sub.isMember() {
			closed.UserID = sub.userID
		}
		h.tell(s.ctx, s.app, closed)
	}
}

// leaving is a context for taking the session out of something, which happens
// although its connection is gone. All that is done with it takes no longer than
// one call of a store that may wait.
func (s *Session) leaving(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx = context.WithoutCancel(ctx)
	if !s.broker.presenceWaits {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, s.broker.storeTimeout)
}

// dropAlone is drop for one subscription, with any context.
func (s *Session) dropAlone(ctx context.Context, sub *subscriber) {
	if sub.isMember() {
		var cancel context.CancelFunc
		ctx, cancel = s.leaving(ctx)
		defer cancel()
	}
	s.drop(ctx, sub, 0)
}

// drop takes the subscription from its channel, and the member with it when the
// grace has passed. The member goes first, so that hooks hear of it before the
// channel is vacated. ctx is from leaving.
func (s *Session) drop(ctx context.Context, sub *subscriber, grace time.Duration) {
	defer sub.channel.detach(sub)
	if sub.isMember() {
		s.leave(ctx, sub.channel.id, sub.userID, grace)
	}
}

func (s *Session) leave(ctx context.Context, ch storage.ChannelID, userID string, grace time.Duration) {
	b := s.broker
	b.tracker.Leave(ctx, ch, userID, s.id, grace, func(d presence.Departure, err error) {
		if err != nil {
			_ = b.storeFailed("presence leave", ch, err)
			return
		}
		if !d.Last {
			return
		}
		b.hooks.memberLeft(s.ctx, ch, d)
		if c := b.channels.load(ch); c != nil {
			c.handOutNotice(s, MemberRemovedNotice{ch.Name, d.Member})
		}
	})
}
