package broker

import (
	"context"
	"fmt"
	"slices"

	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage"
)

const (
	// MaxPage is the most events that one page of a channel's history has for a client.
	MaxPage = 100
	// maxPageBytes is the most data that it has, unless one event has more.
	maxPageBytes = 256 << 10
	// pageGrowth is how many times as large it may become when it is encoded.
	pageGrowth = 7
)

// PageRequest says which of a channel's past events a client wants to see.
type PageRequest struct {
	// Channel is one that the session is subscribed to.
	Channel string
	// From is where to begin, going back; the zero Position is the newest event. With
	// Inclusive the event there is part of the page: so a client that has subscribed
	// gets what was before the position that it has been told, and misses none.
	From      Position
	Inclusive bool
	// Limit is the most events, from 1 to MaxPage.
	Limit int
	// bytes is the most data that the page has, unless one event has more.
	bytes int
}

// Page is a stretch of a channel's history, newest event first.
type Page struct {
	Events []Event
	// More says that there are older events which the client may see.
	More bool
}

// Page reads past events of a channel for the client, as amendments have made them, within
// the Reach that its subscription was given. Those of encrypted channels come sealed.
// Errors wrap ErrInvalid, ErrNotSubscribed, ErrRefused, ratelimit.ErrLimited or
// storage.ErrGap, or are the store's.
func (s *Session) Page(ctx context.Context, req PageRequest) (Page, error) {
	page, err := s.page(ctx, req)
	s.observeRefused(ctx, "history", req.Channel, err)
	return page, err
}

func (s *Session) page(ctx context.Context, req PageRequest) (Page, error) {
	b := s.broker
	if req.Limit < 1 || req.Limit > MaxPage {
		return Page{}, b.refusal(&FieldError{Field: "limit", Problem: fmt.Sprintf("is not between 1 and %d", MaxPage), Got: req.Limit})
	}
	s.op.Lock()
	sub := s.subs[req.Channel]
	s.op.Unlock()
	if sub == nil {
		b.stats.refused.Add(1)
		return Page{}, fmt.Errorf("%w to channel %q", ErrNotSubscribed, req.Channel)
	}
	reach := sub.channel.rule.Reach
	if sub.extras != nil {
		reach = sub.reach
	}
	if !reach.allows(sub.isMember() || s.User() != nil) {
		return Page{}, b.refusal(Refuse(403, fmt.Sprintf("the history of channel %q is not for you", req.Channel)))
	}
	if err := s.usage.mayGetPast(s.authorized.Load()); err != nil {
		return Page{}, b.refusal(err)
	}
	if b.rateLimits.rules != nil {
		if err := b.rateLimits.limited(ctx, s.channelLimit(ratelimit.History, req.Channel)); err != nil {
			return Page{}, err
		}
	}
	room := s.pastRoom()
	if room.events == 0 || room.bytes == 0 {
		return Page{}, b.refusal(Refuse(429, "read what was sent before"))
	}
	req.bytes = min(max(room.queue.ByteLimit/pageGrowth, 1), maxPageBytes)
	page, bytes, err := b.page(ctx, sub.channel.id, &req, &reach)
	s.usage.gotPast(bytes)
	s.op.Lock()
	defer s.op.Unlock()
	if s.subs[req.Channel] == nil {
		// Taken from it meanwhile: what was read may be newer than that.
		b.stats.refused.Add(1)
		return Page{}, fmt.Errorf("%w to channel %q any more", ErrNotSubscribed, req.Channel)
	}
	return page, err
}

// page reads as far as the reach goes. It returns how many bytes of data it has read, which
// are more than the page has where the reach is a number of events: where these end is
// known only by reading them.
func (b *Broker) page(ctx context.Context, ch ChannelID, req *PageRequest, reach *Reach) (page Page, bytes int, err error) {
	o := storage.ReadOptions{From: req.From, Inclusive: req.Inclusive, Backward: true, Current: true,
		MaxEvents: req.Limit, MaxBytes: req.bytes}
	left := reach.Events
	if left > 0 {
		o.From, o.Inclusive = Position{}, false
	}
	for {
		if reach.Events > 0 {
			o.MaxEvents, o.MaxBytes = min(left, MaxPage), req.bytes
		}
		read, err := b.history.Read(ctx, ch, o)
		if err != nil {
			if !isGap(err) {
				err = b.storeFailed("history read", ch, err)
			}
			return Page{}, bytes, err
		}
		bytes += dataBytes(read.Events)
		left -= len(read.Events)
		page.Events, page.More = append(page.Events, req.part(read.Events)...), read.More
		n := req.fits(page.Events)
		if reach.Events == 0 {
			break
		}
		if full := n < len(page.Events); full || left <= 0 || !read.More || len(read.Events) == 0 {
			page.Events, page.More = page.Events[:n], full
			break
		}
		o.From = read.Events[len(read.Events)-1].Position
	}
	for i := range page.Events {
		if reach.tooOld(&page.Events[i]) {
			return Page{Events: page.Events[:i]}, bytes, nil
		}
	}
	return page, bytes, nil
}

// part is what of events, newest first, may be on the page.
func (r *PageRequest) part(events []Event) []Event {
	return slices.DeleteFunc(events, func(ev Event) bool { return !r.begins(ev.Position) })
}

// begins reports whether a page may begin at a position.
func (r *PageRequest) begins(p Position) bool {
	return r.From.IsZero() || p.Before(r.From) || r.Inclusive && p == r.From
}

// fits is how many of the events a page has: one at least if there is any.
func (r *PageRequest) fits(events []Event) int {
	n, bytes := 0, 0
	for n < min(len(events), r.Limit) {
		if bytes += len(events[n].Data); bytes > r.bytes && n > 0 {
			break
		}
		n++
	}
	return n
}
